"""Each rule of an alert with the smallest case that triggers it and the nearest one that does not, a customer
each, all in one build; then what moves alerts: late data, revisions, new terms, and a build from nothing."""

import json
import shutil
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest
from rating_lake import RatingHome

# dbt leaves its log files open.
pytestmark = pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning"
)

SELECT = "+budget_alerts +int_budget_rate_gaps +monthly_usage"
SETTINGS = {
    "usage_thresholds": ["0.8", "1"],
    "budget_thresholds": ["0.5", "1"],
    "spike": {"ratio": "2", "lookback_days": 3, "min_quantity": "100"},
    "models": {"allowed": ["small", "large"], "fallback": "small"},
}
STATE = (
    "budget_alerts",
    "int_usage_to_date",
    "int_allowances_reached",
    "int_daily_spend",
    "int_cost_alerts",
    "int_spike_alerts",
    "int_forbidden_model_days",
    "int_feature_gap_days",
)
METERS = [
    {"meter_id": "units"},
    {"meter_id": "spare"},
    {"meter_id": "users", "aggregation": "unique", "field": "user_id"},
    {"meter_id": "disk", "aggregation": "max", "carry_forward": True},
    {"meter_id": "seats", "aggregation": "latest", "carry_forward": True, "per": "resource"},
    {"meter_id": "api", "billable": False},
]
APRIL = {"started_on": "2024-04-01", "ended_on": "2024-05-01"}
RATES = [
    ("2024-04-01", "EUR", "USD", "1.25"),
    ("2024-04-01", "USD", "JPY", "150"),
    ("2024-04-10", "EUR", "USD", "2"),
]
Found = tuple[str, str | None, str | None, str, str, str]


def event(day: str, quantity: str = "1", meter: str = "units", **fields: Any) -> dict[str, Any]:
    """On that day of April at noon, or at the instant given."""
    at = day if "T" in day else f"2024-04-{day}T12:00:00Z"
    return {"event_type": meter, "occurred_at": at, "quantity": quantity, **fields}


def charge(included: str | None = "10", meter: str = "units", **terms: Any) -> dict[str, Any]:
    return {"meter_id": meter, "included": included, **terms}


def used(
    threshold: str,
    observed: str,
    on: str,
    meter: str = "units",
    start: str = "01",
    kind: str = "usage_threshold",
) -> Found:
    return (kind, meter, threshold, observed, f"2024-04-{start}", f"2024-04-{on}")


def spent(threshold: str, observed: str, on: str, start: str = "01", kind: str = "budget_threshold") -> Found:
    return (kind, None, threshold, observed, f"2024-04-{start}", f"2024-04-{on}")


def budget(amount: str = "100", **terms: Any) -> dict[str, Any]:
    return {
        "period": "month",
        "measure": "provider_cost",
        "amount": amount,
        "currency": "USD",
        "thresholds": "1",
        **terms,
    }


def cost(day: str, usd: str) -> dict[str, Any]:
    return event(day, meter="other", cost_usd=usd)


@dataclass(frozen=True)
class Case:
    """alerts: (kind, meter, threshold, observed, period_start, triggered_on), all of them.

    plans: beside the first, each with its charges, plan and subscription.
    """

    name: str
    events: list[dict[str, Any]]
    alerts: list[Found] = field(default_factory=list)
    charges: list[dict[str, Any]] = field(default_factory=list)
    plan: dict[str, Any] = field(default_factory=dict)
    subscription: dict[str, Any] | None = field(default_factory=lambda: dict(APRIL))
    customer: dict[str, Any] = field(default_factory=dict)
    overrides: list[dict[str, Any]] = field(default_factory=list)
    budgets: list[dict[str, Any]] = field(default_factory=list)
    more_plans: list[tuple[list[dict[str, Any]], dict[str, Any], dict[str, Any]]] = field(
        default_factory=list
    )


PRICED = {"overage_model": "per_unit", "unit_amount": "1"}
INVOICE = {"measure": "invoice"}
WITHOUT, WITH = {"features": '{"api": false}'}, {"features": '{"api": true}'}
ALLOWED_AND_NOT = [
    event("05", model="small"),
    event("06", model="other"),
    event("06", model="other"),
    event("07", model="other"),
]

CASES = [
    # Usage of an allowance: reached, not passed.
    Case("usage at a threshold", [event("03", "7"), event("05", "1")], [used("0.8", "8", "05")], [charge()]),
    Case("usage just under a threshold", [event("03", "7.999999")], [], [charge()]),
    Case(
        "one day reaches two thresholds",
        [event("03", "10")],
        [used("0.8", "10", "03"), used("1", "10", "03")],
        [charge()],
    ),
    Case(
        "a threshold between two digits",
        [event("03", "0.000001"), event("04", "0.000001")],
        [used("0.8", "0.000002", "04"), used("1", "0.000002", "04")],
        [charge("0.000002")],
    ),
    Case("an unlimited allowance", [event("03", "90")], [], [charge(None)]),
    Case("a soft allowance of nothing", [event("03", "9")], [], [charge("0")]),
    Case(
        "an override's allowance",
        [event("03", "10")],
        [used("0.8", "10", "03")],
        [charge()],
        overrides=[{"meter_id": "units", "included": "12"}],
    ),
    Case(
        "usage before the cycle does not count",
        [event("2024-03-31T12:00:00Z", "9"), event("03", "7")],
        [],
        [charge()],
    ),
    Case(
        "a local day",
        [event("2024-05-01T03:59:59Z", "8")],
        [used("0.8", "8", "30")],
        [charge()],
        customer={"timezone": "America/New_York"},
    ),
    Case(
        "the local day after the last",
        [event("2024-05-01T04:00:00Z", "8")],
        [],
        [charge()],
        customer={"timezone": "America/New_York"},
    ),
    Case(
        "a day's own allowance",
        [event("03", "8"), event("04", "7"), event("05", "8")],
        [used("0.8", "8", "03", start="03"), used("0.8", "8", "05", start="05")],
        [charge(reset="day")],
    ),
    Case(
        "a calendar month in an anchored cycle",
        [event("2024-03-31T12:00:00Z", "7"), event("02", "7"), event("03", "1")],
        [used("0.8", "8", "03")],
        [charge(reset="calendar_month")],
        subscription={"started_on": "2024-03-15", "ended_on": "2024-04-15", "billing_anchor_day": 15},
    ),
    # Hard limits.
    Case(
        "a hard limit reached",
        [event("03", "8"), event("04", "2")],
        [used("0.8", "8", "03"), used("1", "10", "04"), used("1", "10", "04", kind="limit_reached")],
        [charge(limit="hard")],
    ),
    Case(
        "a hard limit not reached",
        [event("03", "9.999999")],
        [used("0.8", "9.999999", "03")],
        [charge(limit="hard")],
    ),
    Case(
        "the first unit where nothing is included",
        [event("03", "0"), event("04", "0.000001")],
        [used("1", "0.000001", "04", kind="limit_reached")],
        [charge("0", limit="hard")],
    ),
    Case("no unit where nothing is included", [event("03", "0")], [], [charge("0", limit="hard")]),
    # Distinct values and levels.
    Case(
        "the last new user",
        [
            event(day, meter="users", user_id=user)
            for day, user in (("01", "a"), ("02", "a"), ("03", "b"), ("04", None), ("05", "c"), ("06", "d"))
        ],
        [used("0.8", "4", "06", "users")],
        [charge("5", "users")],
    ),
    Case(
        "the same users again",
        [event(day, meter="users", user_id="a") for day in ("01", "02", "03", "04", "05")],
        [],
        [charge("5", "users")],
    ),
    Case(
        "a level is not added up",
        [event("03", "7", "disk"), event("04", "5", "disk"), event("06", "7.9", "disk")],
        [],
        [charge(meter="disk")],
    ),
    Case(
        "a level that rises",
        [event("03", "7", "disk"), event("06", "8", "disk")],
        [used("0.8", "8", "06", "disk")],
        [charge(meter="disk")],
    ),
    Case(
        "a level carried in",
        [event("2024-03-20T12:00:00Z", "9", "disk"), event("06", "2", "disk")],
        [used("0.8", "9", "01", "disk")],
        [charge(meter="disk")],
    ),
    Case(
        "levels of several resources are added",
        [
            event("2024-03-20T12:00:00Z", "5", "seats", resource="a"),
            event("05", "2", "seats", resource="b"),
            event("07", "3", "seats", resource="b"),
        ],
        [used("0.8", "8", "07", "seats")],
        [charge(meter="seats")],
    ),
    Case(
        "a latest level that fell before the other rose",
        [
            event("05", "5", "seats", resource="a"),
            event("06", "4", "seats", resource="a"),
            event("07", "3", "seats", resource="b"),
        ],
        [],
        [charge(meter="seats")],
    ),
    # A plan change in mid-cycle has an allowance of its own.
    Case(
        "both plans of a cycle",
        [event("03", "8"), event("20", "16")],
        [used("0.8", "8", "03"), used("0.8", "16", "20", start="16")],
        [charge()],
        subscription={"started_on": "2024-04-01", "ended_on": "2024-04-16"},
        more_plans=[([charge("20")], {}, {"started_on": "2024-04-16", "ended_on": "2024-05-01"})],
    ),
    Case(
        "a first cycle that began late",
        [event("20", "8")],
        [used("0.8", "8", "20")],
        [charge()],
        subscription={"started_on": "2024-04-16", "ended_on": "2024-05-01"},
    ),
    # Budgets of provider cost.
    Case(
        "cost at the budget",
        [cost("03", "60"), cost("08", "40")],
        [spent("1", "100", "08")],
        budgets=[budget()],
    ),
    Case("cost just under the budget", [cost("03", "99.999999999999")], budgets=[budget()]),
    Case(
        "the settings' thresholds",
        [cost("03", "50"), cost("04", "50")],
        [spent("0.5", "50", "03"), spent("1", "100", "04")],
        budgets=[budget(thresholds=None)],
    ),
    Case(
        "the customer's own thresholds first",
        [cost("03", "79"), cost("04", "1"), cost("05", "14")],
        [spent("0.8", "80", "04")],
        budgets=[budget(thresholds="0.8;0.95")],
    ),
    Case(
        "a month is a calendar month",
        [cost("2024-03-31T12:00:00Z", "99"), cost("03", "99")],
        budgets=[budget()],
    ),
    Case(
        "a day's budget",
        [cost("03", "60"), cost("04", "40"), cost("05", "100")],
        [spent("1", "100", "05", "05")],
        budgets=[budget(period="day")],
    ),
    Case(
        "to be stopped",
        [cost("03", "119"), cost("04", "1")],
        [spent("1", "119", "03"), spent("1.2", "120", "04", kind="pause_reached")],
        budgets=[budget(pause_at="1.2")],
    ),
    Case(
        "not to be stopped",
        [cost("03", "119.999999999999")],
        [spent("1", "119.999999999999", "03")],
        budgets=[budget(pause_at="1.2")],
    ),
    Case("costs without a budget", [cost("03", "900")]),
    Case(
        "a budget in euros, at the day's rate",
        [cost("09", "100"), cost("10", "40")],
        [spent("1", "100", "10")],
        budgets=[budget(currency="EUR")],
    ),
    Case(
        "a budget in euros, just under",
        [cost("09", "100"), cost("10", "39.99")],
        budgets=[budget(currency="EUR")],
    ),
    Case(
        "a rate the other way round",
        [cost("09", "2")],
        [spent("1", "300", "09")],
        budgets=[budget("300", currency="JPY")],
    ),
    Case("a budget without a rate", [cost("09", "900")], budgets=[budget(currency="KWD")]),
    Case(
        "a day before the first rate", [cost("2024-03-20T12:00:00Z", "900")], budgets=[budget(currency="EUR")]
    ),
    # Budgets of invoices: 30 of price from the first day, then an overage of 1 each from the eleventh unit on
    Case(
        "an invoice at the budget",
        [event("03", "11"), event("09", "4")],
        [used("0.8", "11", "03"), used("1", "11", "03"), spent("1", "35", "09")],
        [charge(**PRICED)],
        {"price": "30"},
        budgets=[budget("35", **INVOICE)],
    ),
    Case(
        "an invoice just under the budget",
        [event("03", "14.98")],
        [used("0.8", "14.98", "03"), used("1", "14.98", "03")],
        [charge(**PRICED)],
        {"price": "30"},
        budgets=[budget("35", **INVOICE)],
    ),
    Case(
        "a price alone reaches the budget",
        [],
        [spent("1", "30", "01")],
        [charge(**PRICED)],
        {"price": "30"},
        budgets=[budget("30", **INVOICE)],
    ),
    Case(
        "an invoice in another currency",
        [],
        [spent("1", "60", "01")],
        [],
        {"price": "30", "currency": "EUR"},
        budgets=[budget("60", **INVOICE)],
    ),
    Case(
        "an invoice in another currency, just under",
        [],
        [],
        [],
        {"price": "29.99", "currency": "EUR"},
        budgets=[budget("60", **INVOICE)],
    ),
    Case(
        "an invoice without a rate",
        [],
        [],
        [],
        {"price": "30", "currency": "KWD"},
        budgets=[budget("1", **INVOICE)],
    ),
    Case(
        "an invoice to be stopped",
        [],
        [spent("1", "30", "01", kind="pause_reached")],
        [],
        {"price": "30"},
        budgets=[budget("30", thresholds="2", pause_at="1", **INVOICE)],
    ),
    Case(
        "an invoice not to be stopped",
        [],
        [],
        [],
        {"price": "29.99"},
        budgets=[budget("30", thresholds="2", pause_at="1", **INVOICE)],
    ),
    # Spikes: above twice the mean of up to three days before, and at least 100.
    Case(
        "above twice the mean",
        [event("03", "50"), event("04", "100.000001")],
        [("spike", "units", "2", "100.000001", "2024-04-04", "2024-04-04")],
    ),
    Case("at twice the mean", [event("03", "50"), event("04", "100")]),
    Case(
        "days without usage count as 0",
        [event("03", "90"), event("05", "100")],
        [("spike", "units", "2", "100", "2024-04-05", "2024-04-05")],
    ),
    Case("days before the first do not", [event("04", "50"), event("05", "100")]),
    Case("too little to be a spike", [event("03", "10"), event("04", "99.999999")]),
    Case(
        "just enough to be a spike",
        [event("03", "10"), event("04", "100")],
        [("spike", "units", "2", "100", "2024-04-04", "2024-04-04")],
    ),
    Case("the first day is no spike", [event("04", "900")]),
    Case("the day before the lookback does not count", [event("03", "10"), event("07", "900")]),
    Case(
        "the first day of the lookback does",
        [event("03", "10"), event("06", "900")],
        [("spike", "units", "2", "900", "2024-04-06", "2024-04-06")],
    ),
    Case("a level has no spikes", [event("03", "10", "disk"), event("04", "900", "disk")]),
    # Models: once per customer, model and calendar month.
    Case(
        "a model that is not allowed",
        ALLOWED_AND_NOT,
        [("model_not_allowed", None, None, "2", "2024-04-01", "2024-04-06")],
    ),
    Case("allowed models", [event("05", model="small"), event("06", model="large"), event("07")]),
    Case(
        "another model, another month",
        [event("05", model="other"), event("05", model="more"), event("2024-05-02T12:00:00Z", model="other")],
        [
            ("model_not_allowed", None, None, "1", "2024-04-01", "2024-04-05"),
            ("model_not_allowed", None, None, "1", "2024-04-01", "2024-04-05"),
            ("model_not_allowed", None, None, "1", "2024-05-01", "2024-05-02"),
        ],
    ),
    # Features: once per cycle.
    Case(
        "a feature that the plan lacks",
        [event("05", "3", "api"), event("06", "3", "api")],
        [("feature_missing", "api", None, "3", "2024-04-01", "2024-04-05")],
        plan=WITHOUT,
    ),
    Case(
        "a feature that the plan does not name",
        [event("05", "3", "api")],
        [("feature_missing", "api", None, "3", "2024-04-01", "2024-04-05")],
    ),
    Case("a feature that the plan has", [event("05", "3", "api")], plan=WITH),
    Case("a meter that needs no feature", [event("05", "3")], plan=WITHOUT),
    Case("no plan at all", [event("05", "3", "api")], subscription=None),
    Case(
        "a feature of an add-on",
        [event("05", "3", "api")],
        plan=WITHOUT,
        more_plans=[([], WITH, dict(APRIL))],
    ),
    Case(
        "a feature from the day of the upgrade on",
        [event("15", "3", "api"), event("16", "3", "api")],
        [("feature_missing", "api", None, "3", "2024-04-01", "2024-04-15")],
        plan=WITHOUT,
        subscription={"started_on": "2024-04-01", "ended_on": "2024-04-16"},
        more_plans=[([], WITH, {"started_on": "2024-04-16", "ended_on": "2024-05-01"})],
    ),
]
NUMBERS = {case.name: f"case-{number:02d}" for number, case in enumerate(CASES)}


def catalog(settings: dict[str, Any] = SETTINGS, **changed: dict[str, Any]) -> dict[str, Any]:
    """Tables of the catalog; changed: fields of every charge of a case's customer."""
    plans, charges = [], []
    for number, case in enumerate(CASES):
        customer = f"case-{number:02d}"
        for part, (terms, plan, _) in enumerate(
            [(case.charges, case.plan, case.subscription), *case.more_plans]
        ):
            plans.append({"plan_id": f"{customer}-{part}", **plan})
            charges += [
                {"plan_id": f"{customer}-{part}", **term, **changed.get(customer, {})} for term in terms
            ]
    return {
        "meters": METERS,
        "meter_event_types": [{"meter_id": m["meter_id"], "event_type": m["meter_id"]} for m in METERS],
        "meter_features": [{"meter_id": "api", "feature": "api"}],
        "plans": plans,
        "charges": charges,
        "fx_rates": [dict(zip(("rate_date", "base", "quote", "rate"), rate, strict=True)) for rate in RATES],
        "alert_settings": [{"key": key, "value": json.dumps(value)} for key, value in settings.items()],
    }


def accounts(**zones: str) -> dict[str, Any]:
    customers, subscriptions, overrides, budgets = [], [], [], []
    for number, case in enumerate(CASES):
        customer = f"case-{number:02d}"
        zone = {"timezone": zones[customer]} if customer in zones else {}
        customers.append({"customer_id": customer, "name": case.name, **case.customer, **zone})
        for part, (_, _, subscription) in enumerate(
            [(case.charges, case.plan, case.subscription), *case.more_plans]
        ):
            if subscription:
                subscriptions.append(
                    {
                        "subscription_id": f"{customer}-{part}",
                        "customer_id": customer,
                        "plan_id": f"{customer}-{part}",
                        **subscription,
                    }
                )
        overrides += [{"subscription_id": f"{customer}-0", **override} for override in case.overrides]
        budgets += [{"customer_id": customer, **terms} for terms in case.budgets]
    return {
        "customers": customers,
        "subscriptions": subscriptions,
        "overrides": overrides,
        "budgets": budgets,
    }


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> RatingHome:
    home = RatingHome(tmp_path_factory.mktemp("alerts"), as_of="2024-07-01T12:00:00+00:00")
    home.documents("catalog", catalog())
    home.documents("accounts", accounts())
    home.batch(
        {"event_id": f"case-{number:02d}-{index}", "customer_id": f"case-{number:02d}", **row}
        for number, case in enumerate(CASES)
        for index, row in enumerate(case.events)
    )
    home.build(select=SELECT)
    home.build(command="test", select=f"{' '.join(STATE)} int_budget_thresholds")
    return home


def alerts(home: RatingHome) -> dict[str, list[Found]]:
    rows = home.query("select * from budget_alerts order by triggered_on, kind desc, threshold, subject")
    by_customer: dict[str, list[Found]] = {}
    for row in rows:
        by_customer.setdefault(row["customer_id"], []).append(
            (
                row["kind"],
                row["meter_id"],
                row["threshold"],
                row["observed"],
                row["period_start"],
                row["triggered_on"],
            )
        )
    return by_customer


@pytest.fixture(scope="module")
def by_customer(found: RatingHome) -> dict[str, list[Found]]:
    return alerts(found)


@pytest.mark.parametrize("name", NUMBERS)
def test_case(name: str, by_customer: dict[str, list[Found]]) -> None:
    expected = [
        (
            kind,
            meter,
            threshold and Decimal(threshold),
            Decimal(observed),
            date.fromisoformat(start),
            date.fromisoformat(on),
        )
        for kind, meter, threshold, observed, start, on in CASES[int(NUMBERS[name][-2:])].alerts
    ]
    assert sorted(by_customer.get(NUMBERS[name], []), key=repr) == sorted(expected, key=repr)


def row_of(home: RatingHome, name: str) -> dict[str, Any]:
    [row] = home.query(f"select * from budget_alerts where customer_id = '{NUMBERS[name]}'")
    return row


@pytest.mark.parametrize(
    ("name", "severity", "message"),
    [
        (
            "usage at a threshold",
            "warning",
            "units: 8 of 10 included used in the cycle from 2024-04-01, 80 % or more",
        ),
        (
            "the first unit where nothing is included",
            "critical",
            "units: 0.000001 of 0 included used in the cycle from 2024-04-01: the hard limit is reached",
        ),
        (
            "the customer's own thresholds first",
            "warning",
            "Provider cost of the month from 2024-04-01 is 80 USD, "
            "80 % or more of the budget of 100 USD per month",
        ),
        (
            "an invoice to be stopped",
            "critical",
            "Invoices of the month from 2024-04-01 stand at 30 USD, "
            "100 % or more of the budget of 30 USD per month: "
            "the customer should be stopped",
        ),
        (
            "days without usage count as 0",
            "warning",
            "units: 100 on 2024-04-05, more than 2 times the mean of 45 of the 2 days before",
        ),
        (
            "a model that is not allowed",
            "warning",
            "Model other was used for 2 events on 2024-04-06 and is not allowed; "
            "allowed: small, large; instead use small",
        ),
        (
            "a feature that the plan lacks",
            "warning",
            f"api: 3 on 2024-04-05, but plan {NUMBERS['a feature that the plan lacks']}-0 "
            "does not have the feature api",
        ),
    ],
)
def test_an_alert_says_it_in_words(found: RatingHome, name: str, severity: str, message: str) -> None:
    row = row_of(found, name)
    assert (row["severity"], row["message"]) == (severity, message)


def test_severity_follows_the_threshold(found: RatingHome) -> None:
    rows = found.query("select distinct threshold, severity from budget_alerts where kind like '%threshold'")
    expected = {Decimal("0.5"): "info", Decimal("0.8"): "warning", Decimal(1): "critical"}
    assert {(row["threshold"], row["severity"]) for row in rows} == set(expected.items())


def test_budgets_without_a_rate_are_listed(found: RatingHome) -> None:
    gaps = found.query(
        "select customer_id, measure, currency, day_count, first_day from int_budget_rate_gaps order by all"
    )
    assert [tuple(row.values()) for row in gaps] == sorted(
        [
            (NUMBERS["a budget without a rate"], "provider_cost", "KWD", 1, date(2024, 4, 9)),
            (NUMBERS["a day before the first rate"], "provider_cost", "EUR", 1, date(2024, 3, 20)),
            (NUMBERS["an invoice without a rate"], "invoice", "USD", 1, date(2024, 4, 30)),
        ]
    )


def test_no_column_is_a_double(found: RatingHome) -> None:
    columns = found.query("select table_name, column_name, data_type from information_schema.columns")
    assert {row["table_name"] for row in columns} >= {
        "budget_alerts",
        "int_spike_alerts",
        "int_usage_to_date",
    }
    assert not [row for row in columns if row["data_type"] in ("DOUBLE", "FLOAT", "REAL")]


def contents(home: RatingHome) -> dict[str, list[dict[str, Any]]]:
    return {name: home.query(f"select * from {name} order by all") for name in STATE}


def copied(home: RatingHome, folder: Path) -> RatingHome:
    shutil.copytree(home.root, folder / "home")
    return RatingHome(folder / "home", home.as_of, home.builds, home.batches, dict(home.versions))


def test_late_data_and_new_terms_as_if_known_from_the_start(found: RatingHome, tmp_path: Path) -> None:
    home = copied(found, tmp_path)
    kept = {name: row_of(home, name)["alert_id"] for name in ("usage at a threshold", "cost at the budget")}
    late = {
        "usage just under a threshold": event("02", "0.000001"),
        "cost just under the budget": cost("01", "0.000000000001"),
        "at twice the mean": event("04", "0.000001"),
        "the first day is no spike": event("03", "10"),  # touches the day before the spike
        "allowed models": event("05", model="other"),
        "a feature that the plan has": event("07", "1", "api"),
        "an invoice just under the budget": event("30", "0.02"),
        "usage at a threshold": event("01", "1"),  # crossed two days earlier
    }
    home.batch({"customer_id": NUMBERS[name], **row} for name, row in late.items())
    home.batch(
        [
            {
                "event_id": f"{NUMBERS['cost at the budget']}-1",
                "customer_id": NUMBERS["cost at the budget"],
                "revision": 1,
                **cost("12", "40"),
            },
            {
                "event_id": f"{NUMBERS['a model that is not allowed']}-1",
                "customer_id": NUMBERS["a model that is not allowed"],
                "revision": 1,
                "is_void": True,
                **ALLOWED_AND_NOT[1],
            },
            {
                "event_id": f"{NUMBERS['just enough to be a spike']}-1",
                "customer_id": NUMBERS["just enough to be a spike"],
                "revision": 1,
                "is_void": True,
                **event("04", "100"),
            },
        ]
    )
    home.as_of = "2024-07-09T12:00:00+00:00"
    home.build(select=SELECT)

    expected = {
        "usage just under a threshold": [("usage_threshold", "2024-04-03")],
        "cost just under the budget": [("budget_threshold", "2024-04-03")],
        "at twice the mean": [("spike", "2024-04-04")],
        "the first day is no spike": [("spike", "2024-04-04")],
        "allowed models": [("model_not_allowed", "2024-04-05")],
        "a feature that the plan has": [],
        "an invoice just under the budget": [
            ("usage_threshold", "2024-04-03"),
            ("usage_threshold", "2024-04-03"),
            ("budget_threshold", "2024-04-30"),
        ],
        "usage at a threshold": [("usage_threshold", "2024-04-03")],
        "cost at the budget": [("budget_threshold", "2024-04-12")],
        "a model that is not allowed": [("model_not_allowed", "2024-04-06")],
        "just enough to be a spike": [],
    }
    now = alerts(home)
    assert {
        name: [(row[0], row[5].isoformat()) for row in now.get(NUMBERS[name], [])] for name in expected
    } == expected
    # The same thing keeps its id, whatever day it is found on.
    assert {name: row_of(home, name)["alert_id"] for name in kept} == kept

    built = contents(home)
    home.build(select=SELECT, full_refresh=True)
    assert contents(home) == built

    # Other settings, allowances and zones look at everything again.
    stricter = SETTINGS | {
        "usage_thresholds": ["0.7"],
        "spike": {"ratio": "1.5", "lookback_days": 2, "min_quantity": "50"},
        "models": {"allowed": ["small"]},
    }
    home.documents(
        "catalog", catalog(stricter, **{NUMBERS["usage just under a threshold"]: {"included": "20"}})
    )
    home.documents("accounts", accounts(**{NUMBERS["a local day"]: "Asia/Tokyo"}))
    home.build(select=SELECT)
    now = alerts(home)
    assert {row[2] for rows in now.values() for row in rows if row[0] == "usage_threshold"} == {
        Decimal("0.7")
    }
    assert NUMBERS["usage just under a threshold"] not in now
    assert NUMBERS["a local day"] not in now
    rebuilt = contents(home)
    assert rebuilt != built
    home.build(select=SELECT, full_refresh=True)
    assert contents(home) == rebuilt


def test_a_build_without_news_leaves_alerts_alone(found: RatingHome, tmp_path: Path) -> None:
    home = copied(found, tmp_path)
    before = contents(home)
    home.build(select=SELECT)
    assert contents(home) == before
    home.build(select=SELECT, rebuild={"months": ["2024-04"], "days": ["2024-04-05"]})
    assert contents(home) == before


def test_read_state_comes_from_the_ledgers_export(found: RatingHome, tmp_path: Path) -> None:
    home = copied(found, tmp_path)
    row = row_of(home, "usage at a threshold")
    assert (row["is_read"], row["read_at"]) == (False, None)
    (home.root / "lake/ledger").mkdir()
    with duckdb.connect() as connection:
        connection.execute(
            f"copy (select '{row['alert_id']}' as alert_id, 'ada' as read_by, "
            "timestamptz '2024-07-02 08:00:00+00' as read_at) "
            f"to '{home.root}/lake/ledger/alert_reads.parquet' (format parquet)"
        )
    home.build(select=SELECT)
    read = home.query("select customer_id from budget_alerts where is_read")
    assert read == [{"customer_id": NUMBERS["usage at a threshold"]}]
    assert row_of(home, "usage at a threshold")["read_at"].isoformat() == "2024-07-02T08:00:00+00:00"
