"""The catalog: meters, plan versions, prices, rates and alert settings (contracts: section 3).

Rules that one entry can be judged by live here. Rules between entries or documents (unknown meters,
duplicates, overlaps) and reading files do not: see ``pipelines.catalog``.
"""

import re
from datetime import date
from decimal import Decimal
from itertools import pairwise
from typing import Annotated, Final, Literal, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    ValidationInfo,
    field_validator,
)

from models.focus import SERVICE_CATEGORIES
from models.money import (
    UNLIMITED,
    Allowance,
    Amount,
    Currency,
    PositiveDecimal,
    Quantity,
    UnitPrice,
    UpperBound,
    fault,
)

T = TypeVar("T")

LEVELS: Final = ("max", "latest")
"""Aggregations that take a reading."""
SUMMABLE: Final = ("count", "sum")
"""Aggregations whose days add up to their period."""
TOKEN_FIELDS: Final = ("input_tokens", "output_tokens", "total_tokens")
TEXT_FIELDS: Final = ("customer_id", "event_type", "user_id", "resource", "provider", "model")
"""Event fields that `where` may compare and, but for the first two, `per` may split by."""
_PROPERTY = re.compile(r'properties\.[^"\\\x00-\x1f]+')
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def _text(value: object) -> object:
    """Identifiers may be written as plain integers; the digits count as text."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str):
        raise fault(f"{_kind(value)} is not text", "write one text, in quotes if in doubt")
    if not value.strip():
        raise fault("it is empty", "write a text")
    if value != value.strip() or _CONTROL.search(value):
        raise fault(f"{value!r} has spaces around it or control characters", "remove them")
    if len(value) > 255:
        raise fault("it has more than 255 characters", "shorten it")
    return value


def _day(value: object) -> object:
    if isinstance(value, date):
        return value
    if isinstance(value, str) and re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", value):
        try:
            day = date.fromisoformat(value)
        except ValueError:
            raise fault(
                f"{value!r} is not a day of the calendar", "write an existing day as YYYY-MM-DD"
            ) from None
        if day.year < 1900:
            raise fault(f"{value!r} is too long ago", "write a day from 1900 on")
        return day
    raise fault(f"{value!r} is not a date", "write it as YYYY-MM-DD, e.g. 2026-01-31")


def _integer(value: object) -> object:
    if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,18}", value):
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**18:
        return value
    raise fault(f"{value!r} is not a whole number", "write digits only")


def _items(value: object) -> object:
    if isinstance(value, list):
        return tuple(value)
    if isinstance(value, tuple):
        return value
    raise fault(f"{_kind(value)} is not a list", "write a list: [a, b], one - per entry, or [] for none")


def _kind(value: object) -> str:
    if value is None:
        return "an empty value"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    return repr(value)


Text = Annotated[str, BeforeValidator(_text)]
"""One line of 1–255 characters; an integer counts as its digits."""
Day = Annotated[date, BeforeValidator(_day)]
"""A calendar day, YYYY-MM-DD, from 1900 on."""
Integer = Annotated[int, BeforeValidator(_integer)]
Many = Annotated[tuple[T, ...], BeforeValidator(_items)]
"""A list, read as a tuple."""


class Entry(BaseModel):
    """What every entry of a document shares: exact types, no unknown keys, no change after reading."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", hide_input_in_errors=True)


def is_property(field: str) -> bool:
    """Whether ``field`` names a key of an event's properties: all that follows the first point, as it is."""
    return _PROPERTY.fullmatch(field) is not None


class Meter(Entry):
    """What is measured: which events, and how they become a quantity.

    ``requires_feature`` names a feature that a plan must have for this usage; without it an alert is raised.
    """

    id: Text
    name: Text
    unit: Text
    event_types: Many[Text]
    aggregation: Literal["count", "sum", "max", "latest", "unique"]
    field: Text = Field(default="quantity", validate_default=True)
    where: dict[str, Text] = Field(default_factory=dict)
    carry_forward: bool = False
    per: Text | None = None
    billable: bool = True
    requires_feature: Text | None = None

    @field_validator("event_types")
    @classmethod
    def _some_event_types(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value:
            raise fault("a meter without event types measures nothing", "name at least one event type")
        if repeated := sorted({item for item in value if value.count(item) > 1}):
            raise fault(f"{', '.join(repeated)} is listed twice", "name every event type once")
        return value

    @field_validator("field")
    @classmethod
    def _field_fits(cls, value: str, info: ValidationInfo) -> str:
        known = ("quantity", *TOKEN_FIELDS, "user_id")
        if value not in known and not is_property(value):
            raise fault(
                f"{value!r} is not a field that can be metered",
                f"write one of {', '.join(known)} or properties.<key>",
            )
        aggregation = info.data.get("aggregation")
        if aggregation == "unique" and (value == "quantity" or value in TOKEN_FIELDS):
            raise fault(
                f"unique counts distinct values, and {value} is a number",
                "write field: user_id or properties.<key>",
            )
        if aggregation == "count" and value != "quantity":
            raise fault("count counts events and reads no field", "remove field, or use sum or unique")
        if aggregation in ("sum", *LEVELS) and value == "user_id":
            raise fault(f"{aggregation} needs a number, and user_id is text", "use unique to count users")
        return value

    @field_validator("where", mode="before")
    @classmethod
    def _where_fits(cls, value: object) -> object:
        if not isinstance(value, dict):
            raise fault(f"{_kind(value)} is not a mapping", "write where: {provider: openai}")
        filters: dict[str, object] = {}
        for key, wanted in value.items():
            if key not in TEXT_FIELDS and not is_property(key):
                raise fault(
                    f"{key!r} is not a field that can be compared",
                    f"use {', '.join(TEXT_FIELDS)} or properties.<key>",
                )
            if isinstance(wanted, list | dict) or wanted is None:
                raise fault(f"{key} is compared with {_kind(wanted)}", "write the one value it must equal")
            filters[key] = str(wanted).lower() if isinstance(wanted, bool) else wanted
        return filters

    @field_validator("carry_forward")
    @classmethod
    def _carries_a_level(cls, value: bool, info: ValidationInfo) -> bool:
        aggregation = info.data.get("aggregation")
        if value and aggregation is not None and aggregation not in LEVELS:
            raise fault(f"{aggregation} has no reading to carry forward", "remove it, or use max or latest")
        return value

    @field_validator("per")
    @classmethod
    def _splits_a_level(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is None:
            return value
        aggregation = info.data.get("aggregation")
        if aggregation is not None and aggregation not in LEVELS:
            raise fault(
                f"{aggregation} is not evaluated per value of a field", "remove it, or use max or latest"
            )
        if value not in TEXT_FIELDS[1:] and not is_property(value):
            raise fault(
                f"{value!r} is not a field to split by",
                f"use {', '.join(TEXT_FIELDS[1:])} or properties.<key>",
            )
        return value

    @field_validator("requires_feature")
    @classmethod
    def _names_a_feature(cls, value: str | None) -> str | None:
        if value is not None and ('"' in value or "\\" in value):
            raise fault(f"{value!r} is not the name of a feature", "write a key of the plans' features")
        return value


class Tier(Entry):
    """Units up to a bound (inclusive) at one price, and what entering the tier costs."""

    up_to: UpperBound
    unit_amount: Amount = Decimal(0)
    flat_amount: Amount = Decimal(0)


class _Overage(Entry):
    invoice_zero: bool = False


class PerUnit(_Overage):
    """Every billable unit at one price."""

    model: Literal["per_unit"]
    unit_amount: Amount


class Package(_Overage):
    """Every started package at one price."""

    model: Literal["package"]
    package_size: PositiveDecimal
    package_amount: Amount


def _tiers_are_whole(tiers: tuple[Tier, ...]) -> tuple[Tier, ...]:
    if not tiers:
        raise fault("there is no tier", "write at least {up_to: unlimited, unit_amount: ...}")
    for number, (tier, following) in enumerate(pairwise(tiers), start=1):
        if tier.up_to == UNLIMITED:
            raise fault(
                f"tier {number} is unlimited, so the tiers after it are never reached",
                "make only the last unlimited",
            )
        if following.up_to != UNLIMITED and Decimal(following.up_to) <= Decimal(tier.up_to):
            raise fault(
                f"tier {number + 1} ends at {following.up_to}, tier {number} at {tier.up_to}: they overlap",
                "order the tiers by rising up_to",
            )
    if tiers[-1].up_to != UNLIMITED:
        raise fault(
            f"the tiers end at {tiers[-1].up_to}, and units beyond it have no price",
            "give the last up_to: unlimited",
        )
    return tiers


class _Tiered(_Overage):
    tiers: Many[Tier]

    @field_validator("tiers")
    @classmethod
    def _whole(cls, value: tuple[Tier, ...]) -> tuple[Tier, ...]:
        return _tiers_are_whole(value)


class Graduated(_Tiered):
    """Every unit at the price of the tier it falls in."""

    model: Literal["graduated"]


class Volume(_Tiered):
    """All units at the price of the tier that their total falls in."""

    model: Literal["volume"]


class Flat(_Overage):
    """One amount once anything is billable."""

    model: Literal["flat"]
    flat_amount: Amount


class CostPlus(_Overage):
    """The provider's cost of the billable part, multiplied."""

    model: Literal["cost_plus"]
    multiplier: Quantity


Overage = Annotated[PerUnit | Package | Graduated | Volume | Flat | CostPlus, Field(discriminator="model")]


class Capacity(Entry):
    """The price of one unit of allowance bought above the plan's own."""

    unit_amount: Amount


class Charge(Entry):
    """How a plan version rates one meter."""

    meter: Text
    included: Allowance = UNLIMITED
    prorate_included: bool = False
    reset: Literal["cycle", "calendar_month", "day"] = "cycle"
    limit: Literal["soft", "hard"] = "soft"
    capacity: Capacity | None = None
    overage: Overage | None = None

    @field_validator("capacity")
    @classmethod
    def _above_a_finite_allowance(cls, value: Capacity | None, info: ValidationInfo) -> Capacity | None:
        if value is not None and info.data.get("included") == UNLIMITED:
            raise fault(
                "nothing can be bought above an unlimited allowance", "write included, or remove capacity"
            )
        return value


class PlanVersion(Entry):
    """One version of a plan: in force from ``effective_from`` until the next version of the same id."""

    id: Text
    name: Text
    rank: Integer
    currency: Currency
    price: Amount
    effective_from: Day
    features: dict[str, JsonValue] = Field(default_factory=dict)
    proration: Literal["day", "none"] = "day"
    charges: Many[Charge] = ()

    def charge(self, meter_id: str) -> Charge | None:
        """The charge for a meter, if the plan has one."""
        return next((charge for charge in self.charges if charge.meter == meter_id), None)


class Interval(Entry):
    """Days from valid_from on and before valid_to; an empty one is open."""

    valid_from: Day | None = None
    valid_to: Day | None = None

    @field_validator("valid_to")
    @classmethod
    def _holds_a_day(cls, value: date | None, info: ValidationInfo) -> date | None:
        begin = info.data.get("valid_from")
        if value is not None and begin is not None and value <= begin:
            raise fault(
                f"{value} is not after valid_from {begin}, so no day is left",
                "valid_to is the first day that no longer counts: write a later one, or leave it empty",
            )
        return value


class Price(Interval):
    """What a provider takes per unit; an empty field fits everything."""

    provider: Text | None = None
    model: Text | None = None
    event_type: Text | None = Field(default=None, validate_default=True)
    unit: Literal["input_token", "output_token", "cached_input_token", "request", "quantity"]
    usd_per_unit: UnitPrice

    @field_validator("event_type")
    @classmethod
    def _is_about_something(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is None and all(info.data.get(name, "?") is None for name in ("provider", "model")):
            raise fault("provider, model and event_type are all empty", "fill in at least one of them")
        return value


class FxRate(Entry):
    """How much of ``quote`` one ``base`` is worth from ``date`` until the pair's next row."""

    date: Day
    base: Currency
    quote: Currency
    rate: PositiveDecimal

    @field_validator("quote")
    @classmethod
    def _other_currency(cls, value: str, info: ValidationInfo) -> str:
        if value == info.data.get("base"):
            raise fault(f"base and quote are both {value}", "remove the row; a currency is worth itself")
        return value


def thresholds_in_order(value: tuple[Decimal, ...]) -> tuple[Decimal, ...]:
    """Thresholds rising, each once."""
    if repeated := sorted({item for item in value if value.count(item) > 1}):
        raise fault(f"{', '.join(map(str, repeated))} is listed twice", "write every threshold once")
    return tuple(sorted(value))


class Spike(Entry):
    """When a day counts as a spike against the mean of the days before it."""

    ratio: PositiveDecimal = Decimal(2)
    lookback_days: Integer = Field(default=7, ge=1, le=366)
    min_quantity: Quantity = Decimal(100)


class RecommendationSettings(Entry):
    """When a change of plan or of prompts is recommended. Ratios of the allowance; USD per request.

    ``meters``: those whose allowances speak for a change of plan; None: every meter that has one.
    """

    meters: Many[Text] | None = None
    upgrade_above: PositiveDecimal = Decimal("0.9")
    downgrade_below: PositiveDecimal = Field(default=Decimal("0.3"), validate_default=True)
    lookback_cycles: Integer = Field(default=3, ge=1, le=36)
    max_cost_per_request: PositiveDecimal = Decimal("0.05")

    @field_validator("meters")
    @classmethod
    def _some_meter(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if value is not None and not value:
            raise fault("no meter is named", "name some, or leave the key out to judge every allowance")
        return value

    @field_validator("downgrade_below")
    @classmethod
    def _never_both(cls, value: Decimal, info: ValidationInfo) -> Decimal:
        above = info.data.get("upgrade_above")
        if above is not None and value >= above:
            raise fault(
                f"downgrade_below {value} is not under upgrade_above {above}",
                "leave room between them, or one usage gets both recommendations",
            )
        return value


class ModelRules(Entry):
    """Models that may be used (none: all), the one to fall back to, and cheaper ones for the same work."""

    allowed: Many[Text] | None = None
    fallback: Text | None = None
    substitutes: dict[str, Many[Text]] = Field(default_factory=dict)

    @field_validator("allowed")
    @classmethod
    def _some_model(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if value is not None and not value:
            raise fault("no model is allowed", "name the allowed models, or leave the key out to allow all")
        return value

    @field_validator("fallback")
    @classmethod
    def _allowed_fallback(cls, value: str | None, info: ValidationInfo) -> str | None:
        allowed = info.data.get("allowed")
        if value is not None and allowed and value not in allowed:
            raise fault(
                f"{value} is not an allowed model", f"add it to allowed, or fall back to {allowed[0]}"
            )
        return value

    @field_validator("substitutes")
    @classmethod
    def _allowed_substitutes(
        cls, value: dict[str, tuple[str, ...]], info: ValidationInfo
    ) -> dict[str, tuple[str, ...]]:
        allowed = info.data.get("allowed")
        for model, others in value.items():
            if model in others:
                raise fault(f"{model} is named as its own substitute", "name another model")
            if allowed and (strangers := [other for other in others if other not in allowed]):
                raise fault(f"{strangers[0]} stands in for {model} and is not allowed", "add it to allowed")
        return value


class AlertSettings(Entry):
    """alerts.yml with its defaults; thresholds are ratios."""

    usage_thresholds: Many[PositiveDecimal] = (Decimal("0.75"), Decimal("0.9"), Decimal(1))
    budget_thresholds: Many[PositiveDecimal] = (Decimal("0.5"), Decimal("0.8"), Decimal(1))
    spike: Spike = Spike()
    recommendations: RecommendationSettings = RecommendationSettings()
    models: ModelRules = ModelRules()
    destinations: Many[Text] = ("env:METERHOUSE_ALERT_URL",)

    @field_validator("usage_thresholds", "budget_thresholds")
    @classmethod
    def _in_order(cls, value: tuple[Decimal, ...]) -> tuple[Decimal, ...]:
        return thresholds_in_order(value)

    @field_validator("destinations")
    @classmethod
    def _kept_out_of_the_file(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for destination in value:
            if not re.fullmatch(r"env:[A-Za-z_][A-Za-z0-9_]*", destination):
                raise fault(
                    f"{destination!r} does not name an environment variable",
                    "put the address into a variable and write env:NAME; addresses are secrets",
                )
        return value


class Issuer(Entry):
    """issuer.yml with its defaults: who sends the invoices, as documents and exports name it.

    ``payment_terms_days`` None: no due date. ``service_subcategory`` says for FOCUS what is sold.
    """

    name: Text = "Unnamed issuer"
    address: Many[Text] = ()
    tax_id: Text | None = None
    email: Text | None = None
    website: Text | None = None
    payment_terms_days: Integer | None = Field(default=None, ge=0, le=365)
    payment_instructions: Many[Text] = ()
    note: Text | None = None
    service_subcategory: Text = "Other (Business Applications)"

    @field_validator("service_subcategory")
    @classmethod
    def _known_subcategory(cls, value: str) -> str:
        if value not in SERVICE_CATEGORIES:
            raise fault(
                f"{value!r} is not a service subcategory of FOCUS",
                "write e.g. Generative AI or Other (Business Applications)",
            )
        return value

    @property
    def service_category(self) -> str:
        """The one category of the subcategory."""
        return SERVICE_CATEGORIES[self.service_subcategory]


class Catalog(Entry):
    """Everything that is sold and how it is priced."""

    meters: tuple[Meter, ...]
    plans: tuple[PlanVersion, ...]
    prices: tuple[Price, ...] = ()
    fx_rates: tuple[FxRate, ...] = ()
    alerts: AlertSettings = AlertSettings()
    issuer: Issuer = Issuer()
