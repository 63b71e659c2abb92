"""Rating as the contract's section 5 says it, in Python Decimal: an independent second opinion for tests.

Slow, plain and without SQL: events to effective events, to usage over windows, to lines. It takes the same
rows that a test writes into the lake. Nothing that runs in the product may import it.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_CEILING, ROUND_HALF_UP, Context, Decimal, localcontext
from typing import Any
from zoneinfo import ZoneInfo

Row = Mapping[str, Any]
TWELVE = Decimal("1e-12")
MINOR = {"USD": 2, "EUR": 2, "JPY": 0, "KWD": 3, "CLF": 4}
EXACT = Context(prec=150, rounding=ROUND_HALF_UP)


def decimal(value: Any) -> Decimal | None:
    return None if value in (None, "") else Decimal(value)


def day(value: Any) -> date | None:
    return None if value in (None, "") else date.fromisoformat(str(value))


def month_of(moment: date) -> date:
    return moment.replace(day=1)


def next_month(first: date) -> date:
    return (first + timedelta(days=31)).replace(day=1)


def anchored(first: date, anchor: int) -> date:
    last = next_month(first) - timedelta(days=1)
    return first.replace(day=min(anchor, last.day))


def cycles(started: date, anchor: int) -> Iterator[tuple[date, date]]:
    """From the cycle that holds the first day on, without end."""
    month = month_of(month_of(started) - timedelta(days=1))
    while True:
        start, end = anchored(month, anchor), anchored(next_month(month), anchor)
        if end > started:
            yield start, end
        month = next_month(month)


@dataclass(frozen=True)
class Event:
    """An effective event with its local day."""

    row: Row
    at: datetime
    day: date

    @property
    def order(self) -> tuple[datetime, str]:
        return self.at, self.row["event_id"]


def effective(events: Iterable[Row]) -> list[Row]:
    """The highest revision of every event_id, unless void. Ids are not reused over 35 days apart here."""
    newest: dict[str, Row] = {}
    for event in events:
        known = newest.get(event["event_id"])
        if known is None or int(event.get("revision", 0)) > int(known.get("revision", 0)):
            newest[event["event_id"]] = event
    return [event for event in newest.values() if not event.get("is_void", False)]


def text_of(event: Row, field: str) -> str | None:
    """A field as filters, `per` and distinct counts see it."""
    if not field.startswith("properties."):
        return event.get(field)
    value = json.loads(event.get("properties", "{}"), parse_float=str, parse_int=str).get(
        field.removeprefix("properties.")
    )
    return str(value).lower() if isinstance(value, bool) else value


def field_of(event: Row, field: str) -> Any:
    """A field as amounts and readings see it: digits, or None."""
    if field == "total_tokens":
        parts = [event.get("input_tokens"), event.get("output_tokens")]
        return None if parts == [None, None] else sum(int(part or 0) for part in parts)
    if field.startswith("properties."):
        text = text_of(event, field)
        return text if text and text.replace(".", "", 1).isdigit() else None
    return event.get(field, "1" if field == "quantity" else None)


def has_field(event: Row, meter: Row) -> bool:
    """Whether the event has what the meter reads."""
    field = meter.get("field", "quantity")
    match meter.get("aggregation", "sum"):
        case "count":
            return True
        case "unique":
            return text_of(event, field) is not None
        case _:
            return field_of(event, field) is not None


class Reference:
    """All results for one state of catalog, accounts and events."""

    def __init__(
        self,
        catalog: Mapping[str, list[Row]],
        accounts: Mapping[str, list[Row]],
        events: Iterable[Row],
        as_of: str,
    ) -> None:
        self.catalog = {
            name: list(catalog.get(name, []))
            for name in ("meters", "meter_event_types", "meter_filters", "plans", "charges", "charge_tiers")
        }
        self.accounts = {
            name: list(accounts.get(name, [])) for name in ("customers", "subscriptions", "overrides")
        }
        self.meters = {meter["meter_id"]: meter for meter in self.catalog["meters"]}
        self.zones = {
            row["customer_id"]: ZoneInfo(row.get("timezone", "UTC")) for row in self.accounts["customers"]
        }
        self.as_of = datetime.fromisoformat(as_of)
        self.events: dict[str, list[Event]] = defaultdict(list)
        for row in effective(events):
            zone = self.zones.get(row["customer_id"], UTC)
            at = datetime.fromisoformat(row["occurred_at"]).astimezone(UTC)
            self.events[row["customer_id"]].append(Event(row, at, at.astimezone(zone).date()))
        self.monthly_usage: dict[tuple[str, str, date], dict[str, Any]] = {}
        self.overages: dict[tuple[str, str, date], dict[str, Any]] = {}
        self.lines: dict[tuple[str, str, str | None, date], dict[str, Any]] = {}
        self.invoices: dict[tuple[str, str, date, date], int] = defaultdict(int)
        self.comparisons: dict[tuple[str, str, date], dict[str, Any]] = {}
        with localcontext(EXACT):
            for subscription in self.accounts["subscriptions"]:
                self._rate_subscription(subscription)

    # --- usage ---

    def unbilled(self) -> dict[tuple[str, str, date, str], dict[str, Any]]:
        """Events that no charge gets a quantity from, by customer, type, local day and the first reason."""
        found: dict[tuple[str, str, date, str], dict[str, Any]] = {}
        meters = {name: {id(e) for e in self._all_feeding(meter)} for name, meter in self.meters.items()}
        for customer, events in self.events.items():
            for event in events:
                fed = {name for name, fed_by in meters.items() if id(event) in fed_by}
                if reason := self._reason(customer, event, fed):
                    key = (customer, event.row["event_type"], event.day, reason)
                    row = found.setdefault(key, {"event_count": 0, "quantity": Decimal(0)})
                    row["event_count"] += 1
                    row["quantity"] += Decimal(field_of(event.row, "quantity"))
        return found

    def _all_feeding(self, meter: Row) -> Iterator[Event]:
        for customer in self.events:
            yield from self._feeding(customer, meter)

    def _reason(self, customer: str, event: Event, fed: set[str]) -> str | None:
        account = next((row for row in self.accounts["customers"] if row["customer_id"] == customer), None)
        if account is None:
            return "unknown_customer"
        if (inactive := day(account.get("inactive_from"))) and event.day >= inactive:
            return "inactive_customer"
        if not fed:
            return "no_meter"
        serving = [
            plan
            for row in self.accounts["subscriptions"]
            if row["customer_id"] == customer and (plan := self._serving(row, event.day))
        ]
        charged = {
            charge["meter_id"]
            for charge in self.catalog["charges"]
            for plan in serving
            if (charge["plan_id"], self._from(charge)) == (plan["plan_id"], self._from(plan))
        }
        measured = {name for name in fed if has_field(event.row, self.meters[name])}
        billable = {name for name in fed if self.meters[name].get("billable", True)}
        if charged & measured:
            return None
        if not billable:
            return "metered_only"
        if not billable & measured:
            return "no_quantity"
        return "not_in_plan" if serving else "no_subscription"

    def _serving(self, subscription: Row, moment: date) -> Row | None:
        """The plan version by which a subscription serves a day."""
        started, ended = day(subscription["started_on"]), day(subscription.get("ended_on"))
        if moment < started or (ended and moment >= ended):
            return None
        anchor = int(subscription.get("billing_anchor_day", 1))
        start = next(start for start, end in cycles(started, anchor) if end > moment)
        return self._plan_of(subscription, max(start, started))

    def _plan_of(self, subscription: Row, on: date) -> Row | None:
        held = subscription.get("plan_version")
        if not held:
            return self._version(subscription["plan_id"], on)
        return next(
            row
            for row in self.catalog["plans"]
            if row["plan_id"] == subscription["plan_id"] and self._from(row) == held
        )

    def _feeding(self, customer: str, meter: Row) -> list[Event]:
        types = {
            row["event_type"]
            for row in self.catalog["meter_event_types"]
            if row["meter_id"] == meter["meter_id"]
        }
        wanted = {
            row["field"]: row["value"]
            for row in self.catalog["meter_filters"]
            if row["meter_id"] == meter["meter_id"]
        }
        return [
            event
            for event in self.events[customer]
            if event.row["event_type"] in types
            and all(text_of(event.row, field) == value for field, value in wanted.items())
        ]

    def _usage(self, customer: str, meter: Row, start: date, end: date) -> Decimal:
        """Usage of a meter over [start, end)."""
        events = self._feeding(customer, meter)
        inside = [event for event in events if start <= event.day < end]
        aggregation, field = meter.get("aggregation", "sum"), meter.get("field", "quantity")
        if aggregation == "count":
            return Decimal(len(inside))
        if aggregation == "sum":
            return sum(
                (Decimal(value) for event in inside if (value := field_of(event.row, field)) is not None),
                Decimal(0),
            )
        if aggregation == "unique":
            return Decimal(
                len({value for event in inside if (value := text_of(event.row, field)) is not None})
            )
        total = Decimal(0)
        per = meter.get("per")
        groups: dict[str, list[Event]] = defaultdict(list)
        for event in events:
            if event.day < end and field_of(event.row, field) is not None:
                groups[(text_of(event.row, per) or "") if per else ""].append(event)
        for readings in groups.values():
            before = max(
                (event for event in readings if event.day < start), key=lambda e: e.order, default=None
            )
            during = [event for event in readings if event.day >= start]
            counted = during + ([before] if before and meter.get("carry_forward") else [])
            if not counted:
                continue
            if aggregation == "max":
                total += max(Decimal(field_of(event.row, field)) for event in counted)
            else:
                total += Decimal(field_of(max(counted, key=lambda e: e.order).row, field))
        return total

    def _windows(
        self, customer: str, meter: Row, reset: str, start: date, end: date, today: date
    ) -> list[tuple[date, date]]:
        """Days or calendar months of a service period that have begun or hold an event."""
        reached = {event.day for event in self._feeding(customer, meter) if start <= event.day < end}
        days = [start + timedelta(days=n) for n in range((end - start).days)]
        days = [moment for moment in days if moment <= today or moment in reached]
        if reset == "day":
            return [(moment, moment + timedelta(days=1)) for moment in days]
        months = sorted({month_of(moment) for moment in days})
        return [(max(start, month), min(end, next_month(month))) for month in months]

    # --- terms ---

    def _version(self, plan_id: str, on: date) -> Row | None:
        versions = [
            row for row in self.catalog["plans"] if row["plan_id"] == plan_id and day(self._from(row)) <= on
        ]
        return max(versions, key=lambda row: self._from(row), default=None)

    @staticmethod
    def _from(row: Row) -> str:
        return row.get("effective_from", "2020-01-01")

    def _override(self, subscription: str, meter: str, on: date) -> Row:
        for row in self.accounts["overrides"]:
            if (row["subscription_id"], row["meter_id"]) == (subscription, meter):
                begins, ends = day(row.get("valid_from")), day(row.get("valid_to"))
                if (begins is None or begins <= on) and (ends is None or on < ends):
                    return row
        return {}

    # --- rating ---

    def _rate_subscription(self, subscription: Row) -> None:
        customer = next(
            row for row in self.accounts["customers"] if row["customer_id"] == subscription["customer_id"]
        )
        today = self.as_of.astimezone(self.zones[customer["customer_id"]]).date()
        started = day(subscription["started_on"])
        ends = [
            moment
            for moment in (day(subscription.get("ended_on")), day(customer.get("inactive_from")))
            if moment
        ]
        for start, end in cycles(started, int(subscription.get("billing_anchor_day", 1))):
            service_start, service_end = max(start, started), min([end, *ends])
            if start > today or service_start > today or (ends and start >= min(ends)):
                return
            if service_start < service_end:
                self._rate_period(subscription, customer, today, (start, end), (service_start, service_end))

    def _rate_period(
        self,
        subscription: Row,
        customer: Row,
        today: date,
        cycle: tuple[date, date],
        service: tuple[date, date],
    ) -> None:
        own = self._plan_of(subscription, service[0])
        others = {row["plan_id"] for row in self.catalog["plans"]} - {own["plan_id"]}
        candidates = [own] + [
            version for plan in sorted(others) if (version := self._version(plan, service[0]))
        ]
        used = set()
        for plan in candidates:
            if plan.get("currency", "USD") != own.get("currency", "USD"):
                continue
            is_own = plan is own
            charges, lines = self._rate_plan(subscription, customer, today, plan, cycle, service, is_own)
            if is_own:
                used = {meter for meter, charge in charges.items() if charge["quantity"] > 0}
                self._record(subscription, plan, cycle, service, charges, lines)
            feasible = used <= set(charges) and not any(
                charge["overage_quantity"] > 0 and (charge["limit"] == "hard" or charge["model"] is None)
                for charge in charges.values()
            )
            self.comparisons[subscription["subscription_id"], plan["plan_id"], cycle[0]] = {
                "amount": sum((line["exact"] for line in lines), Decimal(0)).quantize(TWELVE),
                "total_minor": sum(line["amount_minor"] for line in lines),
                "is_current": is_own,
                "is_feasible": feasible,
            }

    def _record(
        self,
        subscription: Row,
        plan: Row,
        cycle: tuple[date, date],
        service: tuple[date, date],
        charges: Mapping[str, dict[str, Any]],
        lines: list[dict[str, Any]],
    ) -> None:
        name = subscription["subscription_id"]
        amounts = {line["meter_id"]: line["amount"] for line in lines if line["line_type"] == "usage"}
        for meter, charge in charges.items():
            known = {key: charge[key] for key in ("quantity", "included_quantity", "overage_quantity")}
            self.monthly_usage[name, meter, cycle[0]] = known | {
                "used_ratio": charge["used_ratio"],
                "service_start": service[0],
                "service_end": service[1],
                "period_end": cycle[1],
            }
            if charge["overage_quantity"] > 0:
                self.overages[name, meter, cycle[0]] = known | {
                    "charge_model": charge["model"],
                    "amount": amounts.get(meter, Decimal(0)),
                }
        for line in lines:
            self.lines[name, line["line_type"], line["meter_id"], cycle[0]] = {
                "quantity": line["quantity"],
                "amount": line["amount"],
                "amount_minor": line["amount_minor"],
                "service_start": service[0],
                "service_end": service[1],
                "currency": plan.get("currency", "USD"),
            }
            key = (subscription["customer_id"], plan.get("currency", "USD"), *cycle)
            self.invoices[key] += line["amount_minor"]

    def _rate_plan(
        self,
        subscription: Row,
        customer: Row,
        today: date,
        plan: Row,
        cycle: tuple[date, date],
        service: tuple[date, date],
        is_own: bool,
    ) -> tuple[dict[str, dict[str, Any]], list[dict[str, Any]]]:
        served, whole = (service[1] - service[0]).days, (cycle[1] - cycle[0]).days
        if plan.get("proration", "day") == "none":
            served = whole = 1

        def shared(value: Decimal) -> Decimal:
            """value x share: exact when the share is 1, else to 12 digits."""
            return value if served == whole else (value * served / whole).quantize(TWELVE, ROUND_HALF_UP)

        lines: list[dict[str, Any]] = []
        digits = MINOR[plan.get("currency", "USD")]

        def add(
            line_type: str, meter: str | None, quantity: Decimal, exact: Decimal, keep: bool = False
        ) -> None:
            if exact != 0 or keep:
                minor = int(exact.scaleb(digits).quantize(Decimal(1), ROUND_HALF_UP))
                lines.append(
                    {
                        "line_type": line_type,
                        "meter_id": meter,
                        "quantity": quantity,
                        "exact": exact,
                        "amount": exact.quantize(TWELVE, ROUND_HALF_UP),
                        "amount_minor": minor,
                    }
                )

        add("price", None, Decimal(1), shared(Decimal(plan.get("price", "0"))))
        charges: dict[str, dict[str, Any]] = {}
        for charge in self.catalog["charges"]:
            if charge["plan_id"] != plan["plan_id"] or self._from(charge) != self._from(plan):
                continue
            meter = self.meters[charge["meter_id"]]
            override = (
                self._override(subscription["subscription_id"], charge["meter_id"], service[0])
                if is_own
                else {}
            )
            included = decimal(charge.get("included"))
            if override.get("included") is not None:
                bought = Decimal(override["included"])
                if included is not None and bought > included and charge.get("capacity_unit_amount"):
                    add(
                        "capacity",
                        charge["meter_id"],
                        bought - included,
                        shared((bought - included) * Decimal(charge["capacity_unit_amount"])),
                    )
                included = bought
            if override.get("is_unlimited"):
                included = None
            aggregation = meter.get("aggregation", "sum")
            if charge.get("prorate_included") and aggregation in ("count", "sum") and included is not None:
                included = shared(included)
            reset = charge.get("reset", "cycle")
            quantity = self._usage(customer["customer_id"], meter, *service)
            values = [quantity]
            if reset != "cycle":
                values = [
                    self._usage(customer["customer_id"], meter, *window)
                    for window in self._windows(customer["customer_id"], meter, reset, *service, today)
                ]
            overage = Decimal(0)
            ratio = None
            if included is not None:
                overage = sum((max(Decimal(0), value - included) for value in values), Decimal(0))
                if included > 0:
                    ratio = (max(values, default=Decimal(0)) / included).quantize(
                        Decimal("1e-6"), ROUND_HALF_UP
                    )
                    ratio = min(ratio, Decimal("999999999999.999999"))
            model = charge.get("overage_model")
            if model:
                cost = sum(
                    (
                        Decimal(event.row.get("cost_usd") or 0)
                        for event in self._feeding(customer["customer_id"], meter)
                        if service[0] <= event.day < service[1]
                    ),
                    Decimal(0),
                )
                exact = (
                    self._overage_amount(charge, override, overage, quantity, cost)
                    if overage > 0
                    else Decimal(0)
                )
                if reset == "cycle" and aggregation in ("max", "latest", "unique"):
                    exact = shared(exact)
                add("usage", charge["meter_id"], overage, exact, bool(charge.get("invoice_zero")))
            charges[charge["meter_id"]] = {
                "quantity": quantity,
                "included_quantity": included,
                "overage_quantity": overage,
                "used_ratio": ratio,
                "model": model,
                "limit": charge.get("limit", "soft"),
            }
        return charges, lines

    def _overage_amount(
        self, charge: Row, override: Row, billable: Decimal, usage: Decimal, cost: Decimal
    ) -> Decimal:
        model = charge["overage_model"]
        if model == "per_unit":
            return billable * Decimal(override.get("unit_amount") or charge["unit_amount"])
        if model == "package":
            packages = (billable / Decimal(charge["package_size"])).to_integral_value(ROUND_CEILING)
            return packages * Decimal(charge["package_amount"])
        if model == "flat":
            return Decimal(charge["flat_amount"])
        if model == "cost_plus":
            return (cost * billable * Decimal(charge["multiplier"]) / usage).quantize(TWELVE, ROUND_HALF_UP)
        tiers = sorted(
            (
                row
                for row in self.catalog["charge_tiers"]
                if (row["plan_id"], row["meter_id"], self._from(row))
                == (charge["plan_id"], charge["meter_id"], self._from(charge))
            ),
            key=lambda row: int(row["tier_number"]),
        )
        amount, below = Decimal(0), Decimal(0)
        for tier in tiers:
            up_to = decimal(tier.get("up_to"))
            top = billable if up_to is None else min(billable, up_to)
            unit, flat = Decimal(tier.get("unit_amount", "0")), Decimal(tier.get("flat_amount", "0"))
            if model == "graduated" and billable > below:
                amount += (top - below) * unit + flat
            if model == "volume" and billable > below and (up_to is None or billable <= up_to):
                amount = billable * unit + flat
            below = up_to if up_to is not None else below
        return amount
