"""A reading that takes the place of another: what the other said leaves every place that remembers it.

Guards against usage that is taken out and still billed, usage that comes back to life and is not, and corrections
of what did not change.
"""

import hashlib
import json
import shutil
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from books_home import BooksHome
from rating_lake import RatingHome

Row = dict[str, Any]

CATALOG: dict[str, list[Row]] = {
    "meters": [{"meter_id": "calls", "name": "Calls"}, {"meter_id": "seats", "aggregation": "max"}],
    "meter_event_types": [
        {"meter_id": "calls", "event_type": "call"},
        {"meter_id": "seats", "event_type": "seat"},
    ],
    "plans": [{"plan_id": "basic", "name": "Basic"}],
    "charges": [
        {
            "plan_id": "basic",
            "meter_id": meter,
            "included": "0",
            "overage_model": "per_unit",
            "unit_amount": "1",
        }
        for meter in ("calls", "seats")
    ],
}
CUSTOMERS = ("ada", "bob", "cyd", "dot", "eve", "fay", "gus")
ACCOUNTS: dict[str, list[Row]] = {
    "customers": [{"customer_id": name, "name": name} for name in CUSTOMERS],
    "subscriptions": [
        {
            "subscription_id": f"s-{name}",
            "customer_id": name,
            "plan_id": "basic",
            "started_on": "2024-01-01",
        }
        for name in CUSTOMERS
    ],
}
MODELS = (
    "+unbilled_usage +daily_usage +int_uncounted_records +monthly_usage +invoices +invoice_lines"
    " +ingest_batches +rejected_events"
)
COMPARED = (
    "daily_usage", "unbilled_usage", "monthly_usage", "invoices", "invoice_lines", "int_event_revisions",
    "int_uncounted_records", "ingest_batches", "rejected_events",
)  # fmt: skip


def use(customer: str, event_id: str, day: str, quantity: object = 1, **changes: Any) -> Row:
    row = {
        "customer_id": customer,
        "event_id": event_id,
        "event_type": "call",
        "occurred_at": f"{day}T12:00:00Z",
        "quantity": str(quantity),
        **changes,
    }
    return row | {"payload_hash": hashlib.md5(json.dumps(row).encode()).hexdigest()}


def open_home(home: RatingHome) -> RatingHome:
    home.documents("catalog", CATALOG)
    home.documents("accounts", ACCOUNTS)
    return home


def rows(home: RatingHome) -> dict[str, list[Row]]:
    return {name: sorted(home.query(f"from {name}"), key=repr) for name in COMPARED}


def test_what_a_replaced_reading_said_leaves_every_table(tmp_path):
    home = open_home(RatingHome(tmp_path / "home", as_of="2024-05-01T12:00:00+00:00"))
    home.batch(
        [
            use("bob", "revised", "2024-02-10", 3),
            use("cyd", "voided", "2024-03-10", 7),
            use("dot", "kept", "2024-01-20", 2, event_type="seat"),
        ]
    )
    first = home.batch(
        [
            use("ada", "same", "2024-03-01", 5),
            use("ada", "changed", "2024-03-02", 10),
            use("ada", "gone", "2024-03-03", 100),
            use("eve", "moves", "2024-03-04", 9),
            # 34 days after what they supersede.
            use("bob", "revised", "2024-03-15", 4, revision=1),
            use("cyd", "voided", "2024-03-10", 7, revision=1, is_void=True),
        ]
    )
    home.build(select=MODELS)
    monthly = "select customer_id, sum(quantity) as used from monthly_usage group by 1 order by 1"
    assert dict((row["customer_id"], row["used"]) for row in home.query(monthly)) == {
        "ada": 115, "bob": 4, "cyd": 0, "dot": 2, "eve": 9, "fay": 0, "gus": 0,
    }  # fmt: skip

    second = home.batch(
        [
            use("ada", "same", "2024-03-01", 5),
            use("ada", "changed", "2024-03-02", 20),
            use("dot", "moves", "2024-03-04", 9),
        ],
        replaces=first,
    )
    home.build(select=MODELS)
    assert dict((row["customer_id"], row["used"]) for row in home.query(monthly)) == {
        "ada": 25, "bob": 3, "cyd": 7, "dot": 11, "eve": 0, "fay": 0, "gus": 0,
    }  # fmt: skip
    statuses = home.query("select batch_id, status, replaces from ingest_batches where replaces is not null")
    assert statuses == [{"batch_id": second, "status": "committed", "replaces": first}]
    incremental = rows(home)
    assert {row["batch_id"] for row in incremental["int_event_revisions"]} == set()

    copy = RatingHome(tmp_path / "home")
    copy.as_of, copy.versions, copy.builds = home.as_of, home.versions, home.builds
    copy.build(select=MODELS, full_refresh=True)
    assert rows(copy) == incremental

    # A second reading of the second is no different, and neither is a reading back to the first.
    home.builds = copy.builds
    third = home.batch([use("ada", "gone", "2024-03-03", 100)], replaces=second)
    home.build(select=MODELS)
    assert home.query(monthly)[0] == {"customer_id": "ada", "used": Decimal(100)}
    known = home.root / "known.parquet"
    pq.write_table(pa.table({"batch_id": pa.array([first, second])}), known)
    shutil.rmtree(home.warehouse_file.parent)
    home.warehouse_file.parent.mkdir()
    home.build(select=MODELS, told={"known_batches": str(known)})
    assert third not in {row["batch_id"] for row in home.query("from ingest_batches")}
    assert home.query(monthly) == [
        {"customer_id": name, "used": Decimal(used)}
        for name, used in (
            ("ada", 25),
            ("bob", 0),
            ("cyd", 0),
            ("dot", 9),
            ("eve", 0),
            ("fay", 0),
            ("gus", 0),
        )
    ]


@pytest.mark.slow
def test_a_closed_month_is_corrected_by_the_difference_of_two_readings(tmp_path):
    home = open_home(BooksHome(tmp_path / "home", as_of="2024-04-03T12:00:00+00:00"))
    assert isinstance(home, BooksHome)
    home.batch([use("fay", "base", "2024-03-01", 1), use("fay", "swap", "2024-03-05", 3)])
    first = home.batch(
        [
            use("gus", "swap", "2024-03-05", 3, revision=1),
            use("ada", "same", "2024-03-01", 5),
            use("ada", "changed", "2024-03-02", 10),
            use("bob", "gone", "2024-03-03", 100),
            use("cyd", "same-too", "2024-03-03", 8),
            use("eve", "moves", "2024-03-04", 9),
        ]
    )
    home.close("2024-03-31")
    home.as_of = "2024-04-05T12:00:00+00:00"
    # A reading that was replaced before anybody was billed by it.
    between = home.batch([use("ada", "interim", "2024-03-02", 77)], replaces=first)
    second = home.batch(
        [
            use("ada", "same", "2024-03-01", 5),
            use("ada", "changed", "2024-03-02", 16),
            use("cyd", "same-too", "2024-03-03", 8),
            use("dot", "moves", "2024-03-04", 9),
            use("ada", "april", "2024-04-04", 1),
            use("dot", "april-too", "2024-04-04", 1),
            use("fay", "april-three", "2024-04-04", 1),
        ],
        replaces=between,
    )
    home.as_of = "2024-05-03T12:00:00+00:00"
    documents = home.documents_of(home.close("2024-04-30"))
    adjusted = {
        line["customer_id"]: (line["amount_minor"], json.loads(line["causes"]))
        for line in documents["lines"]
        if line["adjusts_invoice_id"] or line["line_type"] == "adjustment"
    }
    credited = {
        note["customer_id"]: (note["amount_minor"], json.loads(note["causes"]))
        for note in documents["credits"]
    }
    assert {name: amount for name, (amount, _) in adjusted.items()} == {"ada": 600, "fay": 300}
    # Whoever had no invoice for that month gets one.
    assert sorted(line["amount_minor"] for line in documents["lines"] if line["customer_id"] == "dot") == [
        100,
        900,
    ]
    assert {name: amount for name, (amount, _) in credited.items()} == {
        "bob": 10000,
        "eve": 900,
        "gus": 300,
    }
    causes = {name: json.dumps(found) for name, (_, found) in {**adjusted, **credited}.items()}
    assert "changed" in causes["ada"]
    assert "same" not in causes["ada"]
    assert "interim" not in causes["ada"]
    assert "gone" in causes["bob"]
    assert "moves" in causes["eve"]
    # What the revision had taken from one customer comes back to it.
    assert "swap" in causes["fay"]
    assert "swap" in causes["gus"]
    # Each names the reading that says it, or that took it out.
    assert second in causes["ada"]
    assert all(between in causes[name] for name in ("bob", "eve", "fay", "gus"))
