"""What money people argue about, one customer per case, all rated in one dbt build.

Every expectation is worked out by hand from the contract's section 5; where an amount needs arithmetic, it
stands beside it.
"""

import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from rating_lake import CATALOG, MONEY, RatingHome

METERS = [
    {"meter_id": "units"},
    {"meter_id": "calls", "aggregation": "count"},
    {"meter_id": "big", "field": "properties.n"},
    {"meter_id": "users", "aggregation": "unique", "field": "user_id"},
    {"meter_id": "disk", "aggregation": "max", "carry_forward": True},
    {"meter_id": "peak", "aggregation": "max"},
    {"meter_id": "gauge", "aggregation": "max", "field": "properties.n", "per": "resource"},
    {"meter_id": "tokens", "field": "total_tokens"},
    {"meter_id": "seats", "aggregation": "latest", "carry_forward": True, "per": "resource"},
]
TIERS = {
    "thirds": [("1", "1", "0"), ("2", "0.5", "0"), (None, "0.1", "0")],
    "entry": [("1", "1", "0"), (None, "0.1", "5")],
    "volume": [("100", "1", "0"), (None, "0.5", "0")],
}
APRIL = {"started_on": "2024-04-01", "ended_on": "2024-05-01"}  # 30 days
FIRST_HALF = {"started_on": "2024-04-01", "ended_on": "2024-04-16"}  # 15 of 30


@dataclass(frozen=True)
class Case:
    """A customer with subscriptions to plans of its own.

    charges: per plan; events: (meter, instant, quantity, other fields);
    lines: (type, meter, first day served, quantity, exact amount, minor units), all of them.
    """

    name: str
    charges: dict[str, Any] | Sequence[dict[str, Any]] = ()
    events: Sequence[tuple[Any, ...]] = ()
    lines: Sequence[tuple[str, str | None, str, str, str, int]] = ()
    plan: dict[str, Any] = field(default_factory=dict)
    subscription: dict[str, Any] = field(default_factory=lambda: dict(APRIL))
    customer: dict[str, Any] = field(default_factory=dict)
    overrides: Sequence[dict[str, Any]] = ()
    more_plans: Sequence[tuple[dict[str, Any], dict[str, Any] | None, Sequence[dict[str, Any]]]] = ()
    tiers: str | None = None


# A millionth more is 10^24, which no day and no reading may reach.
LARGEST = "999999999999999999999999.999999"
TINY = "0.000000000001"


def units(
    *quantities: str, at: str = "2024-04-10T12:00:00Z", meter: str = "units", **fields: Any
) -> list[tuple[Any, ...]]:
    return [(meter, at, quantity, fields) for quantity in quantities]


def properties(meter: str, *values: str) -> list[tuple[Any, ...]]:
    """An event per value of the property n, as JSON, each of a resource of its own."""
    return [
        (
            meter,
            "2024-04-10T12:00:00Z",
            "1",
            {"properties": f'{{"n": {value}}}', "resource": f"r{number}"},
        )
        for number, value in enumerate(values)
    ]


def charge(
    meter: str = "units", model: str | None = "per_unit", included: str | None = "0", **terms: Any
) -> dict[str, Any]:
    prices = {"per_unit": {"unit_amount": "1"}}.get(model or "", {})
    return {"meter_id": meter, "overage_model": model, "included": included} | prices | terms


def usage(
    quantity: str, amount: str, minor: int, on: str = "2024-04-01", meter: str = "units"
) -> tuple[Any, ...]:
    return ("usage", meter, on, quantity, amount, minor)


def price(amount: str, minor: int, on: str = "2024-04-01") -> tuple[Any, ...]:
    return ("price", None, on, "1", amount, minor)


def tiered(name: str, tiers: str, model: str, quantity: str, amount: str, minor: int) -> Case:
    return Case(name, charge(model=model), units(quantity), [usage(quantity, amount, minor)], tiers=tiers)


def packages(quantity: str, amount: str, minor: int) -> Case:
    terms = charge(model="package", package_size="100", package_amount="3", included="10")
    billable = str(Decimal(quantity) - 10)
    return Case(
        f"package of 100, {billable} billable", terms, units(quantity), [usage(billable, amount, minor)]
    )


CASES = [
    # Tiers count from the first billable unit; up_to is inclusive.
    tiered(
        "2.5 units use three tiers", "thirds", "graduated", "2.5", "1.55", 155
    ),  # 1 x 1 + 1 x 0.5 + 0.5 x 0.1
    tiered("graduated at the edge", "thirds", "graduated", "1", "1", 100),
    tiered("graduated just past the edge", "thirds", "graduated", "1.000001", "1.0000005", 100),
    tiered("graduated at the second edge", "thirds", "graduated", "2", "1.5", 150),
    tiered("no entry fee at the edge", "entry", "graduated", "1", "1", 100),
    tiered("an entry fee once past it", "entry", "graduated", "1.000001", "6.0000001", 600),
    tiered("volume at the edge", "volume", "volume", "100", "100", 10000),
    tiered("the volume bill falls past the edge", "volume", "volume", "101", "50.5", 5050),
    tiered("volume entry fee of the one tier", "entry", "volume", "2", "5.2", 520),  # 2 x 0.1 + 5
    packages("109", "3", 300),
    packages("110", "3", 300),
    packages("111", "6", 600),
    packages("110.000001", "6", 600),
    Case(
        "flat is charged once",
        charge(model="flat", flat_amount="7.5", included="10"),
        units("8", "9"),
        [usage("7", "7.5", 750)],
    ),
    Case(
        "flat only if anything is billable",
        charge(model="flat", flat_amount="7.5", included="17"),
        units("8", "9"),
    ),
    Case(
        "cost_plus takes the billable part",
        charge(model="cost_plus", multiplier="1.2", included="10"),
        [("units", "2024-04-10T12:00:00Z", "40", {"cost_usd": "1"})],
        [usage("30", "0.9", 90)],
    ),  # 1 x 30 x 1.2 / 40
    Case(
        "cost_plus that does not end",
        charge(model="cost_plus", multiplier="1", included="2"),
        [("units", "2024-04-10T12:00:00Z", "3", {"cost_usd": "2"})],
        [usage("1", "0.666666666667", 67)],
    ),  # 2 / 3
    Case(
        "cost_plus without usage",
        charge(model="cost_plus", multiplier="1.2", invoice_zero=True),
        [],
        [usage("0", "0", 0)],
    ),
    # Rounding: once per line, half away from zero, to the currency's minor unit.
    Case("half a cent goes up", charge(unit_amount="0.005"), units("1"), [usage("1", "0.005", 1)]),
    Case(
        "less than half a cent stays, as 0",
        charge(unit_amount="0.004999999999"),
        units("1"),
        [usage("1", "0.004999999999", 0)],
    ),
    Case(
        "a digit beyond the twelfth decides",
        charge(unit_amount="0.000000000001"),
        units("4999999999.999999"),
        [usage("4999999999.999999", "0.005000000000", 0)],
    ),  # exactly 0.004999999999999999, which is under half a cent
    Case("minus half a cent goes down", plan={"price": "-0.005"}, lines=[price("-0.005", -1)]),
    Case(
        "yen have no minor unit",
        charge(unit_amount="0.5"),
        units("3"),
        [usage("3", "1.5", 2)],
        plan={"currency": "JPY"},
    ),
    Case(
        "dinars have three digits",
        charge(unit_amount="0.0005"),
        units("1"),
        [usage("1", "0.0005", 1)],
        plan={"currency": "KWD"},
    ),
    # Allowances and overrides.
    Case("unlimited bills nothing", charge(included=None), units("1000000")),
    Case("zero usage gives no line", charge(included="10")),
    Case(
        "a line of zero on request",
        charge(included="10", invoice_zero=True),
        units("10"),
        [usage("0", "0", 0)],
    ),
    Case("at the allowance", charge(included="10"), units("10")),
    Case(
        "just past the allowance",
        charge(included="10"),
        units("10.000001"),
        [usage("0.000001", "0.000001", 0)],
    ),
    Case(
        "a finite override of unlimited",
        charge(included=None, capacity_unit_amount="9"),
        units("3"),
        [usage("1", "1", 100)],
        overrides=[{"meter_id": "units", "included": "2"}],
    ),
    Case(
        "an unlimited override", charge(), units("3"), overrides=[{"meter_id": "units", "is_unlimited": True}]
    ),
    Case(
        "an override below the plan",
        charge(included="10", capacity_unit_amount="9"),
        units("5"),
        [usage("1", "1", 100)],
        overrides=[{"meter_id": "units", "included": "4"}],
    ),
    Case(
        "bought capacity is not charged twice",
        charge(included="10", capacity_unit_amount="0.02"),
        units("16"),
        [("capacity", "units", "2024-04-01", "5", "0.1", 10), usage("1", "1", 100)],
        overrides=[{"meter_id": "units", "included": "15"}],
    ),
    Case(
        "capacity is shared, the override is not",
        charge(included="10", capacity_unit_amount="0.02"),
        units("16"),
        [("capacity", "units", "2024-04-01", "5", "0.05", 5), usage("1", "1", 100)],
        subscription=FIRST_HALF,
        overrides=[{"meter_id": "units", "included": "15"}],
    ),
    Case(
        "capacity without a price is free",
        charge(included="10"),
        units("16"),
        [usage("1", "1", 100)],
        overrides=[{"meter_id": "units", "included": "15"}],
    ),
    Case(
        "an override of the unit amount",
        charge(),
        units("2"),
        [usage("2", "0.1", 10)],
        overrides=[{"meter_id": "units", "unit_amount": "0.05"}],
    ),
    Case(
        "a dated override, both ends",
        charge(included="0"),
        [("units", f"2024-0{month}-10T12:00:00Z", "3", {}) for month in (2, 3, 4)],
        [usage("3", "3", 300, "2024-02-01"), usage("1", "1", 100, "2024-03-01"), usage("3", "3", 300)],
        subscription={"started_on": "2024-02-01", "ended_on": "2024-05-01"},
        overrides=[
            {"meter_id": "units", "included": "2", "valid_from": "2024-03-01", "valid_to": "2024-04-01"}
        ],
    ),
    Case(
        "a prorated allowance",
        charge(included="30", prorate_included=True),
        units("20"),
        [usage("5", "5", 500)],
        subscription=FIRST_HALF,
    ),  # 30 x 15/30 = 15
    Case(
        "a prorated allowance that does not end",
        charge(included="10", prorate_included=True),
        units("4", at="2024-03-25T12:00:00Z"),
        [usage("0.774193548387", "0.774193548387", 77, "2024-03-22")],
        subscription={"started_on": "2024-03-22", "ended_on": "2024-04-01"},
    ),  # 10 x 10/31 = 3.225806451613
    Case(
        "an allowance is whole by default",
        charge(included="30"),
        units("31"),
        [usage("1", "1", 100)],
        subscription=FIRST_HALF,
    ),
    Case(
        "a day's unused allowance is lost",
        charge(included="5", reset="day"),
        units("3", at="2024-04-03T12:00:00Z") + units("7", at="2024-04-04T12:00:00Z"),
        [usage("2", "2", 200)],
    ),
    Case(
        "calendar months inside an anchored cycle",
        charge(included="5", reset="calendar_month"),
        units("4", at="2024-03-31T12:00:00Z") + units("6", at="2024-04-01T12:00:00Z"),
        [usage("1", "1", 100, "2024-03-15")],
        subscription={"started_on": "2024-03-15", "ended_on": "2024-04-15", "billing_anchor_day": 15},
    ),
    # Cycles, shares, versions.
    Case(
        "leap February",
        plan={"price": "29"},
        lines=[price("15", 1500, "2024-02-15")],
        subscription={"started_on": "2024-02-15", "ended_on": "2024-03-01"},
    ),  # 29 x 15/29
    Case(
        "common February",
        plan={"price": "28"},
        lines=[price("14", 1400, "2023-02-15")],
        subscription={"started_on": "2023-02-15", "ended_on": "2023-03-01"},
    ),  # 28 x 14/28
    Case(
        "anchor 31",
        plan={"price": "1"},
        subscription={"started_on": "2024-01-31", "ended_on": "2024-05-31", "billing_anchor_day": 31},
        lines=[price("1", 100, on) for on in ("2024-01-31", "2024-02-29", "2024-03-31", "2024-04-30")],
    ),
    Case(
        "anchor 30",
        plan={"price": "1"},
        subscription={"started_on": "2023-01-30", "ended_on": "2023-04-30", "billing_anchor_day": 30},
        lines=[price("1", 100, on) for on in ("2023-01-30", "2023-02-28", "2023-03-30")],
    ),
    Case(
        "anchor 29 and a day more",
        plan={"price": "28"},
        lines=[price("28", 2800, "2023-02-28"), price("0.903225806452", 90, "2023-03-29")],
        subscription={"started_on": "2023-02-28", "ended_on": "2023-03-30", "billing_anchor_day": 29},
    ),
    # 02-28 to 03-29 is one whole cycle; then 1 day of 31 until 04-29: 28 x 1/31
    Case(
        "the first cycle begins at the anchor before",
        plan={"price": "31"},
        lines=[price("16", 1600, "2024-04-14")],
        subscription={"started_on": "2024-04-14", "ended_on": "2024-04-30", "billing_anchor_day": 30},
    ),
    # 2024-03-30 to 04-30 is 31 days, 16 served
    Case(
        "a price share that does not end",
        plan={"price": "10"},
        lines=[price("3.225806451613", 323, "2024-03-22")],
        subscription={"started_on": "2024-03-22", "ended_on": "2024-04-01"},
    ),  # 10 x 10/31
    Case(
        "no proration",
        charge("disk", unit_amount="2"),
        [("disk", "2024-04-02T12:00:00Z", "3", {})],
        [price("10", 1000), usage("3", "6", 600, meter="disk")],
        plan={"price": "10", "proration": "none"},
        subscription=FIRST_HALF,
    ),
    Case(
        "a price version in mid-cycle",
        plan={"price": "10"},
        lines=[price("10", 1000), price("20", 2000, "2024-05-01")],
        subscription={"started_on": "2024-04-01", "ended_on": "2024-06-01"},
        more_plans=[({"effective_from": "2024-04-10", "price": "20", "same_plan": True}, None, ())],
    ),
    Case(
        "a held plan version",
        plan={"price": "10"},
        lines=[price("10", 1000), price("10", 1000, "2024-05-01")],
        subscription={"started_on": "2024-04-01", "ended_on": "2024-06-01", "plan_version": "2020-01-01"},
        more_plans=[({"effective_from": "2024-04-10", "price": "20", "same_plan": True}, None, ())],
    ),
    Case(
        "inactive ends service",
        plan={"price": "30"},
        lines=[price("9", 900)],
        customer={"inactive_from": "2024-04-10"},
    ),
    Case(
        "usage before the start and after the end",
        charge(),
        units("1", at="2024-03-31T23:59:59.999999Z") + units("2", at="2024-05-01T00:00:00Z"),
    ),
    Case(
        "usage after a customer became inactive",
        charge(),
        units("1", at="2024-04-09T23:59:59.999999Z") + units("2", at="2024-04-10T00:00:00Z"),
        [usage("1", "1", 100)],
        customer={"inactive_from": "2024-04-10"},
    ),
    # Local days.
    Case(
        "a day of 23 hours",
        charge("calls", included="1", reset="day"),
        [
            ("calls", at, "1", {})
            for at in (
                "2024-03-10T04:59:59Z",
                "2024-03-10T05:00:00Z",
                "2024-03-11T03:59:59.999999Z",
                "2024-03-11T04:00:00Z",
            )
        ],
        [usage("1", "1", 100, "2024-03-01", "calls")],
        customer={"timezone": "America/New_York"},
        subscription={"started_on": "2024-03-01", "ended_on": "2024-04-01"},
    ),
    Case(
        "a day of 25 hours",
        charge("calls", included="1", reset="day"),
        [
            ("calls", at, "1", {})
            for at in (
                "2024-11-03T03:59:59Z",
                "2024-11-03T04:00:00Z",
                "2024-11-04T04:59:59.999999Z",
                "2024-11-04T05:00:00Z",
            )
        ],
        [usage("1", "1", 100, "2024-11-01", "calls")],
        customer={"timezone": "America/New_York"},
        subscription={"started_on": "2024-11-01", "ended_on": "2024-12-01"},
    ),
    Case(
        "a month's edge in Kolkata",
        charge("calls"),
        [
            ("calls", "2024-03-31T18:29:59.999999Z", "1", {}),
            ("calls", "2024-03-31T18:30:00Z", "1", {}),
            ("calls", "2024-04-30T18:29:59.999999Z", "1", {}),
            ("calls", "2024-04-30T18:30:00Z", "1", {}),
        ],
        [usage("2", "2", 200, meter="calls")],
        customer={"timezone": "Asia/Kolkata"},
    ),
    Case(
        "a month's edge in Kathmandu",
        charge("calls"),
        [("calls", "2024-03-31T18:14:59.999999Z", "1", {}), ("calls", "2024-03-31T18:15:00Z", "1", {})],
        [usage("1", "1", 100, meter="calls")],
        customer={"timezone": "Asia/Kathmandu"},
    ),
    Case(
        "the change day belongs to the new plan",
        charge(),
        units("1", at="2024-04-16T03:59:59.999999Z") + units("5", at="2024-04-16T04:00:00Z"),
        [usage("1", "1", 100), usage("5", "10", 1000, "2024-04-16")],
        customer={"timezone": "America/New_York"},
        subscription=FIRST_HALF,
        more_plans=[({}, {"started_on": "2024-04-16", "ended_on": "2024-05-01"}, [charge(unit_amount="2")])],
    ),
    # Distinct values and levels.
    Case(
        "a user on three days is one user",
        charge("users", included="1"),
        [
            ("users", f"2024-04-0{day}T12:00:00Z", "1", {"user_id": user})
            for day, user in ((1, "a"), (2, "a"), (3, "b"), (3, None))
        ],
        [usage("1", "1", 100, meter="users")],
    ),
    Case(
        "users per day",
        charge("users", included="1", reset="day"),
        [
            ("users", f"2024-04-0{day}T12:00:00Z", "1", {"user_id": user})
            for day, user in ((1, "a"), (2, "a"), (2, "b"))
        ],
        [usage("1", "1", 100, meter="users")],
    ),
    Case(
        "a level without a reading this month",
        charge("disk", included="4"),
        [("disk", "2024-01-05T12:00:00Z", "7", {}), ("disk", "2024-02-05T12:00:00Z", "6", {})],
        [usage("2", "2", 200, meter="disk")],
    ),
    Case(
        "the highest of the opening and the month",
        charge("disk"),
        [("disk", "2024-03-05T12:00:00Z", "7", {}), ("disk", "2024-04-05T12:00:00Z", "6", {})],
        [usage("7", "7", 700, meter="disk")],
    ),
    Case("a peak does not carry forward", charge("peak"), [("peak", "2024-03-05T12:00:00Z", "7", {})]),
    Case(
        "a level by resource, the latest of each",
        charge("seats"),
        [
            ("seats", "2024-03-05T12:00:00Z", "5", {"resource": "a"}),
            ("seats", "2024-04-05T12:00:00Z", "2", {"resource": "a"}),
            ("seats", "2024-04-06T12:00:00Z", "3", {"resource": "b"}),
            ("seats", "2024-02-06T12:00:00Z", "4", {}),
        ],
        [usage("9", "9", 900, meter="seats")],
    ),  # a 2, b 3, none 4
    Case(
        "the same instant: the higher event_id",
        charge("seats"),
        [
            ("seats", "2024-04-05T12:00:00Z", "2", {"event_id": "tie-1"}),
            ("seats", "2024-04-05T12:00:00Z", "3", {"event_id": "tie-2"}),
        ],
        [usage("3", "3", 300, meter="seats")],
    ),
    Case(
        "a level that changes plan in mid-cycle",
        charge("disk"),
        [("disk", "2024-03-05T12:00:00Z", "10", {})],
        [usage("10", "5", 500, meter="disk"), usage("10", "10", 1000, "2024-04-16", "disk")],
        subscription=FIRST_HALF,
        more_plans=[
            ({}, {"started_on": "2024-04-16", "ended_on": "2024-05-01"}, [charge("disk", unit_amount="2")])
        ],
    ),
    Case(
        "a level read every day",
        charge("disk", included="1", reset="day"),
        [("disk", "2024-03-05T12:00:00Z", "2", {}), ("disk", "2024-04-03T12:00:00Z", "1", {})],
        [usage("3", "3", 300, meter="disk")],
    ),  # 2 on the 1st, 2nd and, from before the reading, on the 3rd
    # Faults: what is beyond the types is on no line and stops no other.
    Case("an amount beyond its type", charge(unit_amount="1000"), units("999999999999999")),
    Case(
        "a quantity beyond its type",
        charge("big"),
        [("big", "2024-04-10T12:00:00Z", "1", {"properties": '{"n": "50000000000000000000000000"}'})],
    ),
    Case("a number beyond its type", charge("big"), properties("big", "1e30")),
    Case("a number beyond its type as text", charge("big"), properties("big", '"1e30"')),
    Case("a negative number beyond its type", charge("big"), properties("big", "5", "-1e30")),
    Case("what only looks like a number beyond", charge("big"), properties("big", '"1e30x"')),
    Case("numbers that add up beyond the sum's type", charge("big"), properties("big", *["9e23"] * 200)),
    Case("numbers far beyond that add up", charge("big"), properties("big", *["1e25"] * 200)),
    Case(
        "the largest day",
        charge("big", unit_amount=TINY),
        properties("big", f'"{LARGEST}"'),
        [usage(LARGEST, "1000000000000", 10**14, meter="big")],
    ),
    Case("and one past it", charge("big", unit_amount=TINY), properties("big", f'"{LARGEST}"', '"0.000001"')),
    Case(
        "a sum of large numbers and small ones",
        charge("big", unit_amount="0.000001"),
        properties("big", '"1000000000000.25"', '"999999999999.5"', '"0.25"', '"-1000000000000.5"'),
        [usage("999999999999.5", "999999.9999995", 100000000, meter="big")],
    ),
    Case(
        "more tokens than 64 bits hold",
        charge("tokens", unit_amount=TINY),
        units("1", meter="tokens", input_tokens=2**63 - 1, output_tokens=2**63 - 1),
        [usage("18446744073709551614", "18446744.073709551614", 1844674407, meter="tokens")],
    ),
    Case("a reading beyond its type", charge("gauge"), properties("gauge", "1e30")),
    Case(
        "the largest reading",
        charge("gauge", unit_amount=TINY),
        properties("gauge", f'"{LARGEST}"'),
        [usage(LARGEST, "1000000000000", 10**14, meter="gauge")],
    ),
    Case("readings that add up beyond the type", charge("gauge"), properties("gauge", *["9e23"] * 200)),
    # A cost counts where every event has one.
    Case("a cost that is not known", charge(model="cost_plus", multiplier="1.2"), units("3")),
    Case(
        "a cost that is known for one event of a day",
        charge(model="cost_plus", multiplier="1.2"),
        [*units("3", cost_usd="1"), *units("1")],
    ),
    Case(
        "a cost that is known for one day of two",
        charge(model="cost_plus", multiplier="1.2"),
        [*units("3", cost_usd="1"), *units("1", at="2024-04-11T12:00:00Z")],
    ),
    Case(
        "a cost that is known for both events of a day",
        charge(model="cost_plus", multiplier="1.2"),
        [*units("3", cost_usd="1"), *units("1", cost_usd="0.5")],
        [usage("4", "1.8", 180)],
    ),  # 1.5 x 1.2
    Case(
        "a cost of 0 is known",
        charge(model="cost_plus", multiplier="1.2"),
        [*units("3", cost_usd="1"), *units("1", cost_usd="0")],
        [usage("4", "1.2", 120)],
    ),
    Case("a cost that nothing is charged by", charge(), units("3"), [usage("3", "3", 300)]),
    Case("its neighbour is billed", charge(), units("1"), [usage("1", "1", 100)]),
]


BEYOND = {
    "a quantity beyond its type": "big",
    "a number beyond its type": "big",
    "a number beyond its type as text": "big",
    "a negative number beyond its type": "big",
    "numbers that add up beyond the sum's type": "big",
    "numbers far beyond that add up": "big",
    "and one past it": "big",
    "a reading beyond its type": "gauge",
    "readings that add up beyond the type": "gauge",
}
UNKNOWN_COST = (
    "a cost that is not known",
    "a cost that is known for one event of a day",
    "a cost that is known for one day of two",
)


def write(home: RatingHome) -> list[dict[str, Any]]:
    """All cases as one catalog, one set of accounts and a list of events."""
    tables: dict[str, list[dict[str, Any]]] = {
        name: [] for name in ("plans", "charges", "charge_tiers", "customers", "subscriptions", "overrides")
    }
    events = []
    for number, case in enumerate(CASES):
        customer = f"case-{number:02d}"
        tables["customers"].append({"customer_id": customer, "name": case.name, **case.customer})
        first = [case.charges] if isinstance(case.charges, dict) else list(case.charges)
        plans = [(case.plan, case.subscription, first), *case.more_plans]
        for part, (plan, subscription, charges) in enumerate(plans):
            plan_id = f"{customer}-plan-{0 if plan.get('same_plan') else part}"
            terms = {key: value for key, value in plan.items() if key != "same_plan"}
            version = {"plan_id": plan_id} | (
                {"effective_from": plan["effective_from"]} if "effective_from" in plan else {}
            )
            tables["plans"].append(version | terms)
            for terms in charges:
                tables["charges"].append(version | terms)
                for tier, (up_to, unit, flat) in enumerate(TIERS.get(case.tiers or "", []), 1):
                    tables["charge_tiers"].append(
                        version
                        | {
                            "meter_id": terms["meter_id"],
                            "tier_number": tier,
                            "up_to": up_to,
                            "unit_amount": unit,
                            "flat_amount": flat,
                        }
                    )
            if subscription is not None:
                name = f"{customer}-{part}"
                tables["subscriptions"].append(
                    {"subscription_id": name, "customer_id": customer, "plan_id": plan_id, **subscription}
                )
                if part == 0:
                    tables["overrides"] += [
                        {"subscription_id": name, **override} for override in case.overrides
                    ]
        for index, (meter, at, quantity, fields) in enumerate(case.events):
            events.append(
                {
                    "event_id": f"{customer}-{index}",
                    "customer_id": customer,
                    "event_type": meter,
                    "occurred_at": at,
                    "quantity": quantity,
                    **fields,
                }
            )
    catalog = {name: tables[name] for name in ("plans", "charges", "charge_tiers")}
    home.documents(
        "catalog",
        catalog
        | {
            "meters": METERS,
            "meter_event_types": [{"meter_id": m["meter_id"], "event_type": m["meter_id"]} for m in METERS],
        },
    )
    home.documents("accounts", {name: tables[name] for name in ("customers", "subscriptions", "overrides")})
    return events


@pytest.fixture(scope="module")
def rated(tmp_path_factory: pytest.TempPathFactory) -> RatingHome:
    home = RatingHome(tmp_path_factory.mktemp("cases"), as_of="2025-01-01T12:00:00+00:00")
    home.batch(write(home))
    home.build(
        command="build",
        select="+invoices +invoice_lines +plan_comparisons +overages +monthly_usage +daily_usage +unpriced_usage +customers"
        " +int_rating_faults",
    )
    return home


@pytest.fixture(scope="module")
def lines(rated: RatingHome) -> dict[str, list[tuple[Any, ...]]]:
    found: dict[str, list[tuple[Any, ...]]] = {}
    for row in rated.query("select * from invoice_lines order by service_start, line_type, meter_id"):
        found.setdefault(row["customer_id"], []).append(
            (
                row["line_type"],
                row["meter_id"],
                row["service_start"],
                row["quantity"],
                row["amount"],
                row["amount_minor"],
            )
        )
    return found


@pytest.mark.parametrize("number", range(len(CASES)), ids=[case.name for case in CASES])
def test_case(number: int, lines: dict[str, list[tuple[Any, ...]]]) -> None:
    expected = [
        (kind, meter, date.fromisoformat(on), Decimal(quantity), Decimal(amount), minor)
        for kind, meter, on, quantity, amount, minor in CASES[number].lines
    ]
    assert lines.get(f"case-{number:02d}", []) == sorted(
        expected, key=lambda line: (line[2], line[0], line[1] or "")
    )


def test_faults_name_the_subscription(rated: RatingHome) -> None:
    found = {
        (row["customer_id"], row["meter_id"], row["fault"])
        for row in rated.query("select * from int_rating_faults")
    }
    numbers = {case.name: f"case-{number:02d}" for number, case in enumerate(CASES)}
    assert found == {
        (numbers["an amount beyond its type"], "units", "usage amount beyond its type"),
        *((numbers[name], meter, "quantity beyond its type") for name, meter in BEYOND.items()),
        *((numbers[name], "units", "provider cost is not known for all usage") for name in UNKNOWN_COST),
    }


def test_a_day_beyond_its_type_is_null_in_daily_usage(rated: RatingHome) -> None:
    found = {
        (row["name"], row["meter_id"])
        for row in rated.query(
            "select name, meter_id from daily_usage inner join customers using (customer_id) where quantity is null"
        )
    }
    assert found == set(BEYOND.items())


def test_usage_that_cost_plus_waits_for_is_listed(rated: RatingHome) -> None:
    found = {
        row["name"]: (row["event_type"], row["event_count"])
        for row in rated.query(
            "select name, event_type, sum(event_count) as event_count from unpriced_usage"
            " inner join customers using (customer_id) where reason = 'no_usage' group by all"
        )
    }
    assert found == dict.fromkeys(UNKNOWN_COST, ("units", 1))


def test_charge_model_macros(rated: RatingHome, tmp_path: Path) -> None:
    home = copied(rated, tmp_path)
    home.build(command="test", select="int_charges,test_type:unit")


def test_a_catalog_kept_before_a_term_was_known_has_none_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without = CATALOG["charges"].replace(f" multiplier {MONEY},", "")
    assert without != CATALOG["charges"]
    monkeypatch.setitem(CATALOG, "charges", without)
    home = RatingHome(tmp_path)
    home.documents("catalog", {"charges": [{"plan_id": "plan", **charge()}]})
    home.documents("accounts", {})
    home.build(select="stg_catalog__charges")
    assert home.query("select plan_id, unit_amount, multiplier from stg_catalog__charges") == [
        {"plan_id": "plan", "unit_amount": 1, "multiplier": None}
    ]


# A double would show as a column's type, or come from one of these; `//` divides integers exactly.
INEXACT = re.compile(
    r"(?<![/*])/(?![/*])|\b(double|float|real|avg|mean|sqrt|power|pow|exp|ln|stddev|median)\b|\d[eE][+-]?\d"
)


def test_nothing_is_a_double_between_event_and_invoice(rated: RatingHome) -> None:
    columns = rated.query("select table_name, column_name, data_type from information_schema.columns")
    assert {row["table_name"] for row in columns} >= {"int_daily_usage", "int_lines", "invoices"}
    assert not [row for row in columns if re.search("DOUBLE|FLOAT|REAL", row["data_type"])]
    compiled = list((rated.root / "target/compiled").rglob("models/**/*.sql"))
    assert len(compiled) > 40
    used = {}
    for file in compiled:
        without_texts = re.sub(r"'(?:[^']|'')*'", "''", file.read_text())
        if found := INEXACT.findall(without_texts):
            used[file.name] = found
    assert not used


MARTS = ("monthly_usage", "overages", "invoice_lines", "invoices", "plan_comparisons")


def contents(home: RatingHome) -> dict[str, list[dict[str, Any]]]:
    return {name: home.query(f"select * from {name} order by all") for name in MARTS}


def copied(home: RatingHome, folder: Path) -> RatingHome:
    """The same home elsewhere, so that a test may go on with it."""
    shutil.copytree(home.root, folder / "home")
    return RatingHome(folder / "home", home.as_of, home.builds, home.batches, dict(home.versions))


def test_corrections_in_a_later_file(rated: RatingHome, tmp_path: Path) -> None:
    numbers = {case.name: f"case-{number:02d}" for number, case in enumerate(CASES)}
    half, under, yen = (
        numbers[name]
        for name in ("half a cent goes up", "less than half a cent stays, as 0", "yen have no minor unit")
    )
    home = copied(rated, tmp_path)

    def revised(event: str, customer: str, at: str, **fields: Any) -> dict[str, Any]:
        return {
            "event_id": f"{event}-0",
            "customer_id": customer,
            "event_type": "units",
            "occurred_at": at,
            "revision": 1,
            **fields,
        }

    home.batch(
        [
            revised(half, half, "2024-04-10T12:00:00Z", quantity="5"),
            revised(under, half, "2024-04-11T12:00:00Z", quantity="2"),
            revised(yen, yen, "2024-04-10T12:00:00Z", is_void=True),
        ]
    )
    home.build()
    rated_now = home.query("select distinct customer_id from int_periods_to_rate order by all")
    assert [row["customer_id"] for row in rated_now] == sorted([half, under, yen])
    bills = home.query(
        "select customer_id, quantity, amount_minor from invoice_lines where customer_id in "
        f"('{half}', '{under}', '{yen}')"
    )
    assert bills == [{"customer_id": half, "quantity": Decimal(7), "amount_minor": 4}]  # 7 x 0.005 = 0.035

    step_by_step = contents(home)
    home.build(rebuild={"months": ["2024-04"]})
    months = home.query(
        "select distinct date_trunc('month', period_end - 1) as month from int_periods_to_rate"
    )
    assert [row["month"].isoformat()[:10] for row in months] == ["2024-04-01"]
    assert contents(home) == step_by_step
    home.build(full_refresh=True)
    assert contents(home) == step_by_step
