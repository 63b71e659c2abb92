"""Days, months and instants as people write them, and the clock. Cycles and time zones are SQL's."""

import calendar
import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta

from pipelines.errors import ConfigurationError

_INSTANT_EXAMPLE = "write a date, a time and an offset, e.g. 2026-03-31T23:59:59Z"


def parse_instant(text: str, option: str = "--as-of") -> datetime:
    """An ISO 8601 instant as UTC; without an offset it is one in UTC, and a day alone is its first moment.

    :param option: what it was given for.
    :raises ConfigurationError: anything else.
    """
    try:
        instant = datetime.fromisoformat(text.strip())
    except ValueError:
        raise ConfigurationError(
            f"{text!r} is not an instant", where=option, remedy=_INSTANT_EXAMPLE
        ) from None
    if instant.tzinfo is None:
        instant = instant.replace(tzinfo=UTC)
    try:
        return instant.astimezone(UTC)
    except OverflowError:
        raise ConfigurationError(f"{text!r} is out of range", where=option, remedy=_INSTANT_EXAMPLE) from None


def last_day(month: str | None, through: date | None = None) -> date:
    """The last day that is closed: that of the month, or the day given.

    :raises ConfigurationError: neither or both are given, or it is no month.
    """
    if (month is None) == (through is None):
        raise ConfigurationError(
            "say what is to be closed" if month is None else "a month and --through say it twice",
            where="close",
            remedy="write `meterhouse close 2026-03` or `meterhouse close --through 2026-03-31`",
        )
    if through is not None:
        return through
    match = re.fullmatch(r"(\d{4})-(0[1-9]|1[0-2])", month or "")
    if match is None or match[1] == "0000":
        raise ConfigurationError(f"{month!r} is not a month", where="close", remedy="write e.g. 2026-03")
    year, number = int(match[1]), int(match[2])
    return date(year, number, calendar.monthrange(year, number)[1])


def month_before(instant: datetime) -> str:
    """The month before that of an instant, YYYY-MM."""
    return (instant.date().replace(day=1) - timedelta(days=1)).strftime("%Y-%m")


def parse_date(text: str, option: str) -> date:
    """A day, written e.g. 2026-04-01.

    :raises ConfigurationError: anything else.
    """
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ConfigurationError(
            f"{text!r} is not a date", where=option, remedy="write e.g. 2026-04-01"
        ) from None


def parse_month(text: str, option: str) -> date:
    """The first day of a month, written e.g. 2026-03.

    :raises ConfigurationError: anything else.
    """
    try:
        return date.fromisoformat(f"{text}-01")
    except ValueError:
        raise ConfigurationError(
            f"{text!r} is not a month", where=option, remedy="write e.g. 2026-03"
        ) from None


Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """The machine's clock: sending happens when it happens."""
    return datetime.now(UTC)
