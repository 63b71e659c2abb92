"""Who would use what: rates and sizes per customer, event kind and span of days, to fit catalog and accounts.

Plain arithmetic on a few hundred cells. Drawing events from them and writing files do not belong here. Floats
are fine: nothing here is billed, only the written text is.
"""

import math
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from itertools import pairwise
from zoneinfo import ZoneInfo

import polars as pl

from models.accounts import Accounts
from models.catalog import LEVELS, TOKEN_FIELDS, Catalog, Meter, PlanVersion
from models.events import ColumnWhere, SourceMapping
from models.money import UNLIMITED
from pipelines.simulate.conditions import can_hold, condition_of, words

DAYS_PER_MONTH = 30.4
# How much of its allowances a customer uses, by its place in customers.csv: some above 1, some below 0.3.
LOADS = (1.35, 0.2, 0.85, 1.12, 0.5, 0.97, 1.6, 0.25)
# Hard limits are enforced by the product, so that little passes them.
HARD_LOAD = 1.04
ZIPF_EXPONENT = 1.1
WEEKDAY_WEIGHTS = (1.0, 1.08, 1.1, 1.05, 0.95, 0.45, 0.35)
GROWTH = 0.4
UNKNOWN_CUSTOMERS = ("unlisted_org_1", "unlisted_org_2", "unlisted_org_3")
UNKNOWN_EVENT_TYPES = ("experimental_feature", "beta_assistant_preview")
UNKNOWN_CUSTOMER_SHARE = 0.005
UNKNOWN_TYPE_SHARE = 0.01
# Traffic of a span that no subscription serves, against the same customer when served.
UNSERVED_ACTIVITY = 0.06
# A month of a meter without a limit, as a measure for how often it is used; and its people.
UNLIMITED_USE = 250.0
UNLIMITED_USERS = 40
DEFAULT_MODELS = ("gpt-4o-mini", "gpt-4o", "claude-sonnet-4-5", "gemini-2.5-flash")
OFF_LIST_MODEL = "gpt-4-turbo"
_AI_WORDS = {
    "ai",
    "llm",
    "chat",
    "completion",
    "token",
    "tokens",
    "generation",
    "embedding",
    "classification",
}
_MEASURES = {
    "gb",
    "mb",
    "kb",
    "tb",
    "gib",
    "mib",
    "hour",
    "hours",
    "minute",
    "minutes",
    "gigabyte",
    "megabyte",
}


@dataclass(frozen=True)
class EventKind:
    """One way events come about: a type, the values that filters ask for, and the meters that see it."""

    event_type: str
    where: Mapping[str, str]
    meters: tuple[Meter, ...] = ()
    share: float = 1.0
    resource_is_model: bool = False

    @property
    def is_gauge(self) -> bool:
        """Whether the event carries a reading."""
        return any(meter.aggregation in LEVELS for meter in self.meters)

    @property
    def has_tokens(self) -> bool:
        """Whether a meter reads token counts."""
        return any(meter.field in TOKEN_FIELDS for meter in self.meters)

    @property
    def has_model(self) -> bool:
        """Whether a language model does the work, as far as names tell."""
        words = set(self.event_type.lower().replace("-", "_").replace(".", "_").split("_"))
        return not self.is_gauge and (self.has_tokens or "model" in self.where or bool(words & _AI_WORDS))


@dataclass
class Span:
    """Days [first, last) in which one set of charges (meter -> use per month that is aimed at) holds."""

    customer_id: str
    first: int
    last: int
    targets: dict[str, float] = field(default_factory=dict)
    is_served: bool = True
    rank: int = 0


@dataclass(frozen=True)
class Demand:
    """What to draw from.

    :param cells: one row per span and event kind; ``rate`` is events per unit of ``day_weights``.
    :param day_weights: relative traffic per day: growth, weekdays, noise.
    :param models: pool of models, providers side by side; ``model_first`` and
        ``model_count`` of a cell point into it.
    :param property_keys: keys of `properties` that meters read; column ``property_<n>`` holds key n.
    """

    cells: pl.DataFrame
    day_weights: tuple[float, ...]
    models: pl.DataFrame
    property_keys: tuple[str, ...]
    customer_ids: tuple[str, ...]

    def day_rates(self) -> list[float]:
        """Relative number of events per day."""
        first, last, rate = (self.cells[name].to_list() for name in ("first_day", "last_day", "rate"))
        steps = [0.0] * (len(self.day_weights) + 1)
        for begin, end, value in zip(first, last, rate, strict=True):
            steps[begin] += value
            steps[end] -= value
        level, rates = 0.0, []
        for step, weight in zip(steps, self.day_weights, strict=False):
            level += step
            rates.append(max(level, 0.0) * weight)
        return rates


def build_demand(
    catalog: Catalog,
    accounts: Accounts,
    sources: Sequence[SourceMapping | None],
    *,
    start: date,
    days: int,
    events: int,
    seed: int,
) -> Demand:
    """Spread ``events`` over customers, event kinds and days so that customers use what LOADS says.

    :param sources: the shapes that can be written, in order of preference; None is the event's own shape.
    """
    market = _Market(
        catalog,
        sources,
        start,
        _day_weights(start, days, seed),
        _models(catalog),
        property_keys(catalog.meters),
        {customer.customer_id: customer.timezone for customer in accounts.customers},
    )
    spans = _spans(catalog, accounts, start, days, seed)
    kinds = event_kinds(catalog.meters)
    popularity = _popularity(spans)
    wishes = [_wish(span, kind, market.weights, popularity) for span in spans for kind in kinds]
    known = events * (1 - (UNKNOWN_CUSTOMER_SHARE if wishes else 0.0) - UNKNOWN_TYPE_SHARE)
    counts = allocate(known, [wish.pull for wish in wishes], [wish.most for wish in wishes])
    rows = [
        _cell(market, wish.span, wish.kind, count)
        for wish, count in zip(wishes, counts, strict=True)
        if count > 0
    ]
    strange = [EventKind(name, {}) for name in UNKNOWN_EVENT_TYPES]
    untyped = [
        _Wish(Span(customer, 0, days), kind, popular * UNKNOWN_TYPE_SHARE)
        for customer, popular in popularity.items()
        for kind in strange
    ]
    unlisted = [
        _Wish(Span(customer, 0, days), kind, UNKNOWN_CUSTOMER_SHARE)
        for customer in UNKNOWN_CUSTOMERS
        for kind in kinds or strange
    ]
    rows += _shared_out(market, events * UNKNOWN_TYPE_SHARE, untyped if kinds else [*untyped, *unlisted])
    rows += _shared_out(market, events * UNKNOWN_CUSTOMER_SHARE, unlisted if kinds else [])
    cells = pl.DataFrame(rows, infer_schema_length=None)
    return Demand(cells, market.weights, market.models, market.keys, tuple(popularity))


@dataclass(frozen=True)
class _Market:
    """What all cells have in common.

    :param weights: relative traffic per day.
    :param models: pool of models, as in ``Demand``.
    :param keys: keys of `properties` that meters read.
    :param zones: time zones by customer.
    """

    catalog: Catalog
    sources: Sequence[SourceMapping | None]
    start: date
    weights: tuple[float, ...]
    models: pl.DataFrame
    keys: tuple[str, ...]
    zones: Mapping[str, str]


@dataclass(frozen=True)
class _Wish:
    """How strongly a span pulls events of a kind, and how many it has room for."""

    span: Span
    kind: EventKind
    pull: float
    most: float = math.inf


def _day_weights(start: date, days: int, seed: int) -> tuple[float, ...]:
    randomly = random.Random(f"demand:{seed}")  # noqa: S311
    return tuple(
        (1 + GROWTH * day / days)
        * WEEKDAY_WEIGHTS[(start + timedelta(days=day)).weekday()]
        * randomly.uniform(0.93, 1.07)
        for day in range(days)
    )


def _popularity(spans: Sequence[Span]) -> dict[str, float]:
    """By customer, those on the highest plans first: the n-th has 1 / n of the first, somewhat less."""
    ranks = {span.customer_id: span.rank for span in reversed(spans)}
    order = sorted(ranks.items(), key=lambda item: -item[1])
    return {customer: (place + 1) ** -ZIPF_EXPONENT for place, (customer, _) in enumerate(order)}


def _wish(span: Span, kind: EventKind, weights: Sequence[float], popularity: Mapping[str, float]) -> _Wish:
    activity = sum(weights[span.first : span.last]) * (1.0 if span.is_served else UNSERVED_ACTIVITY)
    aims = [span.targets[meter.id] for meter in kind.meters if meter.id in span.targets]
    size = math.sqrt(min(max(max(aims, default=UNLIMITED_USE), 1.0), 22_500.0))
    # Nothing but more events raises a count.
    counted = [span.targets.get(meter.id, 0.0) for meter in kind.meters if meter.aggregation == "count"]
    size = max(size, *counted, 0.0)
    pull = popularity[span.customer_id] * activity * kind.share
    return _Wish(span, kind, pull * (2.0 if kind.is_gauge else size), _most_events(span, kind))


def _shared_out(market: _Market, count: float, wishes: Sequence[_Wish]) -> list[dict[str, object]]:
    """Cells of so many events that nobody expects."""
    total = sum(wish.pull for wish in wishes)
    return [_cell(market, wish.span, wish.kind, count * wish.pull / total) for wish in wishes]


def event_kinds(meters: Iterable[Meter]) -> list[EventKind]:
    """Every event type with every set of filter values, and beside them one kind that no filter fits."""
    meters = list(meters)
    wanted: dict[str, list[dict[str, str]]] = {}
    for meter in meters:
        for event_type in meter.event_types:
            filters = wanted.setdefault(event_type, [])
            if dict(meter.where) not in filters:
                filters.append(dict(meter.where))
    kinds = []
    for event_type, filters in sorted(wanted.items()):
        concrete = [where for where in filters if where]
        by_resource = any("resource" in where for where in concrete)
        gauge = any(meter.aggregation in LEVELS for meter in meters if event_type in meter.event_types)
        plain = {} in filters
        for where in concrete if gauge and not plain else [*concrete, {}]:
            share = 1.0 if where or plain else 0.12
            kind = EventKind(event_type, where, _seen_by(meters, event_type, where), share)
            kinds.append(replace(kind, resource_is_model=by_resource and kind.has_model and not where))
    return kinds


def _seen_by(meters: Iterable[Meter], event_type: str, where: Mapping[str, str]) -> tuple[Meter, ...]:
    return tuple(
        meter
        for meter in meters
        if event_type in meter.event_types
        and all(where.get(name) == value for name, value in meter.where.items())
    )


def allocate(total: float, pulls: Sequence[float], most: Sequence[float]) -> list[float]:
    """Share ``total`` by pull, nobody above its most; what is left then is shared by most all the same."""
    counts = [0.0] * len(pulls)
    open_places = [place for place, pull in enumerate(pulls) if pull > 0]
    left = total
    while open_places and left > 0:
        pull = sum(pulls[place] for place in open_places)
        full = [place for place in open_places if left * pulls[place] / pull >= most[place]]
        if not full:
            for place in open_places:
                counts[place] = left * pulls[place] / pull
            return counts
        for place in full:
            counts[place] = most[place]
        open_places = [place for place in open_places if place not in set(full)]
        left = total - sum(counts)
    taken = sum(counts)
    return [count * total / taken for count in counts] if taken and left > 0 else counts


def _most_events(span: Span, kind: EventKind) -> float:
    """Events that the aims of a span leave room for."""
    months = (span.last - span.first) / DAYS_PER_MONTH * (1.0 if span.is_served else UNSERVED_ACTIVITY)
    most = math.inf if span.is_served else UNLIMITED_USE * months
    for meter in kind.meters:
        aim = span.targets.get(meter.id)
        if aim is None or meter.aggregation == "unique":
            continue
        if meter.aggregation in LEVELS:
            most = min(most, 40 * months * _resources(kind))
        elif meter.field in TOKEN_FIELDS:
            most = min(most, aim * months / 40)
        else:
            most = min(most, aim * months)
    return max(most, 0.5)


def _spans(catalog: Catalog, accounts: Accounts, start: date, days: int, seed: int) -> list[Span]:
    def day_of(day: date | None, otherwise: int) -> int:
        return otherwise if day is None else min(max((day - start).days, 0), days)

    spans = []
    for place, customer in enumerate(accounts.customers):
        inactive = day_of(customer.inactive_from, days)
        owned = [
            (day_of(item.started_on, 0), min(day_of(item.ended_on, days), inactive), item)
            for item in accounts.subscriptions
            if item.customer_id == customer.customer_id
        ]
        own: list[Span] = []
        edges = sorted({0, days, inactive, *(edge for begin, end, _ in owned for edge in (begin, end))})
        for first, last in pairwise(edges):
            span = Span(customer.customer_id, first, last, is_served=False)
            for begin, end, item in owned:
                plan = _version(catalog.plans, item.plan_id, item.plan_version, start + timedelta(days=first))
                if not (begin <= first < end) or plan is None:
                    continue
                span.is_served, span.rank = True, max(span.rank, plan.rank)
                for charge in plan.charges:
                    included: Decimal | str = charge.included
                    for override in accounts.overrides:
                        same = override.subscription_id == item.subscription_id
                        if same and override.meter_id == charge.meter and override.included is not None:
                            included = override.included
                    if included == UNLIMITED:
                        continue
                    own_seed = f"{seed}:{customer.customer_id}:{charge.meter}"
                    jitter = random.Random(own_seed).uniform(0.85, 1.2)  # noqa: S311
                    load = LOADS[place % len(LOADS)] * jitter
                    load = min(load, HARD_LOAD) if charge.limit == "hard" else load
                    monthly = float(included) * (DAYS_PER_MONTH if charge.reset == "day" else 1.0)
                    # An allowance of nothing is still tried, or its price would never show.
                    span.targets[charge.meter] = (
                        load * monthly if monthly else 2.0 * LOADS[place % len(LOADS)]
                    )
            own.append(span)
        # Outside their subscriptions customers would like to use what they use inside.
        served = [span for span in own if span.is_served]
        for span in own:
            if not span.is_served and served:
                span.targets = min(served, key=lambda other: abs(other.first - span.first)).targets
        spans.extend(own)
    return spans


def _version(
    plans: Iterable[PlanVersion], plan_id: str, held_to: date | None, day: date
) -> PlanVersion | None:
    versions = sorted((plan for plan in plans if plan.id == plan_id), key=lambda plan: plan.effective_from)
    if held_to is not None:
        return next((plan for plan in versions if plan.effective_from == held_to), None)
    in_force = [plan for plan in versions if plan.effective_from <= day]
    return in_force[-1] if in_force else next(iter(versions), None)


def meter_fields(meters: Iterable[Meter]) -> set[str]:
    """Every field that meters read, filter by or split by, as the catalog names it."""
    return {name for meter in meters for name in (meter.field, *meter.where, meter.per) if name}


def property_keys(meters: Iterable[Meter]) -> tuple[str, ...]:
    """Keys of `properties` among them, sorted."""
    start = "properties."
    return tuple(sorted(name.removeprefix(start) for name in meter_fields(meters) if name.startswith(start)))


def _provider_of(model: str) -> str:
    for start, provider in (("gpt", "openai"), ("o1", "openai"), ("o3", "openai"), ("claude", "anthropic")):
        if model.startswith(start):
            return provider
    for start, provider in (
        ("gemini", "google"),
        ("mistral", "mistral"),
        ("llama", "meta"),
        ("deepseek", "deepseek"),
    ):
        if model.startswith(start):
            return provider
    return "openai"


def _models(catalog: Catalog) -> pl.DataFrame:
    allowed = catalog.alerts.models.allowed or DEFAULT_MODELS
    priced = {price.model: price.provider for price in catalog.prices if price.model and price.provider}
    rows = []
    for model in allowed:
        small = any(word in model for word in ("mini", "nano", "flash", "haiku", "3.5", "small"))
        given = {price.unit: price.usd_per_unit for price in catalog.prices if price.model == model}
        into = given.get("input_token", Decimal("0.00000015") if small else Decimal("0.0000025"))
        out = given.get("output_token", into * 4)
        rows.append(
            {
                "provider": priced.get(model) or _provider_of(model),
                "model": model,
                "input_price": int(into * 10**12),
                "output_price": int(out * 10**12),
            }
        )
    # The first allowed model is the most used one; providers stay side by side.
    return (
        pl.DataFrame(rows)
        .with_row_index("place")
        .sort(pl.col("place").min().over("provider"), "place")
        .drop("place")
    )


def _resources(kind: EventKind) -> int:
    return 3 if any(meter.per for meter in kind.meters) else 1


def _is_measure(kind: EventKind) -> bool:
    words = {word for meter in kind.meters for word in meter.unit.lower().replace("-", " ").split()}
    return bool(words & _MEASURES)


def _shift(zone: str, day: date) -> int:
    offset = datetime.combine(day, time(12), ZoneInfo(zone)).utcoffset()
    return round(offset.total_seconds() / 3600) if offset else 0


def _source_for(kind: EventKind, customer_id: str, sources: Sequence[SourceMapping | None]) -> int:
    """The first source that can say it; of several, one that has a model where the event has one."""
    wanted = {"event_type": kind.event_type, "customer_id": customer_id, **kind.where}
    able = [
        (source is None, source is not None and ("model" in source.fields) != kind.has_model, place)
        for place, source in enumerate(sources)
        if source is None
        or all(str(source.constants.get(name, value)) == value for name, value in wanted.items())
    ]
    return min(able)[2] if able else 0


def _takes(kind: EventKind, source: SourceMapping | None, field: str, beside: str) -> ColumnWhere | None:
    """The condition under which a source takes a field from another one's column, if the kind can meet it."""
    condition = condition_of(source, field)
    if source is None or condition is None or condition.field != source.column_of(beside):
        return None
    return condition if can_hold(source, condition, {"event_type": kind.event_type, **kind.where}) else None


def _shared_quantity(kind: EventKind, source: SourceMapping | None) -> str | None:
    """Where one column says both the quantity and the tokens of an event: which of the two is drawn."""
    condition = _takes(kind, source, "input_tokens", "quantity")
    if source is None or condition is None:
        return None
    if kind.has_tokens:
        return "tokens"
    return None if words(source, condition) else "quantity"


@dataclass
class _Sizes:
    """What events of a cell carry, on average, so that meters come to what is aimed at."""

    quantity: float
    tokens: float = 1800.0
    level: float = 25.0
    users: int = 12
    values: int = 12
    summed: str | None = "quantity"


def _sizes(span: Span, kind: EventKind, monthly_events: float) -> _Sizes:
    quantity = 20.0 if _is_measure(kind) else 1500.0 if any("token" in m.unit for m in kind.meters) else 1.0
    sizes = _Sizes(1.0 if kind.has_tokens else quantity)
    for meter in kind.meters:
        aim = span.targets.get(meter.id)
        if meter.aggregation == "unique":
            people = max(1, round(aim)) if aim is not None else UNLIMITED_USERS
            if meter.field == "user_id":
                sizes.users = people
            else:
                sizes.values = people
        elif meter.aggregation in LEVELS:
            sizes.level, sizes.summed = (aim if aim is not None else sizes.level), meter.field
        elif meter.field in TOKEN_FIELDS:
            part = {"input_tokens": 0.7, "output_tokens": 0.3, "total_tokens": 1.0}[meter.field]
            sizes.tokens = aim / monthly_events / part if aim is not None else sizes.tokens
        elif meter.aggregation == "sum":
            sizes.quantity = aim / monthly_events if aim is not None else sizes.quantity
            sizes.summed = meter.field
    return sizes


def _provider_for(kind: EventKind, catalog: Catalog) -> str | None:
    """The provider that every event of a kind names."""
    if "provider" in kind.where or kind.has_model:
        return kind.where.get("provider")
    priced = (price for price in catalog.prices if price.event_type == kind.event_type and price.provider)
    return next((price.provider for price in priced), None)


def _cell(market: _Market, span: Span, kind: EventKind, count: float) -> dict[str, object]:
    months = (span.last - span.first) / DAYS_PER_MONTH * (1.0 if span.is_served else UNSERVED_ACTIVITY)
    sizes = _sizes(span, kind, max(count / months, 1e-9))
    provider = _provider_for(kind, market.catalog)
    own = market.models["provider"].to_list()
    pool = [place for place, name in enumerate(own) if provider in (None, name)] if kind.has_model else []
    constant = kind.where.get("model") or (kind.where.get("resource") if kind.has_model else None)
    has_model = kind.has_model and bool(pool or constant)
    place = _source_for(kind, span.customer_id, market.sources)
    source = market.sources[place]
    says_model = has_model and _takes(kind, source, "model", "resource") is not None
    counted = (meter.field for meter in kind.meters if meter.aggregation == "unique")
    fixed = {f"property_{n}": kind.where.get(f"properties.{name}") for n, name in enumerate(market.keys)}
    return {
        "customer_id": span.customer_id,
        "event_type": kind.event_type,
        "source": place,
        "first_day": span.first,
        "last_day": span.last,
        "rate": count / sum(market.weights[span.first : span.last]),
        "is_gauge": kind.is_gauge,
        "has_model": has_model,
        "has_tokens": kind.has_tokens or has_model,
        "shared_quantity": _shared_quantity(kind, source),
        "is_whole": not _is_measure(kind),
        "resource_is_model": kind.resource_is_model or says_model,
        "resource_count": _resources(kind),
        "mean_quantity": max(sizes.quantity, 0.01),
        "mean_tokens": min(max(sizes.tokens, 8.0), 150_000.0),
        "level": sizes.level,
        "user_count": sizes.users,
        "value_count": sizes.values,
        "hour_shift": _shift(market.zones.get(span.customer_id, "UTC"), market.start),
        "model_first": pool[0] if pool else 0,
        "model_count": len(pool),
        "fixed_provider": provider,
        "fixed_model": constant,
        "fixed_resource": kind.where.get("resource"),
        "fixed_user_id": kind.where.get("user_id"),
        "summed": sizes.summed,
        "per": next((meter.per for meter in kind.meters if meter.per), None),
        "counted": next((field for field in counted if field != "user_id"), None),
        **fixed,
    }
