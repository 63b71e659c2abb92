"""Rules between entries and documents: what refers to what, what overlaps, which plan version can serve whom.

Every function returns faults and raises nothing. Entries that did not validate still count as known, so that
one fault brings no others. Rules that one entry can be judged by do not belong here (``models``), nor does
reading files (``documents``).
"""

from calendar import monthrange
from collections import defaultdict
from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import combinations
from typing import Any

from models.accounts import Budget, Customer, Override, Subscription
from models.catalog import (
    SUMMABLE,
    AlertSettings,
    Charge,
    CostPlus,
    FxRate,
    Interval,
    Meter,
    PerUnit,
    PlanVersion,
    Price,
)
from pipelines.catalog.documents import M, Read, nearest
from pipelines.errors import Fault


@dataclass(frozen=True)
class PlanRead:
    """A plan version and its charges, each with its own spot."""

    plan: Read[PlanVersion]
    charges: Sequence[Read[Charge]]

    @property
    def is_whole(self) -> bool:
        """Whether all of its terms are known."""
        return self.plan.value is not None and all(charge.value is not None for charge in self.charges)


@dataclass(frozen=True)
class Stretch:
    """Days [begin, end) in which one plan version serves a subscription; an end of None is open."""

    begin: date
    end: date | None
    version: PlanVersion


def catalog_faults(
    meters: Sequence[Read[Meter]] | None,
    plans: Sequence[PlanRead],
    prices: Sequence[Read[Price]],
    fx_rates: Sequence[Read[FxRate]],
) -> list[Fault]:
    """Everything wrong between the entries of a catalog.

    :param meters: None when they could not be read at all; what refers to them is then not judged.
    """
    faults = _repeated(
        meters or (), lambda meter: meter.get("id"), "meter {0}", ("id",), "give every meter its own id"
    )
    versions = [entry.plan for entry in plans]
    faults += _repeated(
        versions,
        lambda plan: _both(plan.get("id"), _day_text(plan.get("effective_from"))),
        "plan {0} effective from {1}",
        ("effective_from",),
        "give the later version its own effective_from",
    )
    known = None
    if meters is not None:
        known = {str(entry.raw["id"]): entry.value for entry in meters if entry.raw.get("id") is not None}
    for entry in plans:
        faults += _charge_faults(entry, known)
    faults += _feature_faults(meters or (), plans)
    faults += _overlaps(
        prices,
        lambda price: (price.provider, price.model, price.event_type, price.unit),
        "the price of {0}",
        "end one with valid_to on the day the other begins",
    )
    faults += _repeated(
        fx_rates,
        lambda rate: _both(rate.get("date"), rate.get("base"), rate.get("quote")),
        "the rate of {0} from {1} to {2}",
        ("date",),
        "keep one of the rows",
    )
    return faults


def alert_faults(alerts: Read[AlertSettings] | None, meters: Sequence[Read[Meter]] | None) -> list[Fault]:
    """Meters that alerts.yml names and meters.yml does not have.

    :param meters: None when they could not be read at all; nothing is judged then.
    """
    named = alerts.value.recommendations.meters if alerts is not None and alerts.value is not None else None
    if alerts is None or meters is None or named is None:
        return []
    known = {str(entry.raw["id"]) for entry in meters if entry.raw.get("id") is not None}
    return [
        alerts.spot.fault(
            f"there is no meter {meter_id}",
            _did_you_mean(meter_id, known, "meters.yml"),
            ("recommendations", "meters", index),
        )
        for index, meter_id in enumerate(named)
        if meter_id not in known
    ]


def _feature_faults(meters: Sequence[Read[Meter]], plans: Sequence[PlanRead]) -> list[Fault]:
    """Meters that require a feature which no plan version names: all their usage would raise alerts."""
    named = [entry.plan.raw.get("features", {}) for entry in plans]
    if not plans or not all(isinstance(features, dict) for features in named):
        return []
    known = {str(feature) for features in named for feature in features}
    return [
        read.spot.fault(
            f"no plan names the feature {feature}",
            _did_you_mean(feature, known, "the features of a plan in plans.yml"),
            ("requires_feature",),
        )
        for read in meters
        if read.value is not None and (feature := read.value.requires_feature) and feature not in known
    ]


def _charge_faults(entry: PlanRead, known: Mapping[str, Meter | None] | None) -> list[Fault]:
    faults = _repeated(
        entry.charges,
        lambda charge: charge.get("meter"),
        "a charge for {0}",
        ("meter",),
        "keep one charge per meter in a plan version",
    )
    plan = entry.plan.value
    for read in entry.charges:
        meter_id = read.raw.get("meter")
        if not _is_id(meter_id):
            continue
        if known is not None and str(meter_id) not in known:
            remedy = _did_you_mean(str(meter_id), known, "meters.yml")
            faults.append(read.spot.fault(f"there is no meter {meter_id}", remedy, ("meter",)))
            continue
        meter, charge = (known or {}).get(str(meter_id)), read.value
        if meter is not None and not meter.billable:
            problem = f"{meter.id} has billable: false in meters.yml, and a charge bills it"
            faults.append(
                read.spot.fault(problem, "remove the charge, or the word from the meter", ("meter",))
            )
        if charge is None or not isinstance(charge.overage, CostPlus):
            continue
        at = ("overage", "model")
        if plan is not None and plan.currency != "USD":
            problem = f"cost_plus needs a plan in USD, and {plan.id} is in {plan.currency}"
            faults.append(read.spot.fault(problem, "price it in USD, or take another overage model", at))
        if meter is not None and meter.aggregation not in SUMMABLE:
            problem = f"cost_plus needs a count or sum meter, and {meter.id} is {meter.aggregation}"
            faults.append(read.spot.fault(problem, "take another overage model", at))
    return faults


def accounts_faults(
    customers: Sequence[Read[Customer]] | None,
    subscriptions: Sequence[Read[Subscription]] | None,
    overrides: Sequence[Read[Override]],
    budgets: Sequence[Read[Budget]],
    plans: Sequence[PlanRead] | None,
) -> list[Fault]:
    """Everything wrong between the rows of the accounts and the plans.

    Customers, subscriptions or plans are None when they could not be read at all; what refers to them is then
    not judged.
    """
    faults = _repeated(
        customers or (),
        lambda row: row.get("customer_id"),
        "customer {0}",
        ("customer_id",),
        "give each its own id",
    )
    faults += _repeated(
        subscriptions or (),
        lambda row: row.get("subscription_id"),
        "subscription {0}",
        ("subscription_id",),
        "give each its own id",
    )
    if customers is not None:
        faults += _unknown(
            [*(subscriptions or ()), *budgets], customers, "customer_id", "customer", "accounts/customers.csv"
        )
    if subscriptions is not None:
        faults += _unknown(
            overrides, subscriptions, "subscription_id", "subscription", "accounts/subscriptions.csv"
        )
    faults += _repeated(
        budgets,
        lambda row: _both(
            row.get("customer_id"),
            row.get("measure", "provider_cost"),
            row.get("period"),
            row.get("currency"),
        ),
        "a budget of {0} for {1} per {2} in {3}",
        ("period",),
        "keep one of the rows",
    )
    faults += _overlaps(
        overrides,
        lambda override: (override.subscription_id, override.meter_id),
        "the override of {0}",
        "end one with valid_to on the day the other begins",
    )
    if plans is not None and subscriptions is not None:
        faults += _served_faults(customers or (), subscriptions, overrides, plans)
    return faults


@dataclass(frozen=True)
class _Served:
    """A subscription and the stretches of time in which plan versions serve it."""

    read: Read[Subscription]
    subscription: Subscription
    stretches: list[Stretch]


def _served_faults(
    customers: Sequence[Read[Customer]],
    subscriptions: Sequence[Read[Subscription]],
    overrides: Sequence[Read[Override]],
    plans: Sequence[PlanRead],
) -> list[Fault]:
    """What goes wrong between subscriptions and the plan versions that can serve them."""
    versions, unclear = _plan_versions(plans)
    served = _served(customers, subscriptions, versions, unclear)
    by_customer: dict[str, list[_Served]] = defaultdict(list)
    for one in served:
        by_customer[one.subscription.customer_id].append(one)
    return [
        *_subscribed_plan_faults(subscriptions, versions, unclear),
        *(fault for group in by_customer.values() for fault in _shared_meter_faults(group)),
        *_served_override_faults(overrides, served, versions),
    ]


def _plan_versions(plans: Sequence[PlanRead]) -> tuple[dict[str, list[PlanVersion]], set[str]]:
    """The versions of each plan, and the plans of which one cannot be read: what they serve is unclear."""
    versions: dict[str, list[PlanVersion]] = defaultdict(list)
    unclear: set[str] = set()
    for entry in plans:
        plan_id = entry.plan.raw.get("id")
        if _is_id(plan_id) and (entry.plan.value is None or not entry.is_whole):
            unclear.add(str(plan_id))
        if entry.plan.value is not None:
            versions[entry.plan.value.id].append(entry.plan.value)
    return versions, unclear


def _served(
    customers: Sequence[Read[Customer]],
    subscriptions: Sequence[Read[Subscription]],
    versions: Mapping[str, list[PlanVersion]],
    unclear: Collection[str],
) -> list[_Served]:
    by_id = {row.value.customer_id: row.value for row in customers if row.value}
    return [
        _Served(
            read,
            read.value,
            serving_stretches(read.value, by_id.get(read.value.customer_id), versions[read.value.plan_id]),
        )
        for read in subscriptions
        if read.value and read.value.plan_id in versions and read.value.plan_id not in unclear
    ]


def _subscribed_plan_faults(
    subscriptions: Sequence[Read[Subscription]],
    versions: Mapping[str, list[PlanVersion]],
    unclear: Collection[str],
) -> list[Fault]:
    """Subscriptions to plans or versions that there are not."""
    faults: list[Fault] = []
    for read in subscriptions:
        plan_id = read.value.plan_id if read.value else read.raw.get("plan_id")
        if not plan_id or plan_id in unclear:
            continue
        if plan_id not in versions:
            faults.append(_unknown_plan(read, plan_id, versions))
        elif read.value:
            faults += _version_faults(read, read.value, versions[plan_id])
    return faults


def _served_override_faults(
    overrides: Sequence[Read[Override]], served: Sequence[_Served], versions: Mapping[str, list[PlanVersion]]
) -> list[Fault]:
    by_id = {one.subscription.subscription_id: one for one in reversed(served)}
    return [
        fault
        for override in overrides
        if override.value is not None and (one := by_id.get(override.value.subscription_id))
        for fault in _override_faults(
            override,
            override.value,
            one.subscription,
            one.stretches,
            versions[one.subscription.plan_id],
        )
    ]


def _unknown(
    reads: Sequence[Read[Any]], others: Sequence[Read[Any]], column: str, noun: str, where: str
) -> list[Fault]:
    """Rows whose id no row of the other table has."""
    known = {row.raw.get(column) for row in others}
    return [
        row.spot.fault(f"there is no {noun} {word}", _did_you_mean(word, known, where), (column,))
        for row in reads
        if (word := row.raw.get(column)) and word not in known
    ]


def _unknown_plan(read: Read[Subscription], plan_id: str, versions: Collection[str]) -> Fault:
    remedy = _did_you_mean(plan_id, versions, "catalog/plans.yml")
    return read.spot.fault(f"there is no plan {plan_id}", remedy, ("plan_id",))


def _version_faults(
    read: Read[Subscription], subscription: Subscription, versions: Sequence[PlanVersion]
) -> list[Fault]:
    days = sorted(version.effective_from for version in versions)
    held = subscription.plan_version
    listed = ", ".join(map(str, days))
    if held is not None and held not in days:
        problem = f"plan {subscription.plan_id} has no version of {held}"
        return [read.spot.fault(problem, f"write one of {listed}, or leave it empty", ("plan_version",))]
    first = held or days[0]
    if first > subscription.started_on:
        named = f"version {held} of plan {subscription.plan_id}" if held else f"plan {subscription.plan_id}"
        problem = f"{named} is in force from {first}, after the subscription starts"
        remedy = f"start on {first} or later, or add a plan version for {subscription.started_on}"
        return [read.spot.fault(problem, remedy, ("started_on",))]
    return []


def first_anchor(day: date, anchor_day: int) -> date:
    """The first day from ``day`` on that begins a cycle."""
    anchor = day.replace(day=min(anchor_day, monthrange(day.year, day.month)[1]))
    if anchor >= day:
        return anchor
    following = day.replace(day=1) + timedelta(days=32)
    return following.replace(day=min(anchor_day, monthrange(following.year, following.month)[1]))


def serving_stretches(
    subscription: Subscription, customer: Customer | None, versions: Sequence[PlanVersion]
) -> list[Stretch]:
    """Which plan version serves which days (rule 9: the newest in force when a service period begins)."""
    begin = subscription.started_on
    ends = [end for end in (subscription.ended_on, customer.inactive_from if customer else None) if end]
    end = min(ends, default=None)
    if end is not None and end <= begin:
        return []
    if subscription.plan_version is not None:
        held = [version for version in versions if version.effective_from == subscription.plan_version]
        return [Stretch(begin, end, held[0])] if held else []
    # A later version on the same first day takes the place of the earlier one.
    begins: dict[date, PlanVersion] = {}
    for version in sorted(versions, key=lambda version: version.effective_from):
        start = version.effective_from
        begins[begin if start <= begin else first_anchor(start, subscription.billing_anchor_day)] = version
    days = sorted(begins)
    return [
        Stretch(day, _earlier(following, end), begins[day])
        for day, following in zip(days, [*days[1:], None], strict=True)
        if end is None or day < end
    ]


def _shared_meter_faults(group: Sequence[_Served]) -> list[Fault]:
    faults = []
    for one, other in combinations(group, 2):
        shared = {
            charge.meter
            for mine in one.stretches
            for theirs in other.stretches
            if _intersect(mine.begin, mine.end, theirs.begin, theirs.end)
            for charge in mine.version.charges
            if theirs.version.charge(charge.meter)
        }
        if shared:
            problem = (
                f"{other.subscription.subscription_id} serves {other.subscription.customer_id} on days that "
                f"{one.subscription.subscription_id} ({one.read.spot.short}) serves; both charge "
                + ", ".join(sorted(shared))
            )
            remedy = "end one on the day the other starts, or take plans that share no meter"
            faults.append(other.read.spot.fault(problem, remedy, ("started_on",)))
    return faults


def _override_faults(
    read: Read[Override],
    override: Override,
    subscription: Subscription,
    stretches: list[Stretch],
    versions: Sequence[PlanVersion],
) -> list[Fault]:
    possible = [stretch.version for stretch in stretches] or list(versions)
    if not any(version.charge(override.meter_id) for version in possible):
        meters = {charge.meter for version in possible for charge in version.charges}
        plan = f"plan {subscription.plan_id} of {override.subscription_id}"
        problem = f"{plan} has no charge for {override.meter_id}"
        remedy = _did_you_mean(override.meter_id, meters, "the plan's charges")
        return [read.spot.fault(problem, remedy, ("meter_id",))]
    if override.unit_amount is None:
        return []
    anchor_day = subscription.billing_anchor_day
    in_force = [
        stretch.version for stretch in stretches if _counts_in(override, stretch, anchor_day)
    ] or possible
    for version in in_force:
        charge = version.charge(override.meter_id)
        if charge is not None and not isinstance(charge.overage, PerUnit):
            model = f"a {charge.overage.model} overage" if charge.overage else "no overage"
            problem = (
                f"a unit_amount replaces that of a per_unit overage, and plan {version.id} of "
                f"{version.effective_from} has {model} for {override.meter_id}"
            )
            return [
                read.spot.fault(
                    problem, "leave unit_amount empty, or make the overage per_unit", ("unit_amount",)
                )
            ]
    return []


def _counts_in(override: Override, stretch: Stretch, anchor_day: int) -> bool:
    """Whether a service period of the stretch begins while the override is in force."""
    start = stretch.begin
    if override.valid_from is not None and override.valid_from > start:
        start = first_anchor(override.valid_from, anchor_day)
    return all(end is None or start < end for end in (stretch.end, override.valid_to))


def _overlaps(
    reads: Sequence[Read[M]], key: Callable[[Any], tuple[str | None, ...]], named: str, remedy: str
) -> list[Fault]:
    """Rows with one key whose [valid_from, valid_to) share a day."""
    groups: dict[tuple[str | None, ...], list[tuple[Read[M], Interval]]] = defaultdict(list)
    for read in reads:
        if isinstance(read.value, Interval):
            groups[key(read.value)].append((read, read.value))
    faults = []
    for name, group in groups.items():
        ordered = sorted(group, key=lambda item: item[1].valid_from or date.min)
        reach_read, reach = ordered[0]
        for read, interval in ordered[1:]:
            if reach.valid_to is None or reach.valid_to > (interval.valid_from or date.min):
                shown = named.format(", ".join(filter(None, name)))
                first, second = sorted((reach_read, read), key=lambda item: item.spot.row or 0)
                problem = f"{shown} is also given for some of these days in {first.spot.short}"
                faults.append(second.spot.fault(problem, remedy, ("valid_from",)))
            if reach.valid_to is not None and (
                interval.valid_to is None or interval.valid_to > reach.valid_to
            ):
                reach_read, reach = read, interval
    return faults


def _repeated(
    reads: Sequence[Read[M]],
    key: Callable[[dict[str, Any]], Hashable],
    named: str,
    at: tuple[str, ...],
    remedy: str,
) -> list[Fault]:
    """Entries whose key, as written, an earlier entry already has."""
    first: dict[Hashable, Read[M]] = {}
    faults = []
    for read in reads:
        found = key(read.raw)
        if found is None or not (isinstance(found, tuple) or _is_id(found)):
            continue
        found = found if isinstance(found, tuple) else str(found)
        if found in first:
            shown = named.format(*(found if isinstance(found, tuple) else (found,)))
            faults.append(read.spot.fault(f"{shown} is already in {first[found].spot.short}", remedy, at))
        first.setdefault(found, read)
    return faults


def _both(*values: object) -> tuple[str, ...] | None:
    """The values as a key, if all of them are there."""
    return tuple(map(str, values)) if all(_is_id(value) for value in values) else None


def _is_id(value: object) -> bool:
    return isinstance(value, str | int) and not isinstance(value, bool) and value != ""


def _day_text(value: object) -> object:
    return str(value) if isinstance(value, date) else value


def _did_you_mean(word: str, known: Collection[str | None], where: str) -> str:
    # Comparing takes long where many rows are wrong among many names.
    near = nearest(word, sorted(filter(None, known))) if len(known) <= 500 else None
    return f"did you mean {near}?" if near else f"add it to {where}, or write one of those there"


def _earlier(one: date | None, other: date | None) -> date | None:
    return min((day for day in (one, other) if day is not None), default=None)


def _intersect(begin: date, end: date | None, other_begin: date, other_end: date | None) -> bool:
    return (end is None or other_begin < end) and (other_end is None or begin < other_end)
