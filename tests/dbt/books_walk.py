"""A year of closings with any edit of catalog, accounts and events in between, and what each customer should have paid.

``Expected`` keeps books of its own by the rules of docs/closing.md (terms that hold, corrections by difference) over the
independent rating of ``tests/reference``, without SQL. No tests here.
"""

import random
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, localcontext
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
from books_home import BooksHome
from rating import EXACT, Event, Reference, cycles, day

from pipelines.costs import current_version, refresh_prices, resolve_new_names
from pipelines.home import Home

Row = dict[str, Any]
Period = tuple[date, date]
Sums = dict[tuple[Any, ...], int]

ONE = timedelta(days=1)
ZONES = ("UTC", "America/New_York", "Asia/Tokyo", "Asia/Kolkata", "Pacific/Auckland")
ANCHORS = (1, 1, 1, 5, 15, 15, 28, 29, 30, 31)
OLD = "2020-01-01"
THROUGH = (
    date(2024, 2, 29), date(2024, 3, 30), date(2024, 5, 14), date(2024, 6, 30), date(2024, 9, 14),
    date(2024, 12, 31), date(2025, 2, 28),
)  # fmt: skip
CHARGES: Mapping[str, list[Row]] = {
    "base": [
        {"meter_id": "calls", "included": "100", "overage_model": "graduated"},
        {
            "meter_id": "reqs",
            "included": "3",
            "capacity_unit_amount": "0.4",
            "overage_model": "per_unit",
            "unit_amount": "0.55",
        },
    ],
    "levels": [
        {"meter_id": "seats", "included": "2", "overage_model": "per_unit", "unit_amount": "4"},
        {"meter_id": "disk", "included": "1", "overage_model": "per_unit", "unit_amount": "0.5"},
        {"meter_id": "users", "included": "1", "overage_model": "per_unit", "unit_amount": "3.33"},
    ],
    "daily": [
        {
            "meter_id": "calls",
            "included": "8",
            "reset": "day",
            "overage_model": "per_unit",
            "unit_amount": "0.13",
        }
    ],
    "monthly": [
        {
            "meter_id": "calls",
            "included": "90",
            "reset": "calendar_month",
            "overage_model": "package",
            "package_size": "50",
            "package_amount": "7",
        }
    ],
    "cost": [{"meter_id": "gen", "included": "0", "overage_model": "cost_plus", "multiplier": "1.2"}],
    "free": [
        {
            "meter_id": "reqs",
            "included": "4",
            "prorate_included": True,
            "overage_model": "per_unit",
            "unit_amount": "1",
        }
    ],
    "euro": [{"meter_id": "calls", "included": "50", "overage_model": "per_unit", "unit_amount": "0.21"}],
}
PLANS: Mapping[str, Row] = {
    "base": {"price": "31"},
    "levels": {"price": "5"},
    "daily": {"price": "20", "proration": "none"},
    "monthly": {"price": "12"},
    "cost": {"price": "0"},
    "free": {"price": "0"},
    "euro": {"price": "10", "currency": "EUR"},
}
TIERS = [
    {"tier_number": 1, "up_to": "50", "unit_amount": "0.10"},
    {"tier_number": 2, "up_to": "100", "unit_amount": "0.05"},
    {"tier_number": 3, "unit_amount": "0.013"},
]
KINDS = ("call", "call", "call", "req", "req", "seat", "disk", "login", "gen", "other")


def first_catalog() -> dict[str, list[Row]]:
    """Every aggregation, reset and way of charging."""
    catalog: dict[str, list[Row]] = {
        "meters": [
            {"meter_id": "calls"},
            {"meter_id": "reqs", "aggregation": "count", "field": None},
            {"meter_id": "seats", "aggregation": "max", "per": "resource", "carry_forward": True},
            {"meter_id": "disk", "aggregation": "latest"},
            {"meter_id": "users", "aggregation": "unique", "field": "user_id"},
            {"meter_id": "gen"},
        ],
        "meter_event_types": [
            {"meter_id": meter, "event_type": kind}
            for meter, kind in (
                ("calls", "call"), ("reqs", "req"), ("seats", "seat"), ("disk", "disk"), ("users", "login"), ("gen", "gen"),
            )
        ],
        "meter_filters": [],
        "plans": [],
        "charges": [],
        "charge_tiers": [],
        "prices": [
            {
                "provider": "acme",
                "model": "m",
                "unit": "quantity",
                "usd_per_unit": "0.013",
                "valid_from": OLD,
            }
        ],
    }  # fmt: skip
    for number, (plan, facts) in enumerate(PLANS.items()):
        add_version(catalog, {"plan_id": plan, "rank": number, "effective_from": OLD} | facts, CHARGES[plan])
    return catalog


def add_version(catalog: dict[str, list[Row]], plan: Row, charges: list[Row]) -> None:
    key = {name: plan[name] for name in ("plan_id", "effective_from")}
    catalog["plans"].append(plan)
    for position, charge in enumerate(charges, 1):
        catalog["charges"].append(charge | key | {"position": position})
        if charge["overage_model"] == "graduated":
            catalog["charge_tiers"] += [tier | key | {"meter_id": charge["meter_id"]} for tier in TIERS]


# What should have been paid


class Terms(Reference):
    """A catalog to rate single periods by; events and overrides come with each."""

    def __init__(self, catalog: Mapping[str, list[Row]]) -> None:
        super().__init__(catalog, {}, (), "2024-01-01T00:00:00+00:00")
        self.unit_cost = Decimal(catalog["prices"][0]["usd_per_unit"])

    def version_of(self, plan_id: str, held: str | None, on: date) -> Row:
        found = self._version(plan_id, on)
        if held:
            named = [row for row in self.catalog["plans"] if row["plan_id"] == plan_id]
            found = next(row for row in named if self._from(row) == held)
        assert found
        return dict(found)

    def rate(
        self,
        subscription: Row,
        overrides: list[Row],
        events: list[Event],
        today: date,
        plan: Row,
        period: "Cycle",
    ) -> list[Row]:
        customer = subscription["customer_id"]
        self.accounts["overrides"] = overrides
        self.events[customer] = [
            Event(
                {"cost_usd": Decimal(event.row["quantity"]) * self.unit_cost} | event.row, event.at, event.day
            )
            for event in events
        ]
        whole = (period.start, period.start + period.days * ONE)
        with localcontext(EXACT):
            _, lines = self._rate_plan(
                subscription, {"customer_id": customer}, today, plan, whole, period.served, True
            )
        return lines


@dataclass(frozen=True)
class Cycle:
    """A cycle of a subscription, or what is left of one, with the part served."""

    start: date
    end: date
    days: int
    served: Period

    @property
    def bounds(self) -> Period:
        return self.start, self.end


@dataclass(frozen=True)
class Pin:
    closing: int
    plan: str
    version: str
    held: str | None
    days: int
    first: date
    invoice: tuple[Any, ...]


def effective(events: list[Row]) -> list[Row]:
    """Records without a higher revision within 35 days of them, unless void."""
    by_id: dict[str, list[tuple[datetime, Row]]] = defaultdict(list)
    for event in events:
        by_id[event["event_id"]].append((datetime.fromisoformat(event["occurred_at"]), event))
    return [
        row
        for records in by_id.values()
        for at, row in records
        if not row.get("is_void")
        and not any(
            other.get("revision", 0) > row.get("revision", 0) and abs(when - at) <= timedelta(days=35)
            for when, other in records
        )
    ]


@dataclass
class Expected:
    """Books kept by the rules, one closing after the other."""

    closing: int = 0
    catalogs: list[Terms] = field(default_factory=list)
    pins: dict[tuple[str, str], dict[Period, list[Pin]]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(list))
    )
    ends: dict[str, list[tuple[str, date]]] = field(default_factory=lambda: defaultdict(list))
    invoices: set[tuple[Any, ...]] = field(default_factory=set)
    billed: Sums = field(default_factory=lambda: defaultdict(int))

    def used_versions(self) -> set[tuple[str, str]]:
        return {
            (pin.plan, pin.version) for kept in self.pins.values() for pins in kept.values() for pin in pins
        }

    def has_issued(self, subscription: Row) -> bool:
        return bool(self.pins.get((subscription["subscription_id"], subscription["customer_id"])))

    def local_day(self, customer: str, zone: str, at: datetime) -> date:
        """By the zone of the closing whose cycles the instant lies in; never a day that an earlier one closed."""
        closed = date.min
        for issued_zone, end in self.ends[customer]:
            if at < datetime(end.year, end.month, end.day, tzinfo=ZoneInfo(issued_zone)):
                return max(at.astimezone(ZoneInfo(issued_zone)).date(), closed)
            closed = max(closed, end)
        return max(at.astimezone(ZoneInfo(zone)).date(), closed)

    def cycles_of(self, subscription: Row, customer: Row, today: date) -> Iterator[Cycle]:
        """Issued cycles as they are; of today's what these leave, each stretch of days by itself."""
        started = date.fromisoformat(subscription["started_on"])
        ends = [
            moment
            for moment in (day(subscription.get("ended_on")), day(customer.get("inactive_from")))
            if moment
        ]
        last = min([*ends, today + ONE])
        issued = self.pins[subscription["subscription_id"], subscription["customer_id"]]
        owner: dict[date, Period] = {}
        for bounds, _ in sorted(
            issued.items(), key=lambda item: (item[1][0].closing, -item[0][0].toordinal())
        ):
            for moment in days(*bounds):
                owner.setdefault(moment, bounds)
        whole: list[tuple[Period, int]] = [(bounds, pins[0].days) for bounds, pins in issued.items()]
        for bounds in cycles(started, int(subscription["billing_anchor_day"])):
            if bounds[0] >= last:
                break
            if bounds not in issued:
                whole.append((bounds, (bounds[1] - bounds[0]).days))
        for (start, end), length in whole:
            mine = [moment for moment in days(start, end) if owner.get(moment, (start, end)) == (start, end)]
            stretches: list[list[date]] = []
            for moment in mine:
                if stretches and stretches[-1][-1] + ONE == moment:
                    stretches[-1].append(moment)
                else:
                    stretches.append([moment])
            for number, stretch in enumerate(stretches):
                is_twin = (start, end) not in issued and any(bounds[0] == start for bounds in issued)
                begins = stretch[0] if number or is_twin else start
                finishes = end if number == len(stretches) - 1 else stretch[-1] + ONE
                served = max(stretch[0], started), min([stretch[-1] + ONE, *ends])
                if served[0] < served[1] and served[0] <= today:
                    yield Cycle(begins, finishes, length, served)

    def close(self, walk: "Walk", through: date, as_of: datetime) -> None:
        self.closing += 1
        self.catalogs.append(Terms(walk.catalog))
        events: dict[str, list[Event]] = defaultdict(list)
        for row in effective(walk.events):
            if customer := walk.customers.get(row["customer_id"]):
                at = datetime.fromisoformat(row["occurred_at"]).astimezone(UTC)
                local = self.local_day(customer["customer_id"], customer["timezone"], at)
                events[customer["customer_id"]].append(Event(row, at, local))
        should: Sums = defaultdict(int)
        served: dict[tuple[Any, ...], list[tuple[Row, Cycle, Row, bool]]] = defaultdict(list)
        for subscription in walk.subscriptions.values():
            customer = walk.customers[subscription["customer_id"]]
            overrides = [
                row
                for row in walk.overrides.values()
                if row["subscription_id"] == subscription["subscription_id"]
            ]
            today = as_of.astimezone(ZoneInfo(customer["timezone"])).date()
            for cycle in self.cycles_of(subscription, customer, today):
                now = self.catalogs[-1].version_of(
                    subscription["plan_id"], subscription.get("plan_version"), cycle.served[0]
                )
                pin = self.pin_of(subscription, cycle, now)
                terms = self.catalogs[pin.closing - 1 if pin else -1]
                plan = terms.version_of(
                    subscription["plan_id"], subscription.get("plan_version"), cycle.served[0]
                )
                invoice = (subscription["customer_id"], plan.get("currency", "USD"), *cycle.bounds)
                served[invoice].append((subscription, cycle, plan, pin is not None))
                for line in terms.rate(
                    subscription, overrides, events[subscription["customer_id"]], today, plan, cycle
                ):
                    key = (*invoice, subscription["subscription_id"], line["meter_id"], line["line_type"])
                    should[key] += line["amount_minor"]
        unissued = {key[:4] for key in should} - self.invoices
        ready = {
            invoice
            for invoice in unissued
            if invoice[3] <= through + ONE
            and as_of.astimezone(ZoneInfo(walk.customers[invoice[0]]["timezone"])).date() >= invoice[3]
        }
        corrected = set()
        for key in should.keys() | self.billed.keys():
            if key[:4] in self.invoices and key[3] <= through + ONE:
                difference = should.get(key, 0) - self.billed.get(key, 0)
                payer = key[:2]
                waits = payer in {one[:2] for one in unissued} and payer not in {one[:2] for one in ready}
                if difference < 0 or (difference > 0 and not waits):
                    self.billed[key] += difference
                    corrected.add((key[:4], key[4]))
            elif key[:4] in ready:
                self.billed[key] = should[key]
        for invoice in ready:
            self.invoices.add(invoice)
        for customer_id in {invoice[0] for invoice in ready}:
            last = max(invoice[3] for invoice in ready if invoice[0] == customer_id)
            self.ends[customer_id].append((walk.customers[customer_id]["timezone"], last))
        for invoice, periods in served.items():
            for subscription, cycle, plan, is_held in periods:
                name = subscription["subscription_id"]
                if not is_held and (invoice in ready or (invoice, name) in corrected):
                    self.pins[name, subscription["customer_id"]][cycle.bounds].append(
                        Pin(
                            self.closing,
                            plan["plan_id"],
                            plan["effective_from"],
                            subscription.get("plan_version"),
                            cycle.days,
                            cycle.served[0],
                            invoice,
                        )
                    )

    def pin_of(self, subscription: Row, cycle: Cycle, version: Row) -> Pin | None:
        """The latest document on the plan and version that the accounts name."""
        held = subscription.get("plan_version")
        found = [
            pin
            for pin in self.pins[subscription["subscription_id"], subscription["customer_id"]].get(
                cycle.bounds, ()
            )
            if pin.plan == subscription["plan_id"]
            and (
                pin.version == version["effective_from"]
                or (
                    not (held or pin.held)
                    and date.fromisoformat(pin.version) <= cycle.served[0]
                    and (pin.first == cycle.served[0] or pin.invoice[1] == version.get("currency", "USD"))
                )
            )
        ]
        return found[-1] if found else None

    def sums(self) -> Sums:
        """By customer, currency, cycle, subscription and meter, in minor units; 0 left out."""
        found: Sums = defaultdict(int)
        for key, minor in self.billed.items():
            found[key[:6]] += minor
        return {key: minor for key, minor in found.items() if minor}


def days(first: date, end: date) -> Iterator[date]:
    return (first + number * ONE for number in range((end - first).days))


_PAID = """
    with lines as (
        select *, coalesce(adjusts_invoice_id, invoice_id) as cycle_invoice_id
        from '{0}/issued_lines/*.parquet'
    ),
    amounts as (
        select cycle_invoice_id, subscription_id, meter_id, amount_minor from lines
        union all
        select cycle_invoice_id, subscription_id, meter_id, -credits.amount_minor
        from '{0}/credit_note_lines/*.parquet' as credits join lines using (invoice_line_id)
    )
    select customer_id, currency, period_start, period_end, subscription_id, meter_id, cast(sum(amount_minor) as bigint)
    from amounts join '{0}/issued_invoices/*.parquet' as invoices on cycle_invoice_id = invoices.invoice_id
    group by all having sum(amount_minor) != 0
"""


def paid(home: BooksHome) -> Sums:
    """What the ledger's documents come to, as ``Expected.sums``."""
    with duckdb.connect() as connection:
        rows = connection.execute(_PAID.format(home.root / "lake/ledger")).fetchall()
    return {row[:-1]: row[-1] for row in rows}


# Edits


@dataclass
class Walk:
    """Catalog, accounts and events that move on at random; every edit is counted once its kind met an issued cycle.

    :param customer_count: each with accounts and usage of its own.
    :param year: through which days books are closed; the last time without edits, so that nothing waits.
    """

    seed: int
    customer_count: int
    year: Sequence[date] = THROUGH
    catalog: dict[str, list[Row]] = field(default_factory=first_catalog)
    customers: dict[str, Row] = field(default_factory=dict)
    subscriptions: dict[str, Row] = field(default_factory=dict)
    overrides: dict[tuple[str, str], Row] = field(default_factory=dict)
    events: list[Row] = field(default_factory=list)
    fresh: list[Row] = field(default_factory=list)
    gone: list[tuple[Row, Row]] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    expected: Expected = field(default_factory=Expected)

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)
        for number in range(self.customer_count):
            self.join(f"c{number:03}")

    def pick(self, *choices: Any) -> Any:
        return self.chance.choice(choices)

    def day(self, first: date, last: date) -> str:
        return str(first + self.chance.randrange((last - first).days + 1) * ONE)

    def join(self, customer: str) -> None:
        self.customers[customer] = {
            "customer_id": customer,
            "name": customer,
            "timezone": self.pick(*ZONES),
        }
        plan = self.pick("base", "base", "levels", "daily", "monthly", "cost", "free", "euro")
        self.subscribe(customer, customer, plan)
        if self.chance.random() < 0.25:
            self.subscribe(f"{customer}-more", customer, "levels" if plan != "levels" else "cost")

    def subscribe(self, name: str, customer: str, plan: str) -> None:
        self.subscriptions[name] = {
            "subscription_id": name,
            "customer_id": customer,
            "plan_id": plan,
            "started_on": self.day(date(2024, 1, 1), date(2024, 2, 10)),
            "billing_anchor_day": self.pick(*ANCHORS),
        }

    def count(self, kind: str, subscription: Row | None = None) -> None:
        if self.expected.closing and (subscription is None or self.expected.has_issued(subscription)):
            self.counts[kind] += 1

    # Usage

    def use(self, first: date, last: date) -> None:
        """Usage of a stretch, a part of it late, for every customer and some that nobody knows."""
        for customer in [*sorted(self.customers), "nobody", f"late{self.seed % 7}"]:
            for number in range(self.chance.randrange(2, 12)):
                late = bool(self.expected.closing) and self.chance.random() < 0.2
                moment = date.fromisoformat(self.day(date(2024, 1, 1) if late else first, last))
                event = {
                    "event_id": f"{customer}-{self.expected.closing}-{number}",
                    "customer_id": customer,
                    "event_type": self.pick(*KINDS),
                    "occurred_at": self.instant(moment),
                    "quantity": str(self.pick(1, 2, "2.5", 7, 40, 60, 101)),
                    "user_id": f"u{self.chance.randrange(4)}",
                    "resource": self.pick("a", "b"),
                    "provider": "acme",
                    "model": "m",
                    "input_tokens": self.pick(3, 90),
                }
                self.fresh.append(event)
                if late:
                    self.counts["event late"] += 1
                if self.chance.random() < 0.05:
                    # The higher revision comes first.
                    self.fresh[-1] = event | {"revision": 2, "quantity": "5"}
                    self.fresh.append(event | {"revision": self.pick(0, 1)})
                    self.counts["event revision before a lower one"] += 1

    def instant(self, moment: date) -> str:
        """Mostly near midnight, where time zones matter."""
        hour = self.pick(0, 3, 12, 15, 19, 23)
        return f"{moment}T{hour:02}:{self.chance.randrange(60):02}:{self.chance.randrange(60):02}+00:00"

    def revise(self) -> None:
        """Further revisions of what was told, of every kind."""
        latest: dict[str, Row] = {}
        for event in self.events:
            if event.get("revision", 0) >= latest.get(event["event_id"], {}).get("revision", 0):
                latest[event["event_id"]] = event
        known = [latest[name] for name in sorted(latest)]
        voids = [event for event in known if event.get("is_void")]
        chosen = self.chance.sample(known, min(len(known), self.customer_count * 2 // 3))
        chosen += [event for event in self.chance.sample(voids, len(voids) // 4) if event not in chosen]
        for event in chosen:
            at = datetime.fromisoformat(event["occurred_at"])
            kind, change = self.pick(
                ("quantity", {"quantity": str(self.pick(0, 1, 50, 140))}),
                ("type", {"event_type": self.pick(*KINDS)}),
                ("customer", {"customer_id": self.pick(*sorted(self.customers))}),
                (
                    "customer and type",
                    {"customer_id": self.pick(*sorted(self.customers)), "event_type": self.pick(*KINDS)},
                ),
                ("day", {"occurred_at": (at + self.pick(-30, -9, -1, 1, 9, 30) * ONE).isoformat()}),
                ("resource and user", {"resource": self.pick("a", "b", "c"), "user_id": "u9"}),
                ("voided", {"is_void": True}),
                ("voided", {"is_void": True}),
                ("moved beyond 35 days", {"occurred_at": (at - self.pick(36, 60) * ONE).isoformat()}),
                ("moved 35 days", {"occurred_at": (at - 35 * ONE).isoformat()}),
            )
            if event.get("is_void"):
                kind, change = "un-voided", {"is_void": False}
            self.fresh.append(event | {"revision": event.get("revision", 0) + 1} | change)
            self.counts[f"event {kind}"] += 1

    # Accounts

    def edit_accounts(self, today: date) -> None:
        for customer in sorted(self.customers):
            if self.chance.random() < 0.25:
                self.edit_customer(customer, today)
        for name in sorted(self.subscriptions):
            for _ in range(self.pick(0, 1, 1, 2, 3)):
                if name in self.subscriptions:
                    self.edit_subscription(name, today)
        for _ in range(self.pick(0, 1, 2)):
            if self.gone:
                customer, subscription = self.gone.pop(self.chance.randrange(len(self.gone)))
                self.count("customer or subscription back again", subscription)
                self.customers.setdefault(customer["customer_id"], customer)
                self.subscriptions.setdefault(subscription["subscription_id"], subscription)

    def edit_customer(self, customer: str, today: date) -> None:
        row = self.customers[customer]
        mine = [one for one in self.subscriptions.values() if one["customer_id"] == customer]
        kind = self.pick("timezone", "timezone", "timezone", "inactive_from", "inactive_from", "removed")
        if any(self.expected.has_issued(one) for one in mine):
            was_set = kind == "inactive_from" and row.get("inactive_from")
            self.count(f"customer {kind}{' unset' if was_set else ''}")
        if kind == "timezone":
            row["timezone"] = self.pick(*ZONES)
        elif kind == "inactive_from":
            row["inactive_from"] = None if row.get("inactive_from") else self.day(date(2024, 1, 10), today)
        elif len(self.customers) > 3:
            for one in mine:
                self.remove(one["subscription_id"])
            del self.customers[customer]

    def remove(self, name: str) -> None:
        subscription = self.subscriptions.pop(name)
        self.gone.append((self.customers[subscription["customer_id"]], subscription))
        for key in [key for key in self.overrides if key[0] == name]:
            del self.overrides[key]

    def edit_subscription(self, name: str, today: date) -> None:
        row = self.subscriptions[name]
        before = dict(row)
        kind = self.pick(
            "started_on", "ended_on", "plan_id", "plan_id", "plan_version", "plan_version", "billing_anchor_day",
            "billing_anchor_day", "customer_id", "removed", "renamed", "added", "override", "override", "override",
        )  # fmt: skip
        if kind == "started_on":
            row["started_on"] = self.day(date(2023, 12, 20), today)
            if (row.get("plan_version") or OLD) > row["started_on"]:
                row["plan_version"] = None
        elif kind == "ended_on":
            kind = "ended_on unset" if row.get("ended_on") else kind
            row["ended_on"] = None if row.get("ended_on") else self.day(date(2024, 1, 10), today)
        elif kind == "plan_id":
            row["plan_id"] = self.pick(*sorted({plan["plan_id"] for plan in self.catalog["plans"]}))
            row["plan_version"] = None
        elif kind == "plan_version":
            named = [
                plan["effective_from"]
                for plan in self.catalog["plans"]
                if plan["plan_id"] == row["plan_id"] and plan["effective_from"] <= row["started_on"]
            ]
            kind = "plan_version unset" if row.get("plan_version") else kind
            row["plan_version"] = None if row.get("plan_version") else self.pick(*named)
        elif kind == "billing_anchor_day":
            row["billing_anchor_day"] = self.pick(*ANCHORS)
        elif kind == "customer_id":
            row["customer_id"] = self.pick(*sorted(self.customers))
        elif kind == "removed":
            self.remove(name)
        elif kind == "renamed":
            other = f"{name[:20]}-{self.expected.closing}"
            if other not in self.subscriptions:
                self.subscriptions[other] = self.subscriptions.pop(name) | {"subscription_id": other}
                for key in [key for key in self.overrides if key[0] == name]:
                    self.overrides[other, key[1]] = self.overrides.pop(key) | {"subscription_id": other}
        elif kind == "added":
            other = f"{name[:20]}+{self.expected.closing}"
            self.subscribe(other, row["customer_id"], self.pick("levels", "cost", "free", "euro"))
            self.subscriptions[other]["started_on"] = self.day(date(2024, 1, 1), today)
        else:
            kind = self.edit_override(row, today)
        self.count(f"subscription {kind}", before)

    def edit_override(self, subscription: Row, today: date) -> str:
        charged = [
            row["meter_id"] for row in self.catalog["charges"] if row["plan_id"] == subscription["plan_id"]
        ]
        key = subscription["subscription_id"], self.pick(*sorted(set(charged)))
        known = self.overrides.get(key)
        if known and self.chance.random() < 0.4:
            del self.overrides[key]
            return "override removed"
        if known and self.chance.random() < 0.4:
            known["valid_to"] = self.day(date(2024, 2, 1), today)
            return "override ended"
        row = {"subscription_id": key[0], "meter_id": key[1]}
        if self.chance.random() < 0.2:
            row["is_unlimited"] = True
        elif self.chance.random() < 0.7:
            row["included"] = self.pick("0", "2", "6", "150")
        if key[1] in ("reqs", "seats", "disk", "users") and (len(row) == 2 or self.chance.random() < 0.3):
            row["unit_amount"] = self.pick("0.2", "9")
        elif len(row) == 2:
            row["included"] = "5"
        if self.chance.random() < 0.4:
            row["valid_from"] = self.day(date(2024, 1, 1), today)
        self.overrides[key] = row
        return "override changed" if known else "override added"

    # Catalog

    def edit_catalog(self, today: date) -> None:
        self.catalog = deepcopy(self.catalog)
        for _ in range(self.pick(8, 9, 10)):
            self.pick(
                self.edit_meter, self.edit_meter, self.append_version, self.append_version, self.edit_unused
            )(today)

    def edit_meter(self, _: date) -> None:
        meter = self.pick(*self.catalog["meters"])
        name, types = meter["meter_id"], self.catalog["meter_event_types"]
        mine = [row for row in types if row["meter_id"] == name]
        filters = [row for row in self.catalog["meter_filters"] if row["meter_id"] == name]
        kinds = ["event_types", "where", "billable"]
        kinds += ["field", "field"] if name in ("calls", "seats", "disk") else []
        kinds += ["per", "carry_forward", "carry_forward"] if name in ("seats", "disk") else []
        kinds += ["prices", "prices", "prices"] if name == "gen" else ["event_types", "aggregation"]
        kind = self.pick(*kinds)
        if kind == "event_types":
            if len(mine) > 1:
                types.remove(self.pick(*mine))
            else:
                types.append(
                    {
                        "meter_id": name,
                        "event_type": self.pick(
                            "other", "other", *sorted({*KINDS} - {mine[0]["event_type"], "other"})
                        ),
                    }
                )
        elif kind == "where":
            for row in filters:
                self.catalog["meter_filters"].remove(row)
            if not filters:
                self.catalog["meter_filters"].append({"meter_id": name, "field": "resource", "value": "a"})
        elif kind == "field":
            meter["field"] = "input_tokens" if meter.get("field", "quantity") == "quantity" else "quantity"
        elif kind == "aggregation":
            other = {"sum": "count", "count": "sum", "max": "latest", "latest": "max", "unique": "count"}
            other |= {"count": "unique"} if name == "users" else {}
            meter["aggregation"] = other[meter.get("aggregation", "sum")]
            by_count = meter["aggregation"] == "count"
            meter["field"] = None if by_count else "user_id" if name == "users" else "quantity"
        elif kind == "per":
            meter["per"] = None if meter.get("per") else "resource"
        elif kind == "carry_forward":
            meter["carry_forward"] = not meter.get("carry_forward", False)
        elif kind == "billable":
            # No charge may be on a meter that is not; one that nobody charges for changes nothing.
            self.catalog["meters"].append({"meter_id": f"m{len(self.catalog['meters'])}", "billable": False})
            types.append({"meter_id": self.catalog["meters"][-1]["meter_id"], "event_type": "call"})
        else:
            self.catalog["prices"][0]["usd_per_unit"] = self.pick("0.013", "0.02", "0.007")
        self.count(f"meter {kind}")

    def append_version(self, today: date) -> None:
        plan = self.pick(*sorted({row["plan_id"] for row in self.catalog["plans"]}))
        versions = [row for row in self.catalog["plans"] if row["plan_id"] == plan]
        newest = max(versions, key=lambda row: row["effective_from"])
        charges = [
            {
                name: value
                for name, value in row.items()
                if name not in ("plan_id", "effective_from", "position")
            }
            for row in self.catalog["charges"]
            if (row["plan_id"], row["effective_from"]) == (plan, newest["effective_from"])
        ]
        kind = self.pick(
            "version later", "version earlier", "version earlier", "currency", "charge added", "new"
        )
        first = date(2023, 11, 1) if kind == "version earlier" else date(2024, 1, 15)
        version = newest | {
            "effective_from": self.day(first, today),
            "price": str(self.pick(0, 17, 44, 62)),
        }
        if kind == "currency":
            version["currency"] = "EUR" if newest.get("currency", "USD") == "USD" else "USD"
            if plan == "cost":
                return
        elif kind == "charge added":
            others = {"users", "reqs", "disk"} - {row["meter_id"] for row in charges}
            if not others:
                return
            charges.append(
                {"meter_id": min(others), "included": "1", "overage_model": "per_unit", "unit_amount": "0.9"}
            )
        elif kind == "new":
            version |= {"plan_id": f"new{len(self.catalog['plans'])}", "effective_from": OLD}
        else:
            for charge in charges:
                charge["included"] = self.pick("0", charge["included"])
        if any(
            (row["plan_id"], row["effective_from"]) == (version["plan_id"], version["effective_from"])
            for row in self.catalog["plans"]
        ):
            return
        add_version(self.catalog, version, charges)
        self.count(f"plan {kind}")

    def edit_unused(self, _: date) -> None:
        """Only what no document used may be edited in place."""
        used = self.expected.used_versions()
        free = [row for row in self.catalog["plans"] if (row["plan_id"], row["effective_from"]) not in used]
        if free:
            self.pick(*free)["price"] = str(self.pick(3, 55))
            self.count("plan unused version in place")

    # Closings

    def steps(self) -> Iterator[tuple[date, datetime]]:
        """The closings of the year, each after what became known before it, with their clocks."""
        first = date(2024, 1, 1)
        for number, through in enumerate(self.year):
            is_last = number == len(self.year) - 1
            today = through + self.pick(2, 3, 4) * ONE
            if number and not is_last:
                self.edit_accounts(through)
                if number != 2 or len(self.year) < len(THROUGH):
                    self.edit_catalog(through)
                self.revise()
            if not is_last:
                self.use(first, today)
            yield through, datetime(today.year, today.month, today.day, 12, tzinfo=UTC)
            first = today

    def hand_over(self, home: BooksHome) -> None:
        home.documents("catalog", deepcopy(self.catalog))
        home.documents(
            "accounts",
            {
                "customers": self.customers.values(),
                "subscriptions": self.subscriptions.values(),
                "overrides": self.overrides.values(),
            },
        )
        if self.fresh:
            home.batch(self.fresh)
            refresh_prices(Home(home.root), datetime.fromisoformat(home.as_of))
            resolve_new_names(Home(home.root))
            home.versions["prices"] = current_version()
            self.events += self.fresh
            self.fresh = []


_TWICE = """
    select subscription_id, period_start from int_service_periods group by all having count(*) > 1
    union all
    select mine.subscription_id, mine.period_start from int_service_periods as mine join int_service_periods as other
    on mine.subscription_id = other.subscription_id and mine.service_start < other.service_start
        and mine.service_end > other.service_start
"""


def take(walk: Walk, home: BooksHome) -> Iterator[tuple[date, Sums, Sums]]:
    """Close the year; after each closing what was paid and what should have been, where these differ."""
    for through, as_of in walk.steps():
        home.as_of = as_of.isoformat()
        walk.hand_over(home)
        home.close(str(through))
        assert home.query(_TWICE) == []
        walk.expected.close(walk, through, as_of)
        was, should = paid(home), walk.expected.sums()
        differing = {key for key in was.keys() | should.keys() if was.get(key, 0) != should.get(key, 0)}
        yield (
            through,
            {key: was.get(key, 0) for key in differing},
            {key: should.get(key, 0) for key in differing},
        )
