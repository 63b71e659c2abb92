"""A published file as the marts would fill it, small enough to read: three invoices, a credit note and a draft.

March of `acme` is issued and partly credited; its April holds an adjustment of March; its May is open.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb

TABLES = {
    "issuer": """closing_number integer, name varchar, address varchar, tax_id varchar, email varchar, website varchar,
        payment_terms_days bigint, payment_instructions varchar, note varchar""",
    "customers": "customer_id varchar, name varchar, email varchar, timezone varchar",
    "plans": "plan_id varchar, name varchar, effective_from date",
    "meters": "meter_id varchar, name varchar, unit varchar, aggregation varchar",
    "invoices": """invoice_id varchar, invoice_number varchar, customer_id varchar, customer_name varchar,
        customer_email varchar, currency varchar, timezone varchar, status varchar, total_minor bigint,
        period_start date, period_end date, issued_at timestamptz, content_hash varchar, closing_number integer""",
    "invoice_lines": """invoice_line_id varchar, invoice_id varchar, line_number integer, customer_id varchar,
        subscription_id varchar, plan_id varchar, line_type varchar, meter_id varchar, description varchar,
        quantity decimal(38, 12), amount_minor bigint, currency varchar, period_start date, period_end date,
        service_start date, service_end date, adjusts_invoice_id varchar, causes varchar""",
    "credit_notes": """credit_note_id varchar, credit_note_number varchar, invoice_id varchar, customer_id varchar,
        currency varchar, amount_minor bigint, reason varchar, issued_at timestamptz, content_hash varchar, closing_number integer""",
    "credit_note_lines": """credit_note_line_id varchar, credit_note_id varchar, line_number integer,
        invoice_line_id varchar, amount_minor bigint, description varchar, quantity decimal(38, 12),
        period_start date, period_end date, causes varchar""",
    "monthly_usage": """customer_id varchar, subscription_id varchar, plan_id varchar, meter_id varchar, reset varchar,
        quantity decimal(38, 12), included_quantity decimal(38, 12), overage_quantity decimal(38, 12),
        period_start date, period_end date, service_start date, service_end date""",
    "daily_usage": "usage_date date, customer_id varchar, meter_id varchar, quantity decimal(38, 12)",
}
Row = Mapping[str, Any]

ISSUER = {
    "name": "Northwind Metering GmbH",
    "address": "Hafenstraße 12\n20457 Hamburg\nGermany",
    "tax_id": "DE 123 456 789",
    "email": "billing@northwind.example",
    "website": "northwind.example",
    "payment_terms_days": 14,
    "payment_instructions": "Bank transfer to IBAN DE00 0000 0000 0000 0000 00\nPlease name the invoice number.",
    "note": "Thank you for your business.",
}


def line(number: int, **values: Any) -> dict[str, Any]:
    """A line of acme's subscription in March; give what differs."""
    return {
        "invoice_line_id": f"line_{values.get('invoice_id', 'inv_march')[4:]}_{number}",
        "invoice_id": "inv_march",
        "line_number": number,
        "customer_id": "acme",
        "subscription_id": "sub_acme",
        "plan_id": "pro",
        "line_type": "usage",
        "currency": "USD",
        "period_start": "2026-03-01",
        "period_end": "2026-04-01",
        "service_start": "2026-03-01",
        "service_end": "2026-04-01",
    } | values


APRIL = {
    "invoice_id": "inv_april",
    "period_start": "2026-04-01",
    "period_end": "2026-05-01",
    "service_start": "2026-04-01",
    "service_end": "2026-05-01",
}
MAY = {name: value.replace("04-01", "05-01", 1).replace("05-01", "06-01") if name.endswith("end") else value
       for name, value in APRIL.items()}  # fmt: skip
MAY |= {"invoice_id": "inv_may", "period_start": "2026-05-01", "service_start": "2026-05-01",
        "period_end": "2026-06-01", "service_end": "2026-06-01"}  # fmt: skip
LATE = json.dumps(
    {
        "event_count": 1,
        "events": [{"event_id": "evt_late_1", "revision": 0, "batch_id": "b2"}],
        "account_rows": [],
    }
)
MOVED = json.dumps(
    {
        "event_count": 0,
        "events": [],
        "account_rows": [
            {
                "table": "overrides",
                "key": "sub_acme api_calls",
                "column": "included",
                "was": None,
                "is": "1100",
            }
        ],
    }
)


def march_usage() -> list[Row]:
    """Calls on every day of March but the 8th; 2,000.5 on the 17th."""
    return [
        {
            "usage_date": f"2026-03-{day:02}",
            "customer_id": "acme",
            "meter_id": "api_calls",
            "quantity": "2000.5" if day == 17 else str(20 + day * 3),
        }
        for day in range(1, 32)
        if day != 8
    ]


def rows() -> dict[str, list[Row]]:
    """The file's rows; change what a test is about and write it."""
    invoice = {"customer_id": "acme", "customer_name": "Acme & Söhne", "customer_email": "ap@acme.example",
               "currency": "USD", "timezone": "Europe/Berlin"}  # fmt: skip
    return {
        "issuer": [ISSUER, ISSUER | {"closing_number": 1}, ISSUER | {"closing_number": 2}],
        "customers": [{"customer_id": "acme", "name": "Acme & Söhne", "email": "ap@acme.example",
                       "timezone": "Europe/Berlin"}],
        "plans": [
            {"plan_id": "pro", "name": "Professional", "effective_from": "2025-01-01"},
            {"plan_id": "pro", "name": "Professional", "effective_from": "2026-01-01"},
        ],
        "meters": [
            {"meter_id": "api_calls", "name": "API calls", "unit": "call", "aggregation": "sum"},
            {"meter_id": "seats", "name": "Seats", "unit": "seat", "aggregation": "max"},
        ],
        "invoices": [
            invoice | {"invoice_id": "inv_march", "invoice_number": "INV-000001", "status": "issued",
                       "total_minor": 16225, "period_start": "2026-03-01", "period_end": "2026-04-01",
                       "issued_at": "2026-04-03T22:30:00Z", "content_hash": "a1" * 32,
                       "closing_number": 1},
            invoice | {"invoice_id": "inv_april", "invoice_number": "INV-000002", "status": "paid",
                       "total_minor": 10150, "period_start": "2026-04-01", "period_end": "2026-05-01",
                       "issued_at": "2026-05-04T08:00:00Z", "content_hash": "b2" * 32,
                       "closing_number": 2},
            invoice | {"invoice_id": "inv_may", "status": "draft", "total_minor": 9900,
                       "period_start": "2026-05-01", "period_end": "2026-06-01"},
        ],
        "invoice_lines": [
            line(1, line_type="price", description="Professional", quantity="1", amount_minor=9900),
            line(2, meter_id="api_calls", quantity="3150", amount_minor=6300,
                 description="API calls: 3,150 over 1,000 included, at 0.02 USD each"),
            line(3, meter_id="seats", quantity="0.5", amount_minor=25,
                 description="Seats: 0.5 over 2 included, at 0.5 USD each"),
            line(1, **APRIL, line_type="price", description="Professional", quantity="1", amount_minor=9900),
            line(2, **APRIL | {"service_start": "2026-03-01", "service_end": "2026-04-01",
                               "period_start": "2026-03-01", "period_end": "2026-04-01"},
                 line_type="adjustment", meter_id="api_calls", quantity="125", amount_minor=250,
                 description="API calls, 1–31 March 2026: 3,275 instead of 3,150, 65.50 instead of 63.00 USD",
                 adjusts_invoice_id="inv_march", causes=LATE),
            line(1, **MAY, line_type="price", description="Professional", quantity="1", amount_minor=9900),
        ],
        "credit_notes": [
            {"credit_note_id": "cn_1", "credit_note_number": "CN-000001", "invoice_id": "inv_march",
             "customer_id": "acme", "currency": "USD", "amount_minor": 200, "reason": "corrected usage or terms",
             "issued_at": "2026-05-04T08:00:00Z", "content_hash": "c3" * 32,
             "closing_number": 2}
        ],
        "credit_note_lines": [
            {"credit_note_line_id": "cnl_1", "credit_note_id": "cn_1", "line_number": 1,
             "invoice_line_id": "line_march_2", "amount_minor": 200, "quantity": "-100",
             "description": "API calls, 1–31 March 2026: 3,050 instead of 3,150, 61.00 instead of 63.00 USD",
             "period_start": "2026-03-01", "period_end": "2026-04-01", "causes": MOVED}
        ],
        "monthly_usage": [
            {"customer_id": "acme", "subscription_id": "sub_acme", "plan_id": "pro", "meter_id": "api_calls",
             "reset": "cycle", "quantity": "4150", "included_quantity": "1000", "overage_quantity": "3150",
             "period_start": "2026-03-01", "period_end": "2026-04-01", "service_start": "2026-03-01",
             "service_end": "2026-04-01"},
            {"customer_id": "acme", "subscription_id": "sub_acme", "plan_id": "pro", "meter_id": "seats",
             "reset": "cycle", "quantity": "0", "included_quantity": None, "overage_quantity": "0",
             "period_start": "2026-03-01", "period_end": "2026-04-01", "service_start": "2026-03-01",
             "service_end": "2026-04-01"},
        ],
        "daily_usage": march_usage(),
    }  # fmt: skip


def write_published(file: Path, tables: Mapping[str, Sequence[Row]]) -> Path:
    """A published file with these rows; columns that a row leaves out are null."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with duckdb.connect(str(file)) as connection:
        connection.execute("set TimeZone = 'UTC'")
        for name, schema in TABLES.items():
            connection.execute(f"create table {name} ({schema})")
            _insert(connection, name, tables.get(name, ()))
    return file


def _insert(connection: duckdb.DuckDBPyConnection, table: str, found: Iterable[Row]) -> None:
    for row in found:
        names = ", ".join(f'"{name}"' for name in row)
        marks = ", ".join("?" for _ in row)
        connection.execute(f"insert into {table} ({names}) values ({marks})", list(row.values()))
