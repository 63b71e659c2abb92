"""The accounts: customers, subscriptions, overrides and budgets (contracts: section 4).

Rules that one row can be judged by live here. Rules between rows (unknown customers, overlaps) and reading
files do not: see ``pipelines.catalog``.
"""

from datetime import date
from decimal import Decimal
from functools import cache
from typing import Annotated, Literal
from zoneinfo import available_timezones

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator

from models.catalog import Day, Entry, Integer, Interval, Text, thresholds_in_order
from models.money import UNLIMITED, Allowance, Amount, Currency, PositiveDecimal, fault, parse_decimal


@cache
def _timezones() -> dict[str, str]:
    """The names by themselves in small letters."""
    return {name.lower(): name for name in available_timezones() - {"localtime", "Factory"}}


def _timezone(value: object) -> object:
    same = _timezones().get(value.lower()) if isinstance(value, str) else None
    if same is not None and same == value:
        return value
    raise fault(
        f"{value!r} is not a time zone of the IANA list",
        f"write {same}" if same else "write a name such as Europe/Berlin or UTC",
    )


def _thresholds(value: object) -> object:
    if not isinstance(value, str):
        return value
    return tuple(parse_decimal(part.strip()) for part in value.split(";"))


class Customer(Entry):
    """Who is billed. ``inactive_from`` is the first day that is not served."""

    customer_id: Text
    name: Text | None = None
    email: Text | None = None
    timezone: Annotated[str, BeforeValidator(_timezone)] = "UTC"
    inactive_from: Day | None = None
    stripe_customer_id: Text | None = None


class Subscription(Entry):
    """A customer on a plan for [started_on, ended_on), in the customer's time zone."""

    subscription_id: Text
    customer_id: Text
    plan_id: Text
    plan_version: Day | None = None
    started_on: Day
    ended_on: Day | None = None
    billing_anchor_day: Integer = 1

    @field_validator("ended_on")
    @classmethod
    def _not_before_the_start(cls, value: date | None, info: ValidationInfo) -> date | None:
        begin = info.data.get("started_on")
        if value is not None and begin is not None and value < begin:
            raise fault(
                f"{value} is before started_on {begin}",
                "write the first day that is not served, at the earliest started_on (then it serves no day)",
            )
        return value

    @field_validator("billing_anchor_day")
    @classmethod
    def _day_of_month(cls, value: int) -> int:
        if not 1 <= value <= 31:
            raise fault(
                f"{value} is not a day of the month", "write 1 to 31; short months use their last day"
            )
        return value


class Override(Interval):
    """Terms that one subscription has for one meter instead of its plan's. Empty dates are open."""

    subscription_id: Text
    meter_id: Text
    included: Allowance | None = None
    unit_amount: Amount | None = Field(default=None, validate_default=True)

    @field_validator("unit_amount")
    @classmethod
    def _changes_something(cls, value: Decimal | None, info: ValidationInfo) -> Decimal | None:
        if value is None and "included" in info.data and info.data["included"] is None:
            raise fault(
                "included and unit_amount are both empty, so it changes nothing", "fill in one of them"
            )
        return value

    @property
    def is_unlimited(self) -> bool:
        """Whether the allowance is the word unlimited."""
        return self.included == UNLIMITED


class Budget(Entry):
    """What a customer means to spend per local day or month; thresholds and pause_at are ratios of it."""

    customer_id: Text
    period: Literal["day", "month"]
    measure: Literal["provider_cost", "invoice"] = "provider_cost"
    amount: PositiveDecimal
    currency: Currency
    thresholds: Annotated[tuple[PositiveDecimal, ...] | None, BeforeValidator(_thresholds)] = None
    pause_at: PositiveDecimal | None = None

    @field_validator("thresholds")
    @classmethod
    def _in_order(cls, value: tuple[Decimal, ...] | None) -> tuple[Decimal, ...] | None:
        return value if value is None else thresholds_in_order(value)


class Accounts(Entry):
    """Everyone who is billed and on what terms."""

    customers: tuple[Customer, ...]
    subscriptions: tuple[Subscription, ...]
    overrides: tuple[Override, ...] = ()
    budgets: tuple[Budget, ...] = ()
