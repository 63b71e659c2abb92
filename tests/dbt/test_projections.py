"""What is about to happen, one customer per case, all projected in one dbt build. Expectations are worked out by hand.

The clock is noon UTC on Friday 15 March 2024 and cycles are calendar months: 14 days are over, half of the 15th and
16 days are to come, 16.5 in all. The 28 days before it are 16 February to 14 March, halved on 1 March.
"""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from rating_lake import RatingHome

# dbt leaves its log files open.
pytestmark = pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning"
)

SELECT = "+usage_projections +projected_invoices +quota_predictions +plan_comparisons +daily_usage"
TODAY = date(2024, 3, 15)
FEBRUARY, MARCH = date(2024, 2, 1), date(2024, 3, 1)
METERS = [
    {"meter_id": "units", "unit": "request"},
    {"meter_id": "tokens", "unit": "token"},
    {"meter_id": "disk", "aggregation": "max", "carry_forward": True},
    {"meter_id": "seats", "aggregation": "latest", "carry_forward": True, "per": "resource"},
    {"meter_id": "users", "aggregation": "unique", "field": "user_id"},
]
Event = tuple[date, str, dict[str, Any]]


def days(first: date, last: date, quantity: str = "4", **fields: Any) -> list[Event]:
    """The same usage on every day from one to another, both included."""
    return [(first + timedelta(days=number), quantity, fields) for number in range((last - first).days + 1)]


def on(day: str, quantity: str = "1", **fields: Any) -> list[Event]:
    return [(date.fromisoformat(f"2024-{day}"), quantity, fields)]


def charge(included: str | None = "100", unit_amount: str | None = "0.5", **terms: Any) -> dict[str, Any]:
    model = {"overage_model": "per_unit", "unit_amount": unit_amount} if unit_amount else {}
    return {"meter_id": "units", "included": included} | model | terms


STEADY = days(FEBRUARY, TODAY)
"""4 a day, today's included: 60 in March so far, 62 by tonight, 126 by its end."""


@dataclass(frozen=True)
class Case:
    """A customer on a plan of its own (10 USD a month) and what is expected of its only charge."""

    name: str
    events: Sequence[Event]
    expected: Mapping[str, Any]
    charge: Mapping[str, Any] = field(default_factory=charge)
    subscription: Mapping[str, Any] = field(default_factory=dict)
    customer: Mapping[str, Any] = field(default_factory=dict)
    tiers: Sequence[tuple[str | None, str]] = ()


def bounds(low: str, projected: str, high: str, **more: Any) -> dict[str, Any]:
    return {"low_quantity": low, "projected_quantity": projected, "high_quantity": high} | more


def amount(projected: str) -> dict[str, Any]:
    return {"projected_amount": projected}


def exhausted(day: str | None) -> dict[str, Any]:
    return {"exhausted_on": date.fromisoformat(f"2024-{day}") if day else None}


TRENDING = days(date(2024, 2, 16), date(2024, 2, 29), "2")
MONDAYS = on("03-04", "14") + on("03-11", "14")
WEEKS = [
    *days(date(2024, 2, 16), date(2024, 2, 22), "1"), *days(date(2024, 2, 23), date(2024, 3, 7), "3"),
    *days(date(2024, 3, 8), date(2024, 3, 14), "1"),
]  # fmt: skip
USERS = [
    *on("02-15", user_id="too long ago"), *on("02-16", user_id="a"), *on("02-29", user_id="b"),
    *on("02-29", user_id="c"), *on("02-29", user_id="d"), *on("03-02", user_id="d"),
]  # fmt: skip
TIERS = [("10", "1"), (None, "0.1")]

CASES = [
    Case("steady", STEADY, bounds("126", "126", "126", quantity="60", amount="0", **amount("13"))),
    Case("without usage", [], bounds("0", "0", "0", quantity="0", **amount("0"), **exhausted(None))),
    Case("usage that ended 29 days ago", on("02-15", "900"), bounds("0", "0", "0")),
    # A Friday: 7 on one of four, less a fifth; half of today, the 22nd and the 29th.
    Case("usage that ended 28 days ago", on("02-16", "28"), {"projected_quantity": "14"}),
    # 28 days: four of each weekday; Mondays to come are the 18th and the 25th.
    Case("Mondays only", [*on("02-19", "14"), *on("02-26", "14"), *MONDAYS], bounds("56", "56", "56")),
    Case("14 days know their weekdays", MONDAYS, bounds("56", "56", "56"), subscription={"started_on": "2024-03-01"}),
    # 28 over 13 days, and 16.5 days like these; one full week says nothing about other weeks.
    Case("13 days do not", [(day, "13", more) for day, _, more in MONDAYS], bounds("26", "59", "92"),
         subscription={"started_on": "2024-03-02"}),
    # 2.2 against 2: 1.1 times a mean of 2.1, and 30.8 so far.
    Case("a rise of a tenth", TRENDING + days(MARCH, date(2024, 3, 14), "2.2"), {"projected_quantity": "68.915"}),
    # Mean 2.25 times 1.25, and 35 so far.
    Case("a rise of a quarter", TRENDING + days(MARCH, date(2024, 3, 14), "2.5"), {"projected_quantity": "81.40625"}),
    # Twice as much counts as a quarter more: mean 3, 56 so far.
    Case("a steep rise", TRENDING + days(MARCH, date(2024, 3, 14), "4"), {"projected_quantity": "117.875"}),
    # Half as much counts as a fifth less: mean 1.5, 14 so far.
    Case("a steep fall", TRENDING + days(MARCH, date(2024, 3, 14), "1"), {"projected_quantity": "33.8"}),
    # Weeks of 7, 21, 21 and 7: half and one and a half of the mean of 2 a day; 28 so far.
    Case("uneven weeks", WEEKS, bounds("44.5", "61", "77.5")),
    Case("more is known of a day ahead", STEADY + on("03-20", "10"), bounds("132", "132", "132", quantity="70")),
    Case("less is known of a day ahead", STEADY + on("03-20", "3"), bounds("126", "126", "126", quantity="63")),
    # 01:00 on the 16th: 23 of its 24 hours to come, and 15 days.
    Case("a day ahead of UTC", days(FEBRUARY, TODAY, "24"), {"projected_quantity": "743"},
         customer={"timezone": "Pacific/Auckland"}),
    # Cumulative: 98 on the 24th, 102 on the 25th.
    Case("an allowance passed", STEADY, exhausted("03-25"), charge("101.999999")),
    Case("an allowance reached the same day", STEADY, exhausted("03-26"), charge("102")),
    Case("an allowance passed on the last day", STEADY, exhausted("03-31"), charge("125.999999")),
    Case("an allowance just enough", STEADY, exhausted(None) | amount("0"), charge("126")),
    Case("an allowance passed tonight", STEADY, exhausted("03-15"), charge("61.999999")),
    Case("an allowance passed long ago", STEADY, exhausted("03-03") | {"amount": "24.5"}, charge("11")),
    Case("an allowance of nothing", STEADY, exhausted("03-01"), charge("0")),
    Case("an unlimited allowance", STEADY, exhausted(None) | {"allowance": None}, charge(None)),
    # 14 days and 16 days over by 1, today by 3.
    Case("a daily allowance", STEADY, exhausted("03-01") | {"projected_overage_quantity": "33"}, charge("3", reset="day")),
    Case("a daily allowance passed today", STEADY, exhausted("03-15") | {"projected_overage_quantity": "1"},
         charge("5", reset="day")),
    Case("a daily allowance just enough", STEADY, exhausted(None), charge("6", reset="day")),
    # From 20 February to 20 March: 36 and 60 so far, 2 + 4 * 4 to come; April's window is not in it.
    Case("an allowance by calendar month", STEADY, exhausted("03-18") | {"projected_overage_quantity": "8"},
         charge("70", reset="calendar_month"), {"billing_anchor_day": 20}),
    # 26 over: 10 at 1 and 16 at 0.1; three started packages; all of it at the second price.
    Case("graduated", STEADY, amount("11.6"), charge(overage_model="graduated", unit_amount=None), tiers=TIERS),
    Case("packages", STEADY, amount("9"),
         charge(overage_model="package", unit_amount=None, package_size="10", package_amount="3")),
    Case("volume", STEADY, amount("2.6"), charge(overage_model="volume", unit_amount=None), tiers=TIERS),
    # 15 USD so far and as much a day as before: 31.5 for 126, of which 26 at twice the cost.
    Case("cost plus", days(FEBRUARY, TODAY, cost_usd="1"), amount("13"),
         charge(overage_model="cost_plus", unit_amount=None, multiplier="2")),
    Case("without a price", STEADY, amount("0") | exhausted("03-25") | {"is_priced": False}, charge(unit_amount=None)),
    Case("a level stays", on("02-20", "5") + on("03-05", "7") + on("03-06", "6"),
         bounds("7", "7", "7", **exhausted("03-05")), charge("6.5", meter_id="disk")),
    Case("a level at its allowance", on("02-20", "5") + on("03-05", "7"), exhausted(None), charge("7", meter_id="disk")),
    Case("a level above from the start", on("02-20", "5") + on("03-05", "7"), exhausted("03-01"),
         charge("4", meter_id="disk")),
    Case("levels by resource", on("03-02", "2", resource="a") + on("03-06", "2", resource="b"),
         bounds("4", "4", "4", **exhausted("03-06")), charge("3", meter_id="seats")),
    Case("a level that fell again", on("03-02", "5", resource="a") + on("03-06", "2", resource="a"),
         bounds("2", "2", "2", **exhausted(None)), charge("3", meter_id="seats")),
    # d so far; a, b and c were there in the last 28 days: 17 of 31 days are left for them.
    Case("users who may return", USERS, bounds("1", "3", "4"), charge("3", meter_id="users")),
    Case("users above the allowance", USERS + on("03-04", user_id="e"), exhausted("03-04"), charge("1", meter_id="users")),
    Case("users who may be too many", USERS, exhausted("03-31"), charge("2", meter_id="users")),
    Case("users who may be just enough", USERS, exhausted(None), charge("3", meter_id="users")),
    Case("hard limit", STEADY, exhausted("03-25"), charge(limit="hard")),
    Case("tokens", STEADY, {"projected_quantity": "126"}, charge(meter_id="tokens")),
]  # fmt: skip
CASES += [
    Case(f"service over: {name}", events, {}, terms, {"ended_on": "2024-03-11"}, tiers=tiers)
    for name, events, terms, tiers in (
        ("per unit", STEADY, charge("10.5", prorate_included=True), ()),
        ("graduated", STEADY, charge("1", overage_model="graduated", unit_amount=None), TIERS),
        ("a level", on("02-20", "5") + on("03-05", "7"), charge("1", meter_id="disk"), ()),
        ("users", USERS, charge("0", meter_id="users"), ()),
        ("daily", STEADY, charge("1", reset="day"), ()),
    )
]
ENDED = [case.name for case in CASES if case.name.startswith("service over")]
COSTING = days(FEBRUARY, TODAY, cost_usd="1")
"""1 USD a day: 15 in March so far, 15.5 by tonight, 31.5 by its end; its invoice will be 10 and 13 USD."""
BUDGETS: dict[str, tuple[Mapping[str, str], bool | None, str]] = {
    "a budget just enough": ({"amount": "31.5"}, False, "expect_overage"),
    "a budget exceeded": ({"amount": "31.499999"}, True, "reduce_cost"),
    "a budget of the day just enough": ({"period": "day", "amount": "1.5"}, False, "expect_overage"),
    "a budget of the day exceeded": ({"period": "day", "amount": "1.499999"}, True, "reduce_cost"),
    "a budget of the invoice just enough": ({"measure": "invoice", "amount": "23"}, False, "expect_overage"),
    "a budget of the invoice exceeded": ({"measure": "invoice", "amount": "22.99"}, True, "reduce_cost"),
    "pause reached": ({"amount": "50", "pause_at": "0.3"}, False, "pause"),
    "pause not reached": ({"amount": "50", "pause_at": "0.300001"}, False, "expect_overage"),
    "pause of the invoice reached": (
        {"measure": "invoice", "amount": "50", "pause_at": "0.2"},
        False,
        "pause",
    ),
    "pause of the invoice not reached": (
        {"measure": "invoice", "amount": "50", "pause_at": "0.200001"},
        False,
        "expect_overage",
    ),
    "pause of the day reached": ({"period": "day", "amount": "50", "pause_at": "0.02"}, False, "pause"),
    "pause of the day not reached": (
        {"period": "day", "amount": "50", "pause_at": "0.020001"},
        False,
        "expect_overage",
    ),
    "pause of the invoice by day reached": (
        {"measure": "invoice", "period": "day", "amount": "1", "pause_at": "1"},
        None,
        "pause",
    ),
    "pause of the invoice by day not reached": (
        {"measure": "invoice", "period": "day", "amount": "1", "pause_at": "1.000001"},
        None,
        "expect_overage",
    ),
    "a budget passed long ago": ({"amount": "14"}, True, "reduce_cost"),
    "a budget reached today": ({"amount": "15"}, True, "reduce_cost"),
    "a currency without a rate": ({"amount": "1", "currency": "KWD"}, None, "expect_overage"),
}
# 60 units so far, 2 of them above this on the clock's day: 1 USD.
GROWING = {f"pause of the invoice by day {end}": charge("58") for end in ("reached", "not reached")}
CASES += [Case(name, COSTING, {}, GROWING.get(name, charge())) for name in BUDGETS]
# 26 over: 0.8671 dinars and 14.508 yen, each rounded as its invoice would be; with the price, 10.867 and 25.
IN_OTHER_UNITS = {"KWD": ("0.03335", 867, 10867), "JPY": ("0.558", 15, 25)}
CASES += [
    Case(currency, STEADY, {"projected_minor": minor}, charge(unit_amount=unit_amount))
    for currency, (unit_amount, minor, _) in IN_OTHER_UNITS.items()
]
ALLOWANCE = ("units", None)
COST, DAY, INVOICE = (
    (None, f"{measure} in USD per {period}")
    for measure, period in (("provider_cost", "month"), ("provider_cost", "day"), ("invoice", "month"))
)
OVERRUNS: dict[str, list[tuple[str | None, str | None, str, str, str]]] = {
    "an allowance passed": [(*ALLOWANCE, "126", "101.999999", "03-01")],
    "an allowance passed on the last day": [(*ALLOWANCE, "126", "125.999999", "03-01")],
    "an allowance passed tonight": [(*ALLOWANCE, "126", "61.999999", "03-01")],
    "an allowance just enough": [],
    "an allowance passed long ago": [],
    "an unlimited allowance": [],
    # Its first window to pass, said once per cycle; 3 a day were passed before.
    "a daily allowance passed today": [(*ALLOWANCE, "6", "5", "03-01")],
    "a daily allowance just enough": [],
    "a daily allowance": [],
    "an allowance by calendar month": [(*ALLOWANCE, "78", "70", "02-20")],
    "users who may be too many": [("users", None, "3", "2", "03-01")],
    "users who may be just enough": [],
    "users above the allowance": [],
    "a level stays": [],
    "service over: per unit": [],
    "hard limit": [(*ALLOWANCE, "126", "100", "03-01")],
    "a budget just enough": [(*ALLOWANCE, "126", "100", "03-01")],
    "a budget exceeded": [(*ALLOWANCE, "126", "100", "03-01"), (*COST, "31.5", "31.499999", "03-01")],
    "a budget reached today": [(*ALLOWANCE, "126", "100", "03-01"), (*COST, "31.5", "15", "03-01")],
    "a budget passed long ago": [(*ALLOWANCE, "126", "100", "03-01")],
    "a budget of the day just enough": [(*ALLOWANCE, "126", "100", "03-01")],
    "a budget of the day exceeded": [(*ALLOWANCE, "126", "100", "03-01"), (*DAY, "1.5", "1.499999", "03-15")],
    "a budget of the invoice just enough": [(*ALLOWANCE, "126", "100", "03-01")],
    "a budget of the invoice exceeded": [
        (*ALLOWANCE, "126", "100", "03-01"), (*INVOICE, "23", "22.99", "03-01"),
    ],
    "a currency without a rate": [(*ALLOWANCE, "126", "100", "03-01")],
}  # fmt: skip
"""By customer all of its projected_overrun alerts: meter, subject, observed, limit, first day of the period."""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> RatingHome:
    home = RatingHome(tmp_path_factory.mktemp("projections"), as_of="2024-03-15T12:00:00+00:00")
    home.documents("catalog", {
        "meters": METERS,
        "meter_event_types": [{"meter_id": meter["meter_id"], "event_type": meter["meter_id"]} for meter in METERS],
        "plans": [
            {"plan_id": case.name, "price": "10"}
            | ({"currency": case.name} if case.name in IN_OTHER_UNITS else {})
            for case in CASES
        ],
        "charges": [dict(case.charge, plan_id=case.name) for case in CASES],
        "charge_tiers": [
            {"plan_id": case.name, "meter_id": case.charge["meter_id"], "tier_number": number, "up_to": up_to,
             "unit_amount": unit_amount}
            for case in CASES for number, (up_to, unit_amount) in enumerate(case.tiers, 1)
        ],
    })  # fmt: skip
    home.documents("accounts", {
        "customers": [{"customer_id": case.name} | dict(case.customer) for case in CASES],
        "subscriptions": [
            {"subscription_id": case.name, "customer_id": case.name, "plan_id": case.name, "started_on": "2024-01-01"}
            | dict(case.subscription)
            for case in CASES
        ],
        "budgets": [
            {"customer_id": name, "period": "month", "measure": "provider_cost", "currency": "USD"} | dict(budget)
            for name, (budget, _, _) in BUDGETS.items()
        ] + [
            {"customer_id": currency, "period": "month", "measure": "invoice", "currency": currency, "amount": "10.5"}
            for currency in IN_OTHER_UNITS
        ],
    })  # fmt: skip
    home.batch(
        {"customer_id": case.name, "event_type": case.charge["meter_id"], "quantity": quantity,
         "occurred_at": f"{day}T06:00:00Z"} | more
        for case in CASES for day, quantity, more in case.events
    )  # fmt: skip
    home.build(select=SELECT, command="build")
    return home


@pytest.fixture(scope="module")
def projections(home: RatingHome) -> dict[str, dict[str, Any]]:
    rows = home.query("select * from usage_projections")
    assert len(rows) == len(CASES)
    return {row["customer_id"]: row for row in rows}


@pytest.mark.parametrize("case", [case for case in CASES if case.expected], ids=lambda case: case.name)
def test_projection(projections: dict[str, dict[str, Any]], case: Case) -> None:
    row = projections[case.name]
    expected = {
        name: Decimal(value) if isinstance(value, str) else value for name, value in case.expected.items()
    }
    assert {name: row[name] for name in expected} == expected


def test_what_is_over_is_rated_as_it_was(projections: dict[str, dict[str, Any]], home: RatingHome) -> None:
    """Nothing is to come of these, so that their projections are the invoices of the rating models themselves."""
    assert len(ENDED) == 5
    totals = {row["customer_id"]: row for row in home.query("select * from projected_invoices")}
    invoices = {
        row["customer_id"]: row["total_minor"]
        for row in home.query("select * from invoices where period_start = '2024-03-01'")
    }
    for name in ENDED:
        row = projections[name]
        assert row["projected_quantity"] == row["low_quantity"] == row["high_quantity"] == row["quantity"]
        assert row["projected_amount"] == row["low_amount"] == row["high_amount"] == row["amount"] > 0, name
        total = totals[name]
        assert total["projected_total_minor"] == total["low_total_minor"] == total["high_total_minor"]
        assert total["projected_total_minor"] == total["total_minor"] == invoices[name]


def test_bounds_hold_the_projection(projections: dict[str, dict[str, Any]]) -> None:
    for row in projections.values():
        assert row["quantity"] <= row["low_quantity"] <= row["projected_quantity"] <= row["high_quantity"]


def test_projected_invoices(home: RatingHome) -> None:
    rows = {row["customer_id"]: row for row in home.query("select * from projected_invoices")}
    assert len(rows) == len(CASES), "one row per customer, also where nothing is used"
    assert (rows["steady"]["total_minor"], rows["steady"]["projected_total_minor"]) == (1000, 2300)
    uneven = rows["uneven weeks"]
    assert [uneven[f"{scenario}_total_minor"] for scenario in ("low", "projected", "high")] == [
        1000,
        1000,
        1000,
    ]


@pytest.mark.parametrize("name", list(BUDGETS))
def test_budget(home: RatingHome, name: str) -> None:
    _, is_exceeded, action = BUDGETS[name]
    [row] = home.query(f"select * from quota_predictions where customer_id = '{name}'")
    assert (row["cost_usd"], row["estimated_cost_usd"]) == (15, Decimal("31.5"))
    assert (row["is_budget_exceeded"], row["recommended_action"]) == (is_exceeded, action)


def test_a_budget_is_rounded_to_the_minor_unit_of_its_currency(home: RatingHome) -> None:
    rows = home.query("select customer_id, projected_minor, projected_amount from budget_projections")
    found = {row["customer_id"]: row["projected_minor"] for row in rows}
    assert {currency: found[currency] for currency in IN_OTHER_UNITS} == {
        currency: total for currency, (_, _, total) in IN_OTHER_UNITS.items()
    }
    assert found["a budget just enough"] == 3150
    assert found["a currency without a rate"] is None


def overruns(home: RatingHome) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in OVERRUNS}
    for row in home.query("select * from budget_alerts where kind = 'projected_overrun' order by meter_id"):
        found.setdefault(row["customer_id"], []).append(row)
    return found


@pytest.mark.parametrize("name", list(OVERRUNS))
def test_projected_overrun(home: RatingHome, name: str) -> None:
    rows = overruns(home)[name]
    assert [
        (row["meter_id"], row["subject"], row["observed"], row["limit_value"], row["period_start"])
        for row in rows
    ] == [
        (meter, subject, Decimal(observed), Decimal(limit), date.fromisoformat(f"2024-{start}"))
        for meter, subject, observed, limit, start in OVERRUNS[name]
    ]
    assert {(row["threshold"], row["severity"], row["triggered_on"]) for row in rows} <= {
        (1, "warning", TODAY)
    }


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("hard limit", "units: 126 projected for the cycle from 2024-03-01, 60 so far: "
         "the 100 included will be passed by 2024-03-25; the limit is hard"),
        ("a daily allowance passed today",
         "units: 6 projected for 2024-03-15, 4 so far: the 5 included will be passed by 2024-03-15"),
        ("an allowance by calendar month", "units: 78 projected for the calendar month from 2024-03-01, 60 so far: "
         "the 70 included will be passed by 2024-03-18"),
        ("a budget exceeded", "Provider cost projected for the month from 2024-03-01: 31.5 USD, 15 so far; "
         "the budget is 31.499999 USD per month"),
        ("a budget of the day exceeded",
         "Provider cost projected for 2024-03-15: 1.5 USD, 1 so far; the budget is 1.499999 USD per day"),
        ("a budget of the invoice exceeded", "Invoices projected for the month from 2024-03-01: 23 USD, 10 so far; "
         "the budget is 22.99 USD per month"),
    ],
)  # fmt: skip
def test_an_overrun_says_it_in_words(home: RatingHome, name: str, message: str) -> None:
    assert message in [row["message"] for row in overruns(home)[name]]


def test_the_same_overrun_keeps_its_id(home: RatingHome, tmp_path: Path) -> None:
    """The next day projects other figures, and a build from nothing finds the same: one alert each."""
    shutil.copytree(home.root, tmp_path / "home")
    later = RatingHome(
        tmp_path / "home", "2024-03-16T12:00:00+00:00", home.builds, home.batches, dict(home.versions)
    )
    later.build(select=SELECT)
    of_both_days = (
        "steady",
        "an allowance passed",
        "an allowance by calendar month",
        "a budget reached today",
    )
    for name in of_both_days:
        today, tomorrow = overruns(home)[name], overruns(later)[name]
        assert [row["alert_id"] for row in today] == [row["alert_id"] for row in tomorrow]
        assert {row["triggered_on"] for row in tomorrow} == {date(2024, 3, 16)}
    incremental = later.query("select * from budget_alerts order by all")
    later.build(select=SELECT, full_refresh=True)
    assert later.query("select * from budget_alerts order by all") == incremental


@pytest.mark.parametrize(
    ("name", "remaining", "kind", "action"),
    [
        ("steady", "40", "requests", "expect_overage"),
        ("tokens", "40", "tokens", "expect_overage"),
        ("an allowance just enough", "66", "requests", "none"),
        ("an allowance of nothing", "0", "requests", "expect_overage"),
        ("an unlimited allowance", None, "requests", "none"),
        ("a daily allowance passed today", "1", "requests", "expect_overage"),
        ("an allowance by calendar month", "10", "requests", "expect_overage"),
        ("hard limit", "40", "requests", "raise_allowance"),
        ("without a price", "40", "requests", "raise_allowance"),
        ("a level stays", None, "requests", "expect_overage"),
        ("service over: per unit", None, "requests", "expect_overage"),
    ],
)
def test_quota(home: RatingHome, name: str, remaining: str | None, kind: str, action: str) -> None:
    [row] = home.query(f"select * from quota_predictions where customer_id = '{name}'")
    left = {"requests": None, "tokens": None} | {kind: remaining and Decimal(remaining)}
    assert {"requests": row["remaining_requests"], "tokens": row["remaining_tokens"]} == left
    assert row["recommended_action"] == action
    assert row["is_budget_exceeded"] is None, "without a budget nothing is said of one"


def test_amounts_are_exact(home: RatingHome) -> None:
    tables = "('usage_projections', 'projected_invoices', 'quota_predictions', 'budget_projections')"
    types = home.query(f"select data_type from information_schema.columns where table_name in {tables}")
    assert types
    assert not [row for row in types if row["data_type"] in ("DOUBLE", "FLOAT")]
