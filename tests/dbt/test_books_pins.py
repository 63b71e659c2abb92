"""Issued cycles are held to the terms that they were issued with: catalog, time zone and anchor as they were then.

One home; January is issued, then documents change and usage of January arrives late.
"""

from copy import deepcopy
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from books_home import BooksHome
from test_books import CATALOG, Facts

Row = dict[str, Any]


# Zones far apart, one with half hours and two whose clocks change at midnight: as it was, at each closing, at last.
ZONES = (
    ("Pacific/Kiritimati", "Pacific/Pago_Pago", "Pacific/Kiritimati"),
    ("Pacific/Pago_Pago", "Pacific/Kiritimati", "Pacific/Pago_Pago"),
    ("UTC", "Asia/Kathmandu", "America/Havana"),
    ("America/Havana", "UTC", "Africa/Cairo"),
    ("Europe/Berlin", "America/New_York", "America/New_York"),
    ("Asia/Tokyo", "Asia/Tokyo", "UTC"),
    ("America/New_York", "Europe/Berlin", "America/New_York"),
)


def first_catalog() -> dict[str, list[Row]]:
    """With a plan without a line while nothing is used, one that bills every event, and one that passes cost on."""
    catalog = deepcopy(dict(CATALOG))
    for plan, meter, included in (("free", "bytes", "10"), ("each", "ticks", "0")):
        catalog["meters"].append({"meter_id": meter, "name": meter.capitalize()})
        catalog["meter_event_types"].append({"meter_id": meter, "event_type": meter})
        catalog["plans"].append({"plan_id": plan, "name": plan.capitalize(), "price": "0"})
        catalog["charges"].append(
            {
                "plan_id": plan,
                "meter_id": meter,
                "included": included,
                "overage_model": "per_unit",
                "unit_amount": "1",
            }
        )
    catalog["plans"].append({"plan_id": "euro", "name": "Euro", "price": "10", "currency": "EUR"})
    for plan, price in (("wrong", "10"), ("right", "20"), ("older", "31"), ("dual", "31")):
        catalog["plans"].append({"plan_id": plan, "name": plan.capitalize(), "price": price})
    catalog["plans"].append(
        {"plan_id": "young", "name": "Young", "price": "31", "effective_from": "2024-01-05"}
    )
    catalog["meters"].append({"meter_id": "gen", "name": "Generations"})
    catalog["meter_event_types"] += [{"meter_id": "gen", "event_type": kind} for kind in ("gen", "genx")]
    catalog["plans"].append({"plan_id": "cost", "name": "Cost", "price": "0"})
    catalog["charges"] += [
        {
            "plan_id": "cost",
            "meter_id": "gen",
            "included": "0",
            "overage_model": "cost_plus",
            "multiplier": "2",
        },
        catalog["charges"][-1] | {"plan_id": "cost"},
    ]
    return catalog


def changed_catalog() -> dict[str, list[Row]]:
    """Calls now also count retries, bytes also blobs, genx no generations; a version of Pro dated back halves its allowance.

    Others cost more, one in another currency.
    """
    catalog = first_catalog()
    catalog["meter_event_types"].append({"meter_id": "calls", "event_type": "retry"})
    catalog["meter_event_types"].append({"meter_id": "bytes", "event_type": "blob"})
    catalog["meter_event_types"].remove({"meter_id": "gen", "event_type": "genx"})
    catalog["plans"].append(
        {"plan_id": "pro", "name": "Pro", "price": "99", "rank": 2, "effective_from": "2023-12-01"}
    )
    dated_back(catalog, "older", "62")
    dated_back(catalog, "young", "62")
    dated_back(catalog, "dual", "50", currency="EUR")
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


def dated_back(catalog: dict[str, list[Row]], plan: str, price: str, **fields: str) -> dict[str, list[Row]]:
    """A version of a plan without charges that would have been in force in January."""
    version = {"plan_id": plan, "name": plan.capitalize(), "price": price, "effective_from": "2023-12-01"}
    catalog["plans"].append(version | fields)
    return catalog


def tick(facts: Facts, first: datetime, last: datetime) -> None:
    """An event of every customer in ZONES each 50 minutes."""
    moment = first
    while moment < last:
        for number in range(len(ZONES)):
            facts.use(f"zones-{number}", "", 1, event_type="ticks", occurred_at=moment.isoformat())
        moment += timedelta(minutes=50)


@pytest.fixture(scope="module")
def closed(
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[BooksHome, list[dict[str, list[Row]]], list[Row]]:
    """January and February closed, with the periods that had to be rated as they were issued."""
    root: Path = tmp_path_factory.mktemp("pins") / "home"
    root.mkdir()
    home, facts = BooksHome(root), Facts()
    for customer in ("meter", "west", "east", "anchor", "plain", "quiet"):
        facts.subscribe(customer)
        facts.use(customer, "2024-01-10", 150)
    facts.subscribe("currency", "seats")
    facts.subscribe("dated", "pro")
    facts.use("dated", "2024-01-10", 1100)
    facts.subscribe("quiet", "free", name="quiet-free")
    facts.use("quiet", "2024-01-10", 10, event_type="bytes")
    # On 31 January at 20:00 in New York, in UTC already February; in Tokyo February, in UTC still January.
    facts.use("west", "", 10, occurred_at="2024-02-01T01:00:00Z")
    facts.use("east", "", 60, occurred_at="2024-01-31T20:00:00Z")
    for customer in ("costed", "uncosted"):
        facts.subscribe(customer, "cost")
        facts.use(customer, "2024-01-10", 10, event_type="gen", cost_usd="5")
        facts.use(customer, "2024-01-10", 3, event_type="ticks")
    facts.use("uncosted", "2024-01-10", 1, event_type="genx")
    for customer in ("tie", "thrice"):
        facts.subscribe(customer, started_on="2024-02-29", billing_anchor_day=30)
    for customer in ("giver", "taker", "apart"):
        facts.subscribe(customer)
    facts.use("giver", "2024-01-10", 200, "moving")
    facts.use("apart", "2024-01-10", 200, "far")
    facts.subscribe("righted", "wrong")
    facts.subscribe("held", "older")
    facts.subscribe("dual", "dual")
    for customer in ("young", "younger"):
        facts.subscribe(customer, "young", "2024-01-10", billing_anchor_day=25)
    for number, zones in enumerate(ZONES):
        facts.subscribe(f"zones-{number}", "each")
        facts.customers[f"zones-{number}"]["timezone"] = zones[0]
    tick(facts, datetime(2024, 1, 30, tzinfo=UTC), datetime(2024, 2, 2, 12, tzinfo=UTC))
    home.as_of = "2024-02-04T12:00:00+00:00"
    facts.hand_over(home, first_catalog())
    issued = [home.documents_of(home.close("2024-01-31"))]

    facts.use("meter", "2024-01-11", 5)
    facts.use("meter", "2024-01-12", 1000, event_type="retry")
    facts.use("dated", "2024-01-12", 3)
    facts.use("anchor", "2024-01-20", 4)
    facts.use("anchor", "2024-02-20", 130)
    facts.use("west", "2024-02-10", 130)
    facts.use("east", "2024-02-10", 130)
    facts.use("east", "", 10, occurred_at="2024-01-31T21:00:00Z")
    facts.use("quiet", "2024-01-12", 5, event_type="bytes")
    facts.use("quiet", "2024-01-12", 100, event_type="blob")
    facts.use("plain", "2024-02-01", 7)
    facts.use("costed", "2024-01-12", 5, event_type="genx")
    facts.use("costed", "2024-01-12", 7, event_type="ticks")
    facts.customers["west"]["timezone"] = "America/New_York"
    facts.customers["east"]["timezone"] = "Asia/Tokyo"
    for number, zones in enumerate(ZONES):
        facts.customers[f"zones-{number}"]["timezone"] = zones[1]
    tick(facts, datetime(2024, 2, 28, tzinfo=UTC), datetime(2024, 3, 2, 12, tzinfo=UTC))
    facts.subscriptions["anchor"]["billing_anchor_day"] = 15
    facts.subscriptions["currency"]["plan_id"] = "euro"
    facts.use("taker", "2024-01-10", 200, "moving", revision=1)
    # 41 days on: another event, which takes nothing from apart.
    facts.use("taker", "2024-02-20", 1, "far", revision=1)
    facts.subscriptions["righted"]["plan_id"] = "right"
    facts.subscriptions["held"]["plan_version"] = "2023-12-01"
    facts.subscriptions["young"]["started_on"] = "2024-01-01"
    facts.subscriptions["younger"]["started_on"] = "2024-01-07"
    home.as_of = "2024-03-04T12:00:00+00:00"
    facts.hand_over(home, changed_catalog())
    issued.append(home.documents_of(home.close("2024-02-29")))
    pinned = home.query("select * from int_periods_to_pin order by customer_id, period_start")
    # The cycle that the new anchor cut in two ends in March.
    for number, zones in enumerate(ZONES):
        facts.customers[f"zones-{number}"]["timezone"] = zones[2]
    home.as_of = "2024-04-01T12:00:00+00:00"
    facts.use("righted", "2024-01-12", 1)
    facts.hand_over(home, dated_back(changed_catalog(), "right", "50"))
    issued.append(home.documents_of(home.close("2024-03-30")))
    for customer in ("tie", "thrice"):
        facts.subscriptions[customer]["billing_anchor_day"] = 31
    facts.hand_over(home, dated_back(changed_catalog(), "right", "50"))
    issued.append(home.documents_of(home.close("2024-03-30")))
    facts.subscriptions["thrice"]["billing_anchor_day"] = 15
    home.as_of = "2024-04-16T12:00:00+00:00"
    facts.hand_over(home, dated_back(changed_catalog(), "right", "50"))
    issued.append(home.documents_of(home.close("2024-04-14")))
    return home, issued, pinned


def lines(documents: dict[str, list[Row]], customer: str) -> list[tuple[Any, ...]]:
    return [
        (row["line_type"], str(row["period_start"]), row["amount_minor"])
        for row in documents["lines"]
        if row["customer_id"] == customer
    ]


def test_only_periods_with_other_terms_and_news_are_rated_as_issued(closed):
    """The meters concern everybody. West only moved, and plain's usage is of the day after: no news of January."""
    _, _, pinned = closed
    assert {(row["subscription_id"], str(row["period_start"])) for row in pinned} == {
        (subscription, "2024-01-01")
        for subscription in (
            "anchor",
            "costed",
            "dated",
            "east",
            "giver",
            "meter",
            "quiet",
            "quiet-free",
            "taker",
            "uncosted",
        )
    }


def test_late_usage_is_rated_by_the_meter_as_it_was(closed):
    """5 calls at 0.05; the 1000 retries were no calls in January."""
    _, (_, february, *_), _ = closed
    assert [line for line in lines(february, "meter") if line[0] == "adjustment"] == [
        ("adjustment", "2024-01-01", 25)
    ]


def test_a_version_dated_back_does_not_reach_what_was_issued(closed):
    _, (january, february, *_), _ = closed
    assert ("usage", "2024-01-01", 200) in lines(january, "dated")
    assert [line for line in lines(february, "dated") if line[0] == "adjustment"] == [
        ("adjustment", "2024-01-01", 6)
    ]
    assert [row for row in february["credits"] if row["customer_id"] == "dated"] == []


def test_a_subscription_without_a_line_is_held_to_its_terms_too(closed):
    """10 bytes were included in January, so nothing was billed; 5 more are 5.00, and the 100 blobs no bytes yet."""
    home, (january, february, *_), _ = closed
    assert lines(january, "quiet") == [("price", "2024-01-01", 3100), ("usage", "2024-01-01", 500)]
    assert ("adjustment", "2024-01-01", 500) in lines(february, "quiet")
    periods = home.exported("issued_periods", 1)
    assert {row["subscription_id"] for row in periods if row["customer_id"] == "quiet"} == {
        "quiet",
        "quiet-free",
    }


def test_another_time_zone_moves_no_event_of_an_issued_cycle(closed):
    """January ended by UTC: west's event after it is February's, east's before it stay January's, the late one too."""
    _, (_, february, *_), _ = closed
    assert [line for line in lines(february, "west") if line[0] == "adjustment"] == []
    assert ("usage", "2024-02-01", 400) in lines(february, "west")
    assert ("usage", "2024-02-01", 300) in lines(february, "east")
    assert [line for line in lines(february, "east") if line[0] == "adjustment"] == [
        ("adjustment", "2024-01-01", 13)
    ]
    assert [row for row in february["credits"] if row["customer_id"] in ("west", "east")] == []


def test_every_event_is_billed_once_whatever_its_zone_becomes(closed):
    home, issued, _ = closed
    billed = home.query("""
        select customer_id, cast(sum(quantity) as integer) as quantity, count(*) as cycles from int_rated_lines
        where customer_id like 'zones-%' group by all order by all
    """)
    events = home.query("""
        select customer_id, cast(sum(quantity) as integer) as quantity from int_daily_quantities
        where customer_id like 'zones-%' group by all order by all
    """)
    sent = 2 * 101
    assert [row["quantity"] for row in events] == [sent] * len(ZONES)
    assert [(row["quantity"], row["cycles"]) for row in billed] == [(sent, 3)] * len(ZONES)
    corrections = [
        row for documents in issued for kind in ("lines", "credits") for row in documents[kind]
        if row["customer_id"].startswith("zones-") and row.get("line_type") != "usage"
    ]  # fmt: skip
    assert corrections == []


def test_another_anchor_bills_no_day_twice_and_none_never(closed):
    home, (_, february, march, *_), _ = closed
    # January stays as it was issued and gets its 4 late calls.
    assert ("adjustment", "2024-01-01", 20) in lines(february, "anchor")
    assert ("usage", "2024-02-15", 300) in lines(march, "anchor")
    days = home.query(
        "select distinct service_start, service_end from int_rated_lines where customer_id = 'anchor'"
        " and line_type = 'price' order by 1"
    )
    stretches = [(row["service_start"], row["service_end"]) for row in days]
    assert stretches[0] == (date(2024, 1, 1), date(2024, 2, 1))
    assert all(before[1] == after[0] for before, after in pairwise(stretches))
    # 14 of 31 days of the cycle 15 January to 14 February are left of it: 31.00 x 14 / 31.
    assert stretches[1] == (date(2024, 2, 1), date(2024, 2, 15))
    assert ("price", "2024-01-15", 1400) in lines(february, "anchor")


def test_cycles_that_begin_on_one_day_keep_their_days_apart(closed):
    """Anchor 30 made the cycle 29 February to 29 March; after it, 31 has one day left of the cycle that begins then."""
    home, (_, _, march, again, _), _ = closed
    assert lines(march, "tie") == [("price", "2024-02-29", 3100)]
    assert lines(again, "tie") == [("price", "2024-03-30", 100)]
    found = home.query("""
        select cast(period_start as varchar) as period_start, cast(service_start as varchar) as service_start,
            cast(service_end as varchar) as service_end, amount_minor
        from int_rated_lines where customer_id = 'tie' order by period_start
    """)
    assert [tuple(row.values()) for row in found] == [
        ("2024-02-29", "2024-02-29", "2024-03-30", 3100),
        ("2024-03-30", "2024-03-30", "2024-03-31", 100),
        ("2024-03-31", "2024-03-31", "2024-04-30", 3100),
    ]


def test_a_cycle_on_invoices_in_two_currencies_is_one_cycle(closed):
    """Seats, 5 USD, was the wrong plan: January is credited and billed in euros; nothing more comes of it."""
    home, (january, february, march, *_), _ = closed
    assert lines(january, "currency") == [("price", "2024-01-01", 500)]
    assert ("price", "2024-01-01", 1000) in lines(february, "currency")
    assert [row["amount_minor"] for row in february["credits"] if row["customer_id"] == "currency"] == [500]
    assert lines(march, "currency") == []
    found = home.query("select period_start from int_service_periods where customer_id = 'currency'")
    assert len(found) == len({row["period_start"] for row in found}) == 4


def test_what_pinned_terms_cannot_rate_corrects_nothing_else(closed):
    """A late genx, a generation in January, has no cost: its line stays at 10.00 as issued; 7 late ticks are 7.00."""
    _, (january, february, march, *_), _ = closed
    assert ("usage", "2024-01-01", 1000) in lines(january, "costed")
    assert lines(february, "costed") == [("adjustment", "2024-01-01", 700)]
    assert lines(march, "costed") == []
    assert [row for row in february["credits"] + march["credits"] if row["customer_id"] == "costed"] == []


def test_a_line_that_could_not_be_rated_is_billed_once_it_can(closed):
    """January's terms cannot rate it, so it was not issued and they do not hold it: 10 gen at cost 5 x 2."""
    _, (january, february, march, *_), _ = closed
    assert lines(january, "uncosted") == [("usage", "2024-01-01", 300)]
    assert lines(february, "uncosted") == [("adjustment", "2024-01-01", 1000)]
    assert lines(march, "uncosted") == []


def test_an_event_that_moves_to_another_customer_is_credited_to_the_one_who_loses_it(closed):
    """200 calls, 100 of them over: 50 at 0.10 and 50 at 0.05. An event of the same id 41 days apart is another one."""
    _, (january, february, *_), _ = closed
    assert ("usage", "2024-01-01", 750) in lines(january, "giver")
    credits = [(row["customer_id"], row["amount_minor"]) for row in february["credits"]]
    assert [row for row in credits if row[0] in ("giver", "taker", "apart")] == [("giver", 750)]
    assert ("adjustment", "2024-01-01", 750) in lines(february, "taker")
    assert [line for line in lines(february, "apart") if line[0] == "adjustment"] == []


def test_what_a_correction_billed_holds_like_an_invoice(closed):
    """Wrong, 10.00, was put right to Right, 20.00. A version of Right dated back, 50.00, rates March, nothing before."""
    home, (january, february, march, *_), _ = closed
    assert lines(january, "righted") == [("price", "2024-01-01", 1000)]
    assert ("adjustment", "2024-01-01", 1000) in lines(february, "righted")
    later = [documents for documents in closed[1][2:]]
    assert [
        line for documents in later for line in lines(documents, "righted") if line[0] == "adjustment"
    ] == []
    found = home.query("select plan_version from int_service_periods where subscription_id = 'righted'")
    assert {str(row["plan_version"]) for row in found} == {"2023-12-01"}
    pins = [
        (number, row["plan_id"])
        for number in (1, 2, 3)
        for row in home.exported("issued_periods", number)
        if row["subscription_id"] == "righted" and str(row["period_start"]) == "2024-01-01"
    ]
    assert pins == [(1, "wrong"), (2, "right")]
    assert march["credits"] == []


def test_a_version_that_the_accounts_name_later_counts_as_known_now(closed):
    """Older was 31.00 in January's catalog, which did not know the version that the subscription is held to now."""
    _, (january, february, march, *_), _ = closed
    assert lines(january, "held") == [("price", "2024-01-01", 3100)]
    assert sorted(lines(february, "held")) == [
        ("adjustment", "2024-01-01", 3100),
        ("price", "2024-02-01", 6200),
    ]
    assert [row for row in february["credits"] + march["credits"] if row["customer_id"] == "held"] == []


def test_a_first_day_before_the_version_issued_goes_by_the_one_in_force_then(closed):
    """15 of 31 days of 31.00 were billed. From 1 January it is 24 days of 62.00, from 7 January 18 days of 31.00."""
    _, (january, february, *_), _ = closed
    assert lines(january, "young") == lines(january, "younger") == [("price", "2023-12-25", 1500)]
    assert ("adjustment", "2023-12-25", 3300) in lines(february, "young")
    assert ("adjustment", "2023-12-25", 300) in lines(february, "younger")
    assert [row for row in february["credits"] if row["customer_id"].startswith("young")] == []


def test_a_version_dated_back_in_another_currency_makes_no_second_invoice(closed):
    _, (january, february, *_), _ = closed
    assert lines(january, "dual") == [("price", "2024-01-01", 3100)]
    assert lines(february, "dual") == [("price", "2024-02-01", 5000)]


def test_an_anchor_edited_twice_loses_no_day(closed):
    """Two issued cycles end within the one that anchor 15 gives: 15 of its 31 days are left, 31 March to 14 April."""
    home, (*_, april), _ = closed
    assert lines(april, "thrice") == [("price", "2024-03-15", 1500)]
    days = home.query(
        "select service_start, service_end from int_service_periods where subscription_id = 'thrice' order by 1"
    )
    stretches = [(row["service_start"], row["service_end"]) for row in days]
    assert stretches[:3] == [
        (date(2024, 2, 29), date(2024, 3, 30)),
        (date(2024, 3, 30), date(2024, 3, 31)),
        (date(2024, 3, 31), date(2024, 4, 15)),
    ]
    assert all(before[1] == after[0] for before, after in pairwise(stretches))


def test_closing_again_changes_nothing(closed):
    home, _, _ = closed
    assert home.close("2024-04-14") is None
