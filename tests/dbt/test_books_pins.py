"""Issued cycles are held to the terms that they were issued with: catalog, time zone and anchor as they were then.

One home; January is issued, then documents change and usage of January arrives late.
"""

from copy import deepcopy
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from books_home import BooksHome
from test_books import CATALOG, Facts

Row = dict[str, Any]


def changed_catalog() -> dict[str, list[Row]]:
    """Calls now also count retries, and a version of Pro that is dated back to January halves its allowance."""
    catalog = deepcopy(dict(CATALOG))
    catalog["meter_event_types"].append({"meter_id": "calls", "event_type": "retry"})
    catalog["plans"].append(
        {"plan_id": "pro", "name": "Pro", "price": "99", "rank": 2, "effective_from": "2023-12-01"}
    )
    catalog["charges"].append(
        {
            "plan_id": "pro",
            "meter_id": "calls",
            "effective_from": "2023-12-01",
            "included": "500",
            "overage_model": "per_unit",
            "unit_amount": "0.02",
        }
    )
    return catalog


@pytest.fixture(scope="module")
def closed(
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[BooksHome, list[dict[str, list[Row]]], list[Row]]:
    """January and February closed, with the periods that had to be rated as they were issued."""
    root: Path = tmp_path_factory.mktemp("pins") / "home"
    root.mkdir()
    home, facts = BooksHome(root), Facts()
    for customer in ("meter", "zone", "anchor", "plain"):
        facts.subscribe(customer)
        facts.use(customer, "2024-01-10", 150)
    facts.subscribe("dated", "pro")
    facts.use("dated", "2024-01-10", 1100)
    # On 31 January at 20:00 in New York, in UTC already February.
    facts.use("zone", "2024-02-01", 10, occurred_at="2024-02-01T01:00:00Z")
    home.as_of = "2024-02-04T12:00:00+00:00"
    facts.hand_over(home)
    issued = [home.documents_of(home.close("2024-01-31"))]

    facts.use("meter", "2024-01-11", 5)
    facts.use("meter", "2024-01-12", 1000, event_type="retry")
    facts.use("dated", "2024-01-12", 3)
    facts.use("anchor", "2024-01-20", 4)
    facts.use("anchor", "2024-02-20", 130)
    facts.customers["zone"]["timezone"] = "America/New_York"
    facts.subscriptions["anchor"]["billing_anchor_day"] = 15
    home.as_of = "2024-03-04T12:00:00+00:00"
    facts.hand_over(home, changed_catalog())
    issued.append(home.documents_of(home.close("2024-02-29")))
    pinned = home.query("select * from int_periods_to_pin order by customer_id, period_start")
    # The cycle that the new anchor cut in two ends in March.
    home.as_of = "2024-03-20T12:00:00+00:00"
    issued.append(home.documents_of(home.close("2024-03-14")))
    home.net_by_line()
    return home, issued, pinned


def lines(documents: dict[str, list[Row]], customer: str) -> list[tuple[Any, ...]]:
    return [
        (row["line_type"], str(row["period_start"]), row["amount_minor"])
        for row in documents["lines"]
        if row["customer_id"] == customer
    ]


def test_only_periods_with_other_terms_are_rated_as_issued(closed):
    """Every customer on Basic is concerned by the meter; nobody else's January is."""
    _, _, pinned = closed
    assert {(row["customer_id"], str(row["period_start"])) for row in pinned} == {
        (customer, "2024-01-01") for customer in ("anchor", "dated", "meter", "plain", "zone")
    }


def test_late_usage_is_rated_by_the_meter_as_it_was(closed):
    """5 calls at 0.05; the 1000 retries were no calls in January."""
    _, (_, february, _), _ = closed
    assert [line for line in lines(february, "meter") if line[0] == "adjustment"] == [
        ("adjustment", "2024-01-01", 25)
    ]


def test_a_version_dated_back_does_not_reach_what_was_issued(closed):
    _, (january, february, _), _ = closed
    assert ("usage", "2024-01-01", 200) in lines(january, "dated")
    assert [line for line in lines(february, "dated") if line[0] == "adjustment"] == [
        ("adjustment", "2024-01-01", 6)
    ]
    assert [row for row in february["credits"] if row["customer_id"] == "dated"] == []


def test_another_time_zone_moves_no_event_of_an_issued_cycle(closed):
    """The event of 1 February in UTC stays out of January, which ended by UTC when it was issued."""
    _, (_, february, _), _ = closed
    assert [line for line in lines(february, "zone") if line[0] == "adjustment"] == []
    assert [row for row in february["credits"] if row["customer_id"] == "zone"] == []


def test_another_anchor_bills_no_day_twice_and_none_never(closed):
    home, (_, february, march), _ = closed
    # January stays as it was issued and gets its 4 late calls.
    assert ("adjustment", "2024-01-01", 20) in lines(february, "anchor")
    assert ("usage", "2024-02-15", 300) in lines(march, "anchor")
    days = home.query(
        "select distinct service_start, service_end from invoice_lines where customer_id = 'anchor'"
        " and line_type = 'price' order by 1"
    )
    stretches = [(row["service_start"], row["service_end"]) for row in days]
    assert stretches[0] == (date(2024, 1, 1), date(2024, 2, 1))
    assert all(before[1] == after[0] for before, after in pairwise(stretches))
    # 14 of 31 days of the cycle 15 January to 14 February are left of it: 31.00 x 14 / 31.
    assert stretches[1] == (date(2024, 2, 1), date(2024, 2, 15))
    assert ("price", "2024-01-15", 1400) in lines(february, "anchor")


def test_closing_again_changes_nothing(closed):
    home, _, _ = closed
    assert home.close("2024-03-14") is None
