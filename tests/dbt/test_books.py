"""Corrections: whatever becomes known when, what is billed in the end is what a system would have billed that knew it all.

One home, many customers: each is a case of its own, and one closing serves them all.
"""

import hashlib
import json
import random
from collections import defaultdict
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from books_home import BooksHome
from rating_lake import RatingHome

Row = dict[str, Any]

CATALOG: Mapping[str, list[Row]] = {
    "meters": [
        {"meter_id": "calls", "name": "Calls"},
        {"meter_id": "seats", "name": "Seats", "aggregation": "max"},
    ],
    "meter_event_types": [
        {"meter_id": "calls", "event_type": "call"},
        {"meter_id": "seats", "event_type": "seat"},
    ],
    "plans": [
        {"plan_id": "basic", "name": "Basic", "price": "31"},
        {"plan_id": "pro", "name": "Pro", "price": "99", "rank": 2},
        {"plan_id": "seats", "name": "Seats", "price": "5", "rank": 3},
    ],
    "charges": [
        {"plan_id": "basic", "meter_id": "calls", "included": "100", "overage_model": "graduated"},
        {
            "plan_id": "pro",
            "meter_id": "calls",
            "included": "1000",
            "capacity_unit_amount": "0.02",
            "overage_model": "per_unit",
            "unit_amount": "0.02",
        },
        {
            "plan_id": "seats",
            "meter_id": "seats",
            "included": "1",
            "overage_model": "per_unit",
            "unit_amount": "3",
        },
    ],
    "charge_tiers": [
        {"plan_id": "basic", "meter_id": "calls", "tier_number": 1, "up_to": "50", "unit_amount": "0.10"},
        {"plan_id": "basic", "meter_id": "calls", "tier_number": 2, "up_to": "100", "unit_amount": "0.05"},
        {"plan_id": "basic", "meter_id": "calls", "tier_number": 3, "unit_amount": "0.013"},
    ],
}
ODD_NAME = "steady\tand\\sons\nLtd"
MONTHS = ("2024-01-31", "2024-02-29", "2024-03-31", "2024-04-30")
CLOCKS = ("2024-02-04", "2024-03-04", "2024-04-04", "2024-05-04")


@dataclass
class Facts:
    """Accounts as they are now and events not yet handed over."""

    customers: dict[str, Row] = field(default_factory=dict)
    subscriptions: dict[str, Row] = field(default_factory=dict)
    overrides: dict[tuple[str, str], Row] = field(default_factory=dict)
    events: list[Row] = field(default_factory=list)
    told: list[list[Row]] = field(default_factory=list)

    def subscribe(
        self, customer: str, plan: str = "basic", started_on: str = "2024-01-01", **changes: Any
    ) -> None:
        self.customers.setdefault(customer, {"customer_id": customer, "name": customer, "timezone": "UTC"})
        name = changes.pop("name", customer)
        self.subscriptions[name] = {
            "subscription_id": name,
            "customer_id": customer,
            "plan_id": plan,
            "started_on": started_on,
        } | changes

    def use(self, customer: str, day: str, quantity: object, event_id: str = "", **changes: Any) -> None:
        self.events.append(
            {
                "event_id": event_id or f"{customer}-{len(self.events)}-{len(self.told)}",
                "customer_id": customer,
                "event_type": "call",
                "occurred_at": f"{day}T12:00:00Z",
                "quantity": str(quantity),
            }
            | changes
        )

    def hand_over(self, home: RatingHome, catalog: Mapping[str, list[Row]] = CATALOG) -> None:
        home.documents("catalog", deepcopy(dict(catalog)))
        home.documents(
            "accounts",
            {
                "customers": self.customers.values(),
                "subscriptions": self.subscriptions.values(),
                "overrides": self.overrides.values(),
            },
        )
        if self.events:
            home.batch(self.events)
            self.told.append(self.events)
            self.events = []


def known_from_the_start(
    root: Path, facts: Facts, clock: str, catalog: Mapping[str, list[Row]] = CATALOG
) -> BooksHome:
    """A home that gets everything at once and has no ledger."""
    root.mkdir()
    home = BooksHome(root)
    home.as_of = f"{clock}T12:00:00+00:00"
    for batch in facts.told:
        home.batch(batch)
    facts.hand_over(home, catalog)
    home.build(select="+int_rated_lines")
    return home


def rated(home: BooksHome, through: str) -> Mapping[str, int]:
    return {
        row["invoice_line_id"]: row["amount_minor"]
        for row in home.query(
            f"select * from int_rated_lines where period_end <= date '{through}' + 1 and amount_minor != 0"
        )
    }


# Named cases


def january(facts: Facts) -> None:
    """What is known when January is closed."""
    for customer in ("tier", "void", "reading", "start", "gone", "addon", "last", "steady", "waits"):
        facts.subscribe(customer)
        facts.use(customer, "2024-01-10", 140, f"{customer}-base")
    facts.subscriptions["last"]["ended_on"] = "2024-02-01"
    facts.customers["steady"]["name"] = ODD_NAME


def february(facts: Facts) -> None:
    """What becomes known before February is closed."""
    facts.use("tier", "2024-01-31", 30)
    facts.use("void", "2024-01-10", 140, "void-base", revision=1, is_void=True)
    facts.use("reading", "2024-01-10", 120, "reading-base", revision=1)
    facts.subscriptions["start"]["started_on"] = "2024-01-17"
    del facts.subscriptions["gone"]
    facts.subscribe("addon", "seats", "2024-01-11", name="addon-seats")
    facts.use("last", "2024-01-30", 1)


def march(facts: Facts) -> None:
    """What becomes known before March is closed: the same things once more, the other way."""
    facts.use("tier", "2024-01-31", 40, "tier-late")
    facts.use("reading", "2024-01-10", 190, "reading-base", revision=2)
    facts.use("void", "2024-01-10", 101, "void-base", revision=2)
    facts.subscriptions["start"]["started_on"] = "2024-01-01"
    facts.use("last", "2024-01-30", 1)


def april(facts: Facts) -> None:
    """And back again."""
    facts.use("tier", "2024-01-31", 40, "tier-late", revision=1, is_void=True)
    facts.use("reading", "2024-01-10", 0, "reading-base", revision=3)
    facts.subscriptions["start"]["started_on"] = "2024-01-30"
    facts.subscribe("gone")


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> tuple[BooksHome, Facts, list[Any]]:
    """Four months closed, with what each closing issued."""
    root = tmp_path_factory.mktemp("books") / "home"
    root.mkdir()
    home, facts, issued = BooksHome(root), Facts(), []
    for month, clock, learn in zip(MONTHS, CLOCKS, (january, february, march, april), strict=True):
        learn(facts)
        home.as_of = f"{clock}T12:00:00+00:00"
        facts.hand_over(home)
        issued.append(home.documents_of(home.close(month)))
        if month == "2024-01-31":
            # Known before February is over: nothing can carry it yet but February's invoice.
            home.as_of = "2024-02-20T12:00:00+00:00"
            facts.use("waits", "2024-01-05", 7)
            facts.use("steady", "2024-01-10", 90, "steady-base", revision=1)
            facts.hand_over(home)
            issued.append(home.documents_of(home.close(month)))
            issued.append(home.close(month))
    return home, facts, issued


def of(documents: Mapping[str, list[Row]], kind: str, customer: str) -> list[tuple[Any, ...]]:
    return [
        (row.get("line_type", "credit"), str(row["period_start"])[:7], row["amount_minor"])
        for row in documents[kind]
        if row["customer_id"] == customer
    ]


def test_in_the_end_it_is_billed_as_if_known_from_the_start(closed, tmp_path):
    home, facts, _ = closed
    knowing = known_from_the_start(tmp_path / "knowing", facts, CLOCKS[-1])
    assert home.net_by_line() == rated(knowing, MONTHS[-1])


def test_a_first_closing_issues_what_is_rated(closed):
    _, _, (january_documents, *_) = closed
    assert january_documents["credits"] == []
    assert of(january_documents, "lines", "tier") == [("price", "2024-01", 3100), ("usage", "2024-01", 400)]


def test_an_increase_waits_for_the_invoice_that_follows_and_a_decrease_does_not(closed):
    _, _, (_, again, once_more, february_documents, *_) = closed
    assert again["lines"] == []
    assert of(again, "credits", "steady") == [("credit", "2024-01", 400)]
    assert once_more is None
    assert ("adjustment", "2024-01", 70) in of(february_documents, "lines", "waits")


def test_late_usage_across_a_tier_edge_costs_what_it_would_have_cost(closed):
    """40 in the first tier at 0.10 were billed; 30 more are 10 at 0.10 and 20 at 0.05."""
    _, _, (_, _, _, february_documents, march_documents, april_documents) = closed
    assert of(february_documents, "lines", "tier")[-1] == ("adjustment", "2024-01", 200)
    assert of(march_documents, "lines", "tier")[-1] == ("adjustment", "2024-01", 163)
    assert of(april_documents, "credits", "tier") == [("credit", "2024-01", 163)]


def test_a_correction_says_what_it_corrects_and_why(closed):
    _, _, (_, _, _, february_documents, *_) = closed
    [line] = [
        row for row in february_documents["lines"] if row["customer_id"] == "tier" and row["adjusts_line_id"]
    ]
    assert line["description"] == (
        "Adjustment for 2024-01-01 to 2024-01-31, Calls: 70 over 100 included, at graduated prices;"
        " billed 4.00, should be 6.00 USD"
    )
    assert (line["quantity"], line["restated_quantity"], line["restated_amount_minor"]) == (30, 70, 600)
    causes = json.loads(line["causes"])
    assert causes["event_count"] == 1
    assert [event["revision"] for event in causes["events"]] == [0]
    [credit] = [row for row in february_documents["credits"] if row["customer_id"] == "void"]
    assert json.loads(credit["causes"])["events"][0]["event_id"] == "void-base"
    assert credit["reason"] == "usage known later"


def test_an_account_row_put_right_is_the_cause(closed):
    _, _, (_, _, _, february_documents, *_) = closed
    credits = [row for row in february_documents["credits"] if row["customer_id"] == "start"]
    # 15 of 31 days: 31.00 was billed for the price, 15.00 is due; usage of the 10th is not served.
    assert sorted(row["amount_minor"] for row in credits) == [400, 1600]
    assert all(
        row["reason"].endswith("account change known later") or "usage" not in row["reason"]
        for row in credits
    )
    assert {"table": "subscriptions", "key": "start", "column": "started_on", "was": "2024-01-01",
            "is": "2024-01-17"} in json.loads(credits[0]["causes"])["account_rows"]  # fmt: skip


def test_a_subscription_that_should_never_have_been_is_given_back_whole(closed):
    _, _, (_, _, _, february_documents, *_) = closed
    assert sum(row[2] for row in of(february_documents, "credits", "gone")) == 3500
    assert of(february_documents, "lines", "gone") == []


def test_an_add_on_known_later_is_an_adjustment_of_a_line_never_issued(closed):
    _, _, (_, _, _, february_documents, *_) = closed
    adjustments = [row for row in of(february_documents, "lines", "addon") if row[0] == "adjustment"]
    assert adjustments == [("adjustment", "2024-01", 339)]


def test_a_customer_without_a_next_invoice_gets_one_for_the_adjustment_alone(closed):
    home, _, (_, _, _, february_documents, march_documents, _) = closed
    home.net_by_line()
    assert of(february_documents, "lines", "last") == [("adjustment", "2024-01", 10)]
    assert of(march_documents, "lines", "last") == [("adjustment", "2024-01", 10)]
    own = home.query("select * from invoices where customer_id = 'last' order by invoice_number")
    assert [(row["is_adjustment"], row["total_minor"], str(row["period_start"])) for row in own] == [
        (False, 3500, "2024-01-01"),
        (True, 10, "2024-01-01"),
        (True, 10, "2024-01-01"),
    ]


def test_what_was_issued_never_changes(closed):
    home, _, (january_documents, *_) = closed
    home.net_by_line()
    now = {row["invoice_line_id"]: row for row in home.query("select * from invoice_lines")}
    for line in january_documents["lines"]:
        assert now[line["invoice_line_id"]].items() <= line.items()


def test_never_both_for_one_difference(closed):
    _, _, issued = closed
    for documents in filter(None, issued):
        adjusted = {row["adjusts_line_id"] for row in documents["lines"]}
        assert not adjusted & {row["corrects_line_id"] for row in documents["credits"]}


HEADER = (
    "invoice_id", "customer_id", "customer_name", "customer_email", "currency", "period_start", "period_end",
    "total_minor", "line_count",
)  # fmt: skip
LINE = (
    "line_number", "invoice_line_id", "subscription_id", "plan_id", "plan_version", "line_type", "meter_id",
    "description", "quantity", "amount", "amount_minor", "period_start", "period_end", "service_start", "service_end",
    "adjusts_line_id", "adjusts_invoice_id", "restated_quantity", "restated_amount_minor",
)  # fmt: skip


def record(row: Row, fields: tuple[str, ...]) -> str:
    """A record of the canonical text, from its description alone: each field followed by a tab."""
    written = []
    for name in fields:
        value = row[name]
        text = f"{value:.12f}" if isinstance(value, Decimal) else "" if value is None else str(value)
        for raw, escaped in (("\\", "\\\\"), ("\t", "\\t"), ("\n", "\\n"), ("\r", "\\r")):
            text = text.replace(raw, escaped)
        written.append(text + "\t")
    return "".join(written)


def test_a_receiver_can_recompute_the_content_hash(closed):
    home, _, _ = closed
    for closing_number in (1, 3):
        lines = home.exported("issued_lines", closing_number)
        for invoice in home.exported("issued_invoices", closing_number):
            mine = [line for line in lines if line["invoice_id"] == invoice["invoice_id"]]
            text = "\n".join([record(invoice, HEADER), *(record(line, LINE) for line in mine)])
            assert hashlib.sha256(text.encode()).hexdigest() == invoice["content_hash"]
    assert any(row["customer_name"] == ODD_NAME for row in home.exported("issued_invoices", 1))


# Any history


def at_random(facts: Facts, month: int, chance: random.Random, customers: int) -> None:
    """Everything that may become known in a month, for every customer some of it."""
    for number in range(customers):
        customer = f"r{number}"
        if month == 0:
            zone = chance.choice(["UTC", "America/New_York", "Asia/Tokyo"])
            facts.subscribe(customer, chance.choice(["basic", "pro"]), f"2024-01-{chance.randint(1, 20):02}")
            facts.customers[customer]["timezone"] = zone
        subscription = facts.subscriptions.get(customer)
        for _ in range(chance.randint(0, 3)):
            day = f"2024-{chance.randint(1, month + 1):02}-{chance.randint(1, 29):02}"
            facts.use(customer, day, chance.choice([1, 0.5, 60, 99, 100, 101, 600, 1000]))
        if month and facts.told and chance.random() < 0.5:
            mine = [event for batch in facts.told for event in batch if event["customer_id"] == customer]
            latest = {event["event_id"]: event for event in mine}
            if latest:
                event = chance.choice(sorted(latest.values(), key=lambda row: row["event_id"]))
                facts.events.append(
                    event
                    | {
                        "revision": event.get("revision", 0) + 1,
                        "quantity": str(chance.choice([0, 1, 50, 140, 1500])),
                        "is_void": chance.random() < 0.4,
                    }
                )
        if month and subscription and chance.random() < 0.3:
            subscription["started_on"] = f"2024-01-{chance.randint(1, 28):02}"
        if month and subscription and chance.random() < 0.1:
            subscription["ended_on"] = f"2024-0{chance.randint(1, month + 1)}-15"
        if month and chance.random() < 0.1:
            facts.subscribe(
                customer, "seats", f"2024-0{chance.randint(1, month + 1)}-11", name=f"{customer}-seats"
            )
            facts.use(customer, f"2024-0{month + 1}-12", chance.randint(1, 9), event_type="seat")
        elif month and chance.random() < 0.05:
            facts.subscriptions.pop(f"{customer}-seats", None)
        if chance.random() < 0.2 and subscription and subscription["plan_id"] == "pro":
            included = chance.choice(["500", "1500", "2000"])
            facts.overrides[customer, "calls"] = {
                "subscription_id": customer,
                "meter_id": "calls",
                "included": included,
            }


def test_any_history_comes_out_as_if_known_from_the_start(tmp_path):
    chance = random.Random(5)
    root = tmp_path / "home"
    root.mkdir()
    home, facts = BooksHome(root), Facts()
    kinds: dict[str, int] = defaultdict(int)
    for month, (through, clock) in enumerate(zip(MONTHS, CLOCKS, strict=True)):
        at_random(facts, month, chance, 60)
        home.as_of = f"{clock}T16:00:00+00:00"
        facts.hand_over(home)
        plan = home.plan(through)
        for row in plan.totals:
            for kind in ("invoice", "adjustment", "credit_note", "waiting"):
                kinds[kind] += row[f"{kind}_count"]
        home.close(through)
    assert home.close(MONTHS[-1]) is None
    assert kinds["waiting"] == 0
    assert min(kinds["invoice"], kinds["adjustment"], kinds["credit_note"]) > 30, (
        "the histories had corrections"
    )
    knowing = known_from_the_start(tmp_path / "knowing", facts, CLOCKS[-1])
    assert home.net_by_line() == rated(knowing, MONTHS[-1])
