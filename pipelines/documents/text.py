"""Figures and dates as documents print them. Nothing is computed here and nothing is a float."""

from collections.abc import Sequence
from datetime import date
from decimal import Decimal

_MINUS = "\u2212"
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def money_text(minor: int, minor_units: int) -> str:
    """Minor units with the point in its place: (123456, 2) is 1,234.56, (123456, 0) is 123,456.

    >>> money_text(-5, 3)
    '−0.005'
    """
    sign = _MINUS if minor < 0 else ""
    return sign + _grouped(plain_money_text(abs(minor), minor_units))


def plain_money_text(minor: int, minor_units: int) -> str:
    """The same for machines: -1234.56, without separators and with a plain minus."""
    digits = str(abs(minor)).rjust(minor_units + 1, "0")
    whole, fraction = (digits[:-minor_units], digits[-minor_units:]) if minor_units else (digits, "")
    return ("-" if minor < 0 else "") + whole + (f".{fraction}" if fraction else "")


def quantity_text(quantity: Decimal) -> str:
    """All digits that say something: 1234.500000000000 is 1,234.5."""
    sign = _MINUS if quantity < 0 else ""
    return sign + _grouped(plain_quantity_text(abs(quantity)))


def plain_quantity_text(quantity: Decimal) -> str:
    """The same for machines: no separators, no exponent, a plain minus."""
    text = format(quantity, "f")
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text in {"", "-0"} else text


def date_text(day: date) -> str:
    """1 Mar 2026."""
    return f"{day.day} {_MONTHS[day.month - 1]} {day.year}"


def short_date_text(day: date) -> str:
    """1 Mar."""
    return f"{day.day} {_MONTHS[day.month - 1]}"


def period_text(first_day: date, last_day: date) -> str:
    """Both days belong to it: 1 – 31 Mar 2026, 15 Jan – 14 Feb 2026, 15 Dec 2025 – 14 Jan 2026."""
    if first_day == last_day:
        return date_text(first_day)
    if first_day.year != last_day.year:
        return f"{date_text(first_day)} – {date_text(last_day)}"
    if first_day.month != last_day.month:
        return f"{short_date_text(first_day)} – {date_text(last_day)}"
    return f"{first_day.day} – {date_text(last_day)}"


def list_text(items: Sequence[str], limit: int) -> str:
    """a, b and 3 more."""
    shown = ", ".join(items[:limit])
    rest = len(items) - limit
    return f"{shown} and {rest:,} more" if rest > 0 else shown


def _grouped(text: str) -> str:
    whole, point, fraction = text.partition(".")
    return f"{int(whole):,}{point}{fraction}"
