"""Figures as people read them: plain decimals and amounts. Nothing is computed or rounded here."""

from decimal import Decimal

from models.money import MINOR_UNITS


def plain_text(value: Decimal) -> str:
    """A decimal in digits, the shortest that is exact: 1E+3 is 1000, 0.750 is 0.75."""
    text = format(value, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in {"", "-0"} else text


def minor_as_text(minor: int, currency: str) -> str:
    """Minor units with the point in its place: 123456 USD is 1,234.56, 123456 JPY is 123,456."""
    return f"{Decimal(minor).scaleb(-MINOR_UNITS[currency]):,f}"
