"""The tables of the five products, by the columns that their documents show: as events, and from file to invoice."""

import csv
import io
import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest
from ingest_homes import events, lines, put, reasons

from pipelines.catalog import copy_product, load_configuration
from pipelines.home import Home
from pipelines.ingest import ingest_inbox

AS_OF = datetime(2026, 10, 2, tzinfo=UTC)
AT = "2026-09-06 12:00:00"
METADATA = '{"plan": "PRO"}'
# Of each product: a file, records as its document has them, and of each the fields of the event and its properties.
DOCUMENTS = {
    "ai_pair_orchestrator": (
        "usage_tracking_1",
        [
            {
                "id": "1",
                "company_id": "acme",
                "user_id": "ada",
                "service_name": "openai",
                "usage_type": "ai_content_generation",
                "amount": "3",
                "cost_usd": "0.25",
                "metadata": METADATA,
                "created_at": AT,
            }
        ],
        [
            {
                "event_id": "1",
                "customer_id": "acme",
                "user_id": "ada",
                "provider": "openai",
                "event_type": "ai_content_generation",
                "quantity": 3,
                "cost_usd": Decimal("0.25"),
            }
        ],
        [{"plan": "PRO"}],
    ),
    "granted_ai": (
        "usage_events_1",
        [
            {
                "id": "1",
                "organization_id": "acme",
                "user_id": "ada",
                "project_id": "p1",
                "type": "generation",
                "provider": "openai",
                "model": "gpt-4o-mini",
                "tokens_in": "150",
                "tokens_out": "300",
                "cost": "1",
                "metadata": METADATA,
                "created_at": AT,
            }
        ],
        [
            {
                "event_id": "1",
                "customer_id": "acme",
                "user_id": "ada",
                "resource": "p1",
                "event_type": "generation",
                "provider": "openai",
                "model": "gpt-4o-mini",
                "input_tokens": 150,
                "output_tokens": 300,
                "cost_usd": None,
            }
        ],
        [{"plan": "PRO", "cost": "1"}],
    ),
    "mortgage_match_pro": (
        "usage_events_1",
        [
            {
                "organizationId": "acme",
                "eventType": kind,
                "resource": resource,
                "quantity": quantity,
                "cost": "0.03",
                "metadata": '{"userId": "ada"}',
                "timestamp": AT,
            }
            for kind, resource, quantity in (
                ("ai_token", "gpt-4", "1000"),
                ("ai_call", "gpt-3.5-turbo", "2"),
                ("export", "report_pdf", "1"),
                ("storage", "reports", "2.5"),
            )
        ],
        [
            {
                "customer_id": "acme",
                "event_type": kind,
                "resource": resource,
                "model": model,
                "quantity": quantity,
                "input_tokens": tokens,
                "output_tokens": None,
                "cost_usd": Decimal("0.03"),
                "user_id": "ada",
            }
            for kind, resource, model, quantity, tokens in (
                ("ai_token", "gpt-4", "gpt-4", 1000, 1000),
                ("ai_call", "gpt-3.5-turbo", "gpt-3.5-turbo", 2, None),
                ("export", "report_pdf", None, 1, None),
                ("storage", "reports", None, Decimal("2.5"), None),
            )
        ],
        [{"userId": "ada"}] * 4,
    ),
    "crm_usage_billing": (
        "usage_events_1",
        [
            {
                "id": str(number),
                "user_id": "acme",
                "event_type": kind,
                "feature_name": "drafts",
                "quantity": quantity,
                "unit": unit,
                "cost_cents": "4",
                "billing_cycle_id": "c7",
                "created_at": AT,
            }
            for number, (kind, quantity, unit) in enumerate(
                [("ai_generation", "2000000", "tokens"), ("api_call", "7", "calls")], start=1
            )
        ],
        [
            {
                "event_id": number,
                "customer_id": "acme",
                "user_id": "acme",
                "event_type": kind,
                "resource": "drafts",
                "quantity": quantity,
                "input_tokens": tokens,
                "output_tokens": None,
                "cost_usd": None,
            }
            for number, kind, quantity, tokens in (
                ("1", "ai_generation", 2_000_000, 2_000_000),
                ("2", "api_call", 7, None),
            )
        ],
        [{"unit": unit, "cost_cents": "4", "billing_cycle_id": "c7"} for unit in ("tokens", "calls")],
    ),
    "coachos": (
        "usage_event_1",
        [
            {
                "id": "1",
                "organisationId": "acme",
                "feature": "OCR_SCAN",
                "quantity": "2",
                "metadata": METADATA,
                "timestamp": AT,
                "reportedToStripe": "false",
                "stripeUsageRecordId": "mbur_1",
                "userId": "ada",
            }
        ],
        [
            {
                "event_id": "1",
                "customer_id": "acme",
                "event_type": "OCR_SCAN",
                "quantity": 2,
                "user_id": "ada",
            }
        ],
        [{"plan": "PRO", "reportedToStripe": "false", "stripeUsageRecordId": "mbur_1"}],
    ),
}


def as_csv(records: list[dict[str, str]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(records[0]))
    writer.writeheader()
    writer.writerows(records)
    return text.getvalue()


def ingested(root: Path, product: str, files: dict[str, str]) -> Home:
    home = Home(root / "home").ensure()
    copy_product(home, product)
    for name, content in files.items():
        put(home, name, content)
    ingest_inbox(home, load_configuration(home).sources, AS_OF)
    return home


@pytest.mark.parametrize("form", ["csv", "jsonl"])
@pytest.mark.parametrize("product", DOCUMENTS)
def test_every_column_of_a_document_is_a_field_or_a_property(tmp_path, product, form):
    name, records, expected, properties = DOCUMENTS[product]
    content = as_csv(records) if form == "csv" else lines(*records)
    home = ingested(tmp_path, product, {f"{name}.{form}": content})
    assert reasons(home) == []
    found = events(home)
    assert [
        {key: row[key] for key in wanted} for row, wanted in zip(found, expected, strict=True)
    ] == expected
    assert {row["occurred_at"].isoformat() for row in found} == {"2026-09-06T12:00:00+00:00"}
    assert [json.loads(row["properties"]) for row in found] == properties


def test_mortgage_match_pro_reads_ai_usage_alike_in_both_its_files(tmp_path):
    _, records, _, _ = DOCUMENTS["mortgage_match_pro"]
    home = ingested(
        tmp_path,
        "mortgage_match_pro",
        {"usage_events_1.jsonl": lines(*records), "ai_usage_1.csv": as_csv(records)},
    )
    found = [
        [row[name] for name in ("event_type", "model", "resource", "input_tokens", "quantity")]
        for row in events(home)
    ]
    assert len(found) == 8
    assert found[:4] == found[4:]


def test_tokens_of_their_own_columns_count_instead_of_the_quantity(tmp_path):
    _, (record, _), _, _ = DOCUMENTS["crm_usage_billing"]
    home = ingested(
        tmp_path,
        "crm_usage_billing",
        {
            "usage_events_1.jsonl": lines(
                record | {"id": "in", "input_tokens": 70},
                record | {"id": "out", "output_tokens": 30},
                record | {"id": "both", "input_tokens": 70, "output_tokens": 30},
                record | {"id": "none", "input_tokens": None, "output_tokens": ""},
                record | {"id": "other unit", "unit": "requests"},
            )
        },
    )
    assert [(row["event_id"], row["input_tokens"], row["output_tokens"]) for row in events(home)] == [
        ("in", 70, None),
        ("out", None, 30),
        ("both", 70, 30),
        ("none", 2_000_000, None),
        ("other unit", None, None),
    ]


@pytest.mark.slow
def test_tokens_counted_as_quantity_are_billed_and_what_has_none_is_told(tmp_path, cli):
    """The CRM's own columns, from the file to the invoice."""
    home = tmp_path / "home"
    assert cli("init", "--product", "crm_usage_billing", "--home", home).returncode == 0
    _, (tokens, calls), _, _ = DOCUMENTS["crm_usage_billing"]
    records = [
        tokens | {"user_id": "user_eli"},
        calls | {"user_id": "user_eli", "quantity": "6000"},
        tokens | {"id": "3", "user_id": "user_eli", "unit": "requests", "quantity": "4"},
    ]
    put(Home(home), "usage_events_1.csv", as_csv(records))
    result = cli("run", "--home", home, "--as-of", AS_OF.isoformat())
    assert result.returncode == 0, result.stdout + result.stderr
    with duckdb.connect(str(home / "serving" / "meterhouse.duckdb"), read_only=True) as published:
        billed = published.execute(
            "select meter_id, quantity, amount_minor from invoice_lines"
            " where customer_id = 'user_eli' and period_start = '2026-09-01' order by meter_id"
        ).fetchall()
        unbilled = published.execute(
            "select event_type, usage_date::varchar, reason, event_count, quantity from unbilled_usage"
        ).fetchall()
    # Tiers: the first 1,000,000 at 0.002, the next at 0.0016. Calls: 5,000 included, then a started package of 1,000.
    assert billed == [("ai_tokens", 2_000_000, 360_000), ("api_calls", 1000, 10)]
    assert unbilled == [("ai_generation", "2026-09-06", "no_quantity", 1, 4)]
    assert (
        "check usage_has_its_field: event_type ai_generation, reason no_quantity, event_count 1"
        in result.stdout + result.stderr
    )
