"""What a dry run points at: each warning's smallest case, and beside it the nearest one that nobody need look at.

One home: January to March are closed, April is about to be. A call costs a cent.
"""

from pathlib import Path
from typing import Any

import pytest
from books_home import BooksHome
from test_books import Facts

from pipelines.books.plan import ClosingPlan, negative_margins

Row = dict[str, Any]

CATALOG: dict[str, list[Row]] = {
    "meters": [{"meter_id": "calls"}, {"meter_id": "own", "billable": False}],
    "meter_event_types": [
        {"meter_id": "calls", "event_type": "call"},
        {"meter_id": "own", "event_type": "own"},
    ],
    "plans": [{"plan_id": "usd"}, {"plan_id": "eur", "currency": "EUR"}],
    "charges": [
        {"plan_id": plan, "meter_id": "calls", "included": "0", "overage_model": "per_unit", "unit_amount": "0.01"}
        for plan in ("usd", "eur")
    ],
}  # fmt: skip
# Calls in January to March, and in April.
OUTLIERS = {
    "twice_as_much": ((1000, 1000, 1000), 2000),
    "a_cent_more": ((1000, 1000, 1000), 2001),
    "half_as_much": ((1000, 1000, 1000), 500),
    "a_cent_less": ((1000, 1000, 1000), 499),
    "within_its_range": ((500, 2000, 900), 4000),
    "beyond_its_range": ((500, 2000, 900), 4001),
    "known_for_two_cycles": ((0, 1000, 1000), 9000),
}
# Provider cost of the calls of a month that brings 10.00.
MARGINS = {"costs_what_it_brings": "10.00", "costs_a_cent_more": "10.01"}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> BooksHome:
    root: Path = tmp_path_factory.mktemp("warnings") / "home"
    root.mkdir()
    home, facts = BooksHome(root), Facts()
    for customer, (before, _) in OUTLIERS.items():
        facts.subscribe(customer, "usd")
        for month, quantity in enumerate(before, 1):
            facts.use(customer, f"2024-{month:02}-10", quantity)
    facts.subscribe("pays_in_two_currencies", "usd", ended_on="2024-04-01")
    for month in (1, 2, 3):
        facts.use("pays_in_two_currencies", f"2024-{month:02}-10", 1000)
    facts.subscribe("cost_more_before", "usd")
    facts.use("cost_more_before", "2024-03-10", 1000, cost_usd="10.01")
    facts.use("stranger", "2024-03-31", 1)
    home.as_of = "2024-04-04T12:00:00+00:00"
    facts.hand_over(home, CATALOG)
    assert home.close("2024-03-31")

    for customer, (_, now) in OUTLIERS.items():
        facts.use(customer, "2024-04-10", now)
    facts.subscribe("pays_in_two_currencies", "eur", "2024-04-01", name="in_euros")
    facts.use("pays_in_two_currencies", "2024-04-10", 9000)
    for customer, cost in MARGINS.items():
        facts.subscribe(customer, "usd", "2024-04-01")
        facts.use(customer, "2024-04-10", 1000, cost_usd=cost)
    facts.use("cost_more_before", "2024-04-10", 1000, cost_usd="10.00")
    # The first and the last day of what is closed, and the day after.
    for day in ("2024-04-01", "2024-04-30", "2024-05-01"):
        facts.use("stranger", day, 1)
        facts.use("a_cent_more", day, 1, event_type="odd")
        facts.use("a_cent_more", day, 0, provider="acme", model="m")
    facts.use("a_cent_more", "2024-04-10", 1, event_type="own")
    facts.use("a_cent_more", "2024-04-11", 0, provider="acme", model="m", cost_usd="0.5")
    facts.customers["left"] = {"customer_id": "left", "name": "Left", "inactive_from": "2024-04-01"}
    facts.use("left", "2024-04-10", 1)
    home.as_of = "2024-05-04T12:00:00+00:00"
    facts.hand_over(home, CATALOG)
    return home


@pytest.fixture(scope="module")
def plan(home: BooksHome) -> ClosingPlan:
    return home.plan("2024-04-30")


def of_kind(plan: ClosingPlan, kind: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for row in plan.warnings:
        if row["kind"] == kind:
            found.setdefault(row["customer_id"], []).append(row["message"])
    return found


def test_an_invoice_is_an_outlier_beyond_twice_the_most_and_below_half_the_least(plan):
    """Only for who has three invoices in the currency."""
    assert of_kind(plan, "outlier") == {
        "a_cent_more": ["20.01 USD for 2024-04-01 to 2024-04-30; before, from 10.00 to 10.00"],
        "a_cent_less": ["4.99 USD for 2024-04-01 to 2024-04-30; before, from 10.00 to 10.00"],
        "beyond_its_range": ["40.01 USD for 2024-04-01 to 2024-04-30; before, from 5.00 to 20.00"],
    }


def test_unbilled_usage_of_the_days_that_are_closed_is_named_by_its_reason(plan):
    """Not what is metered on purpose, nor what a customer does who has left."""
    assert of_kind(plan, "unbilled usage") == {
        "stranger": ["2 events of call, not billed: unknown customer"],
        "a_cent_more": ["2 events of odd, not billed: no meter"],
    }


def test_usage_without_a_known_cost_is_named(plan):
    """Two events of a model that no list prices; the third has a cost of its sender."""
    [(customer, [message])] = of_kind(plan, "unknown cost").items()
    assert customer == "a_cent_more"
    assert message.startswith("2 events without a known provider cost: ")


def test_a_month_that_costs_more_than_it_brings_is_named(home, plan):
    """Of the months that are issued now: March cost more too, but is issued already."""
    home.build(select="+negative_margins", told={"close_through": "2024-04-30"})
    assert [(row["customer_id"], row["message"]) for row in negative_margins(home.warehouse_file)] == [
        ("costs_a_cent_more", "a margin of -0.01 USD in 2024-04")
    ]
    assert home.query("select margin_usd from customer_margins where customer_id = 'cost_more_before'"
                      " and margin_usd < 0")  # fmt: skip


def test_totals_are_told_by_currency(plan):
    """Usage of everybody at a cent a call; the Euros apart."""
    told = {
        row["currency"]: (row["invoice_count"], row["invoiced_text"], row["net_text"]) for row in plan.totals
    }
    cents = sum(now for _, now in OUTLIERS.values()) + 1000 * (len(MARGINS) + 1)
    words = f"{cents // 100:,}.{cents % 100:02}"
    assert told == {"USD": (len(OUTLIERS) + len(MARGINS) + 1, words, words), "EUR": (1, "90.00", "90.00")}


def test_once_issued_there_is_nothing_to_look_at(home):
    """What was said before a closing is not said again after it."""
    assert home.close("2024-04-30")
    assert home.plan("2024-04-30").warnings == []
