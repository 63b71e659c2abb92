"""Random accounts, catalogs and events, arriving in several files with edits between.

dbt rates them build after build, the plain Decimal reference once at the end. They agree to the last digit.
"""

import json
import random
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from rating import Reference
from rating_lake import RatingHome

from models.catalog import LEVELS, SUMMABLE, TEXT_FIELDS, TOKEN_FIELDS

ZONES = [
    "UTC",
    "UTC",
    "Asia/Kolkata",
    "Asia/Kathmandu",
    "America/New_York",
    "Europe/Berlin",
    "Pacific/Auckland",
    "Pacific/Kiritimati",
]
METERS: list[dict[str, Any]] = [
    {"meter_id": "calls", "aggregation": "count"},
    {"meter_id": "units"},
    {"meter_id": "ours", "aggregation": "sum", "field": "quantity"},
    {"meter_id": "tokens", "field": "total_tokens"},
    {"meter_id": "storage", "aggregation": "max", "carry_forward": True},
    {"meter_id": "peak", "aggregation": "max"},
    {"meter_id": "seats", "aggregation": "latest", "carry_forward": True, "per": "resource"},
    {"meter_id": "gauge", "aggregation": "latest"},
    {"meter_id": "users", "aggregation": "unique", "field": "user_id"},
]
TYPES = {
    "calls": ["call"],
    "units": ["call", "batch"],
    "ours": ["call"],
    "tokens": ["call"],
    "storage": ["disk"],
    "peak": ["disk"],
    "seats": ["seat"],
    "gauge": ["seat"],
    "users": ["call", "seat"],
}
EVENT_TYPES = ["call", "batch", "disk", "seat"]
# What a filter can name, with values of which each occurs in events of every type.
FILTERABLE: dict[str, list[str]] = {
    "customer_id": ["customer-0", "customer-1", "customer-2"],
    "event_type": EVENT_TYPES,
    "user_id": ["u1", "u2", "u3"],
    "resource": ["a", "b"],
    "provider": ["openai", "other"],
    "model": ["m1", "m2"],
    "properties.tier": ["gold", "true", "7"],
    "properties.gb.used": ["2.5", "many"],
}
assert {field for field in FILTERABLE if not field.startswith("properties.")} == set(TEXT_FIELDS)
# What a meter can read, and what it can be split by.
NUMBERS = ["quantity", *TOKEN_FIELDS, "properties.tier", "properties.gb.used"]
VALUES = ["user_id", "properties.tier"]
SPLITS = [None, *(field for field in FILTERABLE if field != "customer_id")]
# Properties of an event by key; the texts are JSON.
PROPERTIES: dict[str, list[str | None]] = {
    "tier": [None, '"gold"', "true", "7", '"7"', "null"],
    "gb.used": [None, "2.5", '"2.50"', '"many"', "0.125"],
}
MODELS = (
    "+invoices +invoice_lines +plan_comparisons +overages +monthly_usage +int_rating_faults +unbilled_usage"
    " +daily_usage"
)
CHECKS = "events_are_billed_or_unbilled usage_is_billed_or_unbilled " + " ".join(
    f"{model},test_name:unique_grain"
    for model in (
        "int_daily_activity",
        "int_daily_property_sums",
        "int_daily_readings",
        "int_daily_usage",
        "int_daily_values",
        "int_unbilled_activity",
    )
)


class World:
    """One random state of everything, and ways to change it."""

    def __init__(self, seed: int, customers: int) -> None:
        self.random = random.Random(seed)
        self.meters = [dict(meter) for meter in METERS]
        self.types = {meter: list(kinds) for meter, kinds in TYPES.items()}
        self.filters = [{"meter_id": "ours", "field": "provider", "value": "openai"}]
        for number, field in enumerate(FILTERABLE):
            self.add_filtered_meter(f"filtered-{number}", field)
        self.plans: list[dict[str, Any]] = []
        self.charges: list[dict[str, Any]] = []
        self.tiers: list[dict[str, Any]] = []
        for number in range(6):
            currency = ["USD", "USD", "USD", "JPY", "KWD", "USD"][number]
            for effective in ["2023-01-01", "2024-02-15"][: self.random.choice([1, 2])]:
                self.add_version(f"plan-{number}", currency, effective)
        self.customers: list[dict[str, Any]] = []
        self.subscriptions: list[dict[str, Any]] = []
        self.overrides: list[dict[str, Any]] = []
        for number in range(customers):
            self.add_customer(f"customer-{number}")
        self.events: list[dict[str, Any]] = []

    def amount(self, digits: int, top: int) -> str:
        return str(Decimal(self.random.randint(0, top * 10**digits)).scaleb(-digits))

    def add_filtered_meter(self, meter: str, field: str) -> None:
        """A meter of any kind that filters by this field, and maybe by another."""
        pick = self.random
        aggregation = pick.choice([*SUMMABLE, *LEVELS, "unique"])
        row: dict[str, Any] = {
            "meter_id": meter,
            "aggregation": aggregation,
            "billable": pick.random() < 0.8,
        }
        if aggregation != "count":
            row["field"] = pick.choice(VALUES if aggregation == "unique" else NUMBERS)
        if aggregation in LEVELS:
            row |= {"per": pick.choice(SPLITS), "carry_forward": pick.random() < 0.5}
        self.meters.append(row)
        self.types[meter] = pick.sample(EVENT_TYPES, pick.choice([1, 1, 2]))
        fields = {field, *([pick.choice(list(FILTERABLE))] if pick.random() < 0.3 else [])}
        self.filters += [
            {"meter_id": meter, "field": name, "value": pick.choice(FILTERABLE[name])}
            for name in sorted(fields)
        ]

    def add_version(self, plan: str, currency: str, effective: str) -> None:
        self.plans.append(
            {
                "plan_id": plan,
                "effective_from": effective,
                "currency": currency,
                "price": self.amount(2, 120),
                "proration": self.random.choice(["day", "day", "none"]),
            }
        )
        for meter in self.meters:
            if meter.get("billable", True) and self.random.random() < 0.75:
                self.add_charge(plan, currency, effective, meter["meter_id"])

    def add_charge(self, plan: str, currency: str, effective: str, meter: str) -> None:
        pick = self.random
        models = ["per_unit", "per_unit", "package", "graduated", "volume", "flat", None]
        aggregations = {row["meter_id"]: row.get("aggregation", "sum") for row in self.meters}
        if aggregations[meter] in SUMMABLE and currency == "USD":
            models.append("cost_plus")
        model = pick.choice(models)
        charge: dict[str, Any] = {
            "plan_id": plan,
            "effective_from": effective,
            "meter_id": meter,
            "overage_model": model,
            "included": pick.choice([None, "0", "1", self.amount(6, 15), self.amount(0, 40)]),
            "prorate_included": pick.random() < 0.3,
            "reset": pick.choice(["cycle", "cycle", "calendar_month", "day"]),
            "limit": pick.choice(["soft", "hard"]),
            "capacity_unit_amount": pick.choice([None, self.amount(4, 2)]),
            "invoice_zero": model is not None and pick.random() < 0.1,
        }
        charge |= {
            "per_unit": {"unit_amount": self.amount(pick.choice([2, 5, 12]), 2)},
            "package": {
                "package_size": pick.choice(["1", "10", "2.5", "0.7"]),
                "package_amount": self.amount(3, 9),
            },
            "flat": {"flat_amount": self.amount(3, 9)},
            "cost_plus": {"multiplier": pick.choice(["1", "1.2", "1.333333"])},
        }.get(model, {})
        self.charges.append(charge)
        if model in ("graduated", "volume"):
            bounds = sorted(
                {Decimal(self.amount(pick.choice([0, 3]), 20)) + 1 for _ in range(pick.randint(0, 3))}
            )
            for number, up_to in enumerate([*bounds, None], 1):
                self.tiers.append(
                    {
                        "plan_id": plan,
                        "effective_from": effective,
                        "meter_id": meter,
                        "tier_number": number,
                        "up_to": up_to,
                        "unit_amount": self.amount(4, 1),
                        "flat_amount": pick.choice(["0", self.amount(2, 5)]),
                    }
                )

    def add_customer(self, name: str) -> None:
        pick = self.random
        self.customers.append(
            {
                "customer_id": name,
                "timezone": pick.choice(ZONES),
                "inactive_from": pick.choice([None] * 5 + ["2024-03-12"]),
            }
        )
        anchor = pick.choice([1, 1, 15, 29, 30, 31, pick.randint(1, 31)])
        start = date(2023, 12, 1) + timedelta(days=pick.randint(0, 100))
        for part in range(pick.choice([1, 1, 2, 3])):
            end = None if pick.random() < 0.5 else start + timedelta(days=pick.randint(1, 70))
            plan = f"plan-{pick.randint(0, 5)}"
            held = pick.choice([row["effective_from"] for row in self.plans if row["plan_id"] == plan])
            subscription = f"{name}-sub-{part}"
            self.subscriptions.append(
                {
                    "subscription_id": subscription,
                    "customer_id": name,
                    "plan_id": plan,
                    "started_on": str(start),
                    "ended_on": end and str(end),
                    "billing_anchor_day": anchor,
                    "plan_version": held if pick.random() < 0.2 else None,
                }
            )
            self.add_overrides(subscription, plan)
            if end is None:
                return
            start = end + timedelta(days=pick.choice([0, 0, 5]))

    def add_overrides(self, subscription: str, plan: str) -> None:
        pick = self.random
        models = {
            row["meter_id"]: {
                other["overage_model"]
                for other in self.charges
                if (other["plan_id"], other["meter_id"]) == (plan, row["meter_id"])
            }
            for row in self.charges
            if row["plan_id"] == plan
        }
        for meter in pick.sample(sorted(models), min(len(models), pick.choice([0, 0, 1, 3]))):
            unlimited = pick.random() < 0.2
            self.overrides.append(
                {
                    "subscription_id": subscription,
                    "meter_id": meter,
                    "is_unlimited": unlimited,
                    "included": None
                    if unlimited or pick.random() < 0.3
                    else self.amount(pick.choice([0, 6]), 60),
                    "unit_amount": self.amount(6, 2)
                    if models[meter] == {"per_unit"} and pick.random() < 0.6
                    else None,
                    "valid_from": pick.choice([None, "2024-02-01", "2024-02-15"]),
                    "valid_to": pick.choice([None, "2024-03-15", "2024-04-01"]),
                }
            )

    def new_events(self, count: int) -> list[dict[str, Any]]:
        """New events, and revisions of old ones that may move their day or customer or void them."""
        pick = self.random
        batch = []
        for _ in range(count):
            at = datetime(2023, 12, 10, tzinfo=UTC) + timedelta(minutes=pick.randint(0, 131 * 24 * 60))
            event: dict[str, Any] = {
                "event_id": f"event-{len(self.events)}",
                "customer_id": f"customer-{pick.randint(0, len(self.customers))}",
                "event_type": pick.choice(["call", *EVENT_TYPES]),
                "occurred_at": at.isoformat(),
                "quantity": self.amount(pick.choice([0, 1, 6]), 12),
                "user_id": pick.choice([None, "u1", "u2", "u3"]),
                "resource": pick.choice([None, "a", "b"]),
                "provider": pick.choice(["openai", "other", None]),
                "model": pick.choice([None, "m1", "m2"]),
                "properties": self.properties(),
                "input_tokens": pick.choice([None, pick.randint(0, 30)]),
                "output_tokens": pick.choice([None, 7]),
                "cost_usd": self.amount(pick.choice([4, 12]), 1),
            }
            if self.events and pick.random() < 0.15:
                old = pick.choice(self.events)
                near = datetime.fromisoformat(old["occurred_at"]) + timedelta(
                    hours=pick.choice([0, 0, -30, 30])
                )
                event |= {
                    "event_id": old["event_id"],
                    "revision": int(old.get("revision", 0)) + 1,
                    "occurred_at": near.isoformat(),
                    "is_void": pick.random() < 0.3,
                }
                if any(
                    (other["event_id"], other.get("revision", 0)) == (event["event_id"], event["revision"])
                    for other in self.events
                ):
                    continue
            self.events.append(event)
            batch.append(event)
        return batch

    def properties(self) -> str:
        drawn = {key: self.random.choice(values) for key, values in PROPERTIES.items()}
        return "{" + ", ".join(f"{json.dumps(key)}: {value}" for key, value in drawn.items() if value) + "}"

    def edit(self) -> None:
        """What people change between two files."""
        pick = self.random
        pick.choice(self.customers)["timezone"] = pick.choice(ZONES)
        pick.choice(self.customers)["inactive_from"] = "2024-04-01"
        pick.choice(self.charges)["included"] = "3"
        pick.choice(self.plans)["price"] = "77.77"
        self.overrides = [row for row in self.overrides if pick.random() < 0.8]
        self.add_version(f"plan-{pick.randint(0, 2)}", "USD", "2024-03-20")
        self.add_customer(f"customer-{len(self.customers)}")

    def write(self, home: RatingHome) -> None:
        home.documents("catalog", self.catalog)
        home.documents("accounts", self.accounts)

    @property
    def catalog(self) -> dict[str, list[dict[str, Any]]]:
        return {
            "meters": self.meters,
            "plans": self.plans,
            "charges": self.charges,
            "charge_tiers": self.tiers,
            "meter_event_types": [
                {"meter_id": meter, "event_type": kind}
                for meter, kinds in self.types.items()
                for kind in kinds
            ],
            "meter_filters": self.filters,
        }

    @property
    def accounts(self) -> dict[str, list[dict[str, Any]]]:
        return {"customers": self.customers, "subscriptions": self.subscriptions, "overrides": self.overrides}


def rows(
    home: RatingHome, table: str, keys: list[str], values: list[str]
) -> dict[tuple[Any, ...], dict[str, Any]]:
    found = home.query(f"select * from {table}")
    keyed = {tuple(row[key] for key in keys): {value: row[value] for value in values} for row in found}
    assert len(keyed) == len(found), f"{table} has its documented grain"
    return keyed


def assert_same(table: str, ours: Mapping[Any, Any], theirs: Mapping[Any, Any]) -> None:
    different = {
        key: (ours.get(key), theirs.get(key))
        for key in ours.keys() | theirs.keys()
        if ours.get(key) != theirs.get(key)
    }
    shown = "\n".join(
        f"{key}\n  dbt       {mine}\n  reference {other}"
        for key, (mine, other) in list(different.items())[:5]
    )
    assert not different, f"{len(different)} of {len(theirs)} rows of {table} differ:\n{shown}"


def compare(home: RatingHome, world: World) -> None:
    reference = Reference(world.catalog, world.accounts, world.events, home.as_of)
    assert len(reference.lines) > 50, "the example bills something"
    assert_same(
        "monthly_usage",
        rows(
            home,
            "monthly_usage",
            ["subscription_id", "meter_id", "period_start"],
            [
                "quantity",
                "included_quantity",
                "overage_quantity",
                "used_ratio",
                "service_start",
                "service_end",
                "period_end",
            ],
        ),
        reference.monthly_usage,
    )
    assert_same(
        "overages",
        rows(
            home,
            "overages",
            ["subscription_id", "meter_id", "period_start"],
            ["quantity", "included_quantity", "overage_quantity", "charge_model", "amount"],
        ),
        reference.overages,
    )
    assert_same(
        "invoice_lines",
        rows(
            home,
            "invoice_lines",
            ["subscription_id", "line_type", "meter_id", "period_start"],
            ["quantity", "amount", "amount_minor", "service_start", "service_end", "currency"],
        ),
        reference.lines,
    )
    invoices = rows(
        home, "invoices", ["customer_id", "currency", "period_start", "period_end"], ["total_minor"]
    )
    assert_same("invoices", {key: row["total_minor"] for key, row in invoices.items()}, reference.invoices)
    assert_same(
        "plan_comparisons",
        rows(
            home,
            "plan_comparisons",
            ["subscription_id", "plan_id", "period_start"],
            ["amount", "total_minor", "is_current", "is_feasible"],
        ),
        reference.comparisons,
    )
    assert_same(
        "unbilled_usage",
        rows(
            home,
            "unbilled_usage",
            ["customer_id", "event_type", "usage_date", "reason"],
            ["event_count", "quantity"],
        ),
        reference.unbilled(),
    )
    assert home.query("select * from int_rating_faults") == []


def build(home: RatingHome) -> None:
    home.build(select=MODELS)
    home.build(command="test", select=CHECKS)


@pytest.mark.slow
@given(seed=st.integers(min_value=0, max_value=2**32 - 1))
@settings(
    max_examples=2,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_rating_agrees_with_the_reference(seed: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    world = World(seed, customers=40)
    home = RatingHome(tmp_path_factory.mktemp("rating"), as_of="2024-03-20T20:00:00+00:00")
    world.write(home)
    home.batch(world.new_events(900))
    build(home)
    home.as_of = "2024-04-17T20:00:00+00:00"
    home.batch(world.new_events(300))
    build(home)
    compare(home, world)
    world.edit()
    world.write(home)
    home.batch(world.new_events(60))
    build(home)
    compare(home, world)
