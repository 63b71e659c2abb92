"""Real traces through sources.yml. They are no part of the project; without them these tests skip."""

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest
import yaml
from ingest_homes import events, ingest, put

from pipelines.home import Home

DATA = Path(__file__).parents[3] / "shared" / "data"
AS_OF = datetime(2026, 1, 1, tzinfo=UTC)


def real(name: str) -> Path:
    path = DATA / name
    if not path.exists():
        pytest.skip(f"{name} is not here; it is looked for in ../shared/data beside the repository")
    return path


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path / "home").ensure()


AZURE = {
    "name": "azure_llm",
    "files": "azure_llm_*.parquet",
    "timezone": "UTC",
    "event_id": "from_row",
    "fields": {"occurred_at": "ts", "customer_id": "workload", "output_tokens": "generated_tokens"},
    "constants": {"event_type": "llm_request", "provider": "azure", "model": "gpt-4"},
    "units": {"input_tokens": {"field": "context_tokens", "factor": "1"}},
}


def test_azure_llm_trace_keeps_every_token(home):
    path = real("azure_llm_2023.parquet")
    put(home, path.name, path.read_bytes())
    (batch,) = ingest(home, [AZURE], AS_OF).batches
    assert (batch.rows_read, batch.accepted_count) == (28_185, 28_185)
    with duckdb.connect() as connection:
        wanted = connection.execute(
            """select workload, count(*), sum(context_tokens), sum(generated_tokens),
                min(ts)::timestamp, max(ts)::timestamp
            from read_parquet($path) group by all order by all""",
            {"path": str(path)},
        ).fetchall()
        got = connection.execute(
            """select customer_id, count(*), sum(input_tokens), sum(output_tokens),
                min(occurred_at at time zone 'UTC'), max(occurred_at at time zone 'UTC')
            from read_parquet($path) group by all order by all""",
            {"path": str(home.lake / "events" / "*" / "*.parquet")},
        ).fetchall()
    assert got == wanted
    assert len({row["event_id"] for row in events(home)}) == 28_185


APACHE = {
    "name": "apache",
    "files": "apache_access_*.parquet",
    "event_id": "from_row",
    "fields": {
        "occurred_at": "ts",
        "customer_id": "client_hash",
        "resource": "path",
        "quantity": "bytes_sent",
    },
    "constants": {"event_type": "http_request", "provider": "apache"},
}


def test_apache_log_keeps_every_request_and_byte(home):
    path = real("apache_access_10000.parquet")
    put(home, path.name, path.read_bytes())
    (batch,) = ingest(home, [APACHE], AS_OF).batches
    # Requests that are equal in every column but the line number are requests, not duplicates.
    assert (batch.rows_read, batch.accepted_count, batch.duplicate_count) == (10_000, 10_000, 0)
    with duckdb.connect() as connection:
        (total, missing) = connection.execute(
            "select sum(bytes_sent), count(*) - count(bytes_sent) from read_parquet($path)",
            {"path": str(path)},
        ).fetchone()
    rows = events(home)
    # Where the log has no bytes the quantity is absent, and so the default.
    assert sum(row["quantity"] for row in rows) == total + missing
    assert missing == 669


def test_apache_log_without_line_numbers_has_nineteen_exact_duplicates(home, tmp_path):
    path = real("apache_access_10000.parquet")
    with duckdb.connect() as connection:
        connection.execute(
            """copy (select md5(concat_ws('|', client_hash, ts, http_method, path, status, bytes_sent)) as id,
                * exclude (line_no) from read_parquet($path)) to '"""
            + str(home.inbox / "apache_access_ids.parquet")
            + "' (format parquet)",
            {"path": str(path)},
        )
    (batch,) = ingest(home, [{**APACHE, "event_id": "id"}], AS_OF).batches
    assert (batch.duplicate_count, batch.accepted_count, batch.rejected_count) == (19, 9_981, 0)


def test_a_run_on_the_azure_trace_publishes_its_own_token_sums(tmp_path, cli):
    path = real("azure_llm_2023.parquet")
    home = Home(tmp_path / "home").ensure()
    (home.catalog / "sources.yml").write_text(yaml.safe_dump({"sources": [AZURE]}), encoding="utf-8")
    meters = [
        {
            "id": field,
            "name": field,
            "unit": "token",
            "event_types": ["llm_request"],
            "aggregation": "sum",
            "field": field,
        }
        for field in ("input_tokens", "output_tokens", "total_tokens")
    ]
    plan = {
        "id": "metered", "name": "Metered", "rank": 1, "currency": "USD", "price": "0", "effective_from": "2023-01-01",
        "charges": [
            {"meter": "total_tokens", "included": "0", "overage": {"model": "per_unit", "unit_amount": "0.000001"}}
        ],
    }  # fmt: skip
    (home.catalog / "meters.yml").write_text(yaml.safe_dump({"meters": meters}), encoding="utf-8")
    (home.catalog / "plans.yml").write_text(yaml.safe_dump({"plans": [plan]}), encoding="utf-8")
    (home.accounts / "customers.csv").write_text("customer_id,name\ncode,Code\nconv,Conversation\n")
    (home.accounts / "subscriptions.csv").write_text(
        "subscription_id,customer_id,plan_id,started_on\ns1,code,metered,2023-11-01\ns2,conv,metered,2023-11-01\n"
    )
    put(home, path.name, path.read_bytes())
    result = cli("run", "--home", home.root, "--as-of", "2023-12-02T00:00:00Z")
    assert result.returncode == 0, result.stdout + result.stderr
    with duckdb.connect(str(home.published_file), read_only=True) as marts:
        wanted = marts.execute(
            "select workload, sum(context_tokens), sum(generated_tokens) from read_parquet($path) group by 1 order by 1",
            {"path": str(path)},
        ).fetchall()
        for table in ("daily_usage", "monthly_usage"):
            got = marts.execute(f"""
                select customer_id, sum(quantity) filter (where meter_id = 'input_tokens'),
                    sum(quantity) filter (where meter_id = 'output_tokens'),
                    sum(quantity) filter (where meter_id = 'total_tokens')
                from {table} group by 1 order by 1
            """).fetchall()
            totals = [(workload, into + out) for workload, into, out in wanted]
            assert [(row[0], row[3]) for row in got] == totals, table
        assert [row[:3] for row in marts.execute(
            "select customer_id, sum(input_tokens), sum(output_tokens), sum(request_count) from cost_per_request "
            "group by 1 order by 1"
        ).fetchall()] == wanted  # fmt: skip
        assert marts.execute("select sum(cost_usd) from cost_per_request").fetchone() == (
            Decimal("1472.72898"),
        )
        lines = marts.execute("select sum(amount_minor) from invoice_lines").fetchone()
        assert lines == (sum(round((into + out) * Decimal("0.0001")) for _, into, out in wanted),)
