"""Currencies and exact decimals as documents write them.

Holds the ISO 4217 codes with their minor units and the decimal types of the contracts. Arithmetic on money
does not belong here: dbt computes.
"""

import re
from decimal import Decimal
from typing import Annotated, Final, Literal

from pydantic import BeforeValidator
from pydantic_core import PydanticCustomError

_ZERO_DIGITS = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF"
_THREE_DIGITS = "BHD IQD JOD KWD LYD OMR TND"
_FOUR_DIGITS = "CLF UYW"
# ANG and BGN were withdrawn in 2025 and 2026; cycles of before may still be billed in them.
_TWO_DIGITS = """
AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF CHE
CHF CHW CNY COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL
HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR
MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK
SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD USN UYU UZS VED VES WST XCD
XCG YER ZAR ZMW ZWG
"""

MINOR_UNITS: Final[dict[str, int]] = {
    code: digits
    for codes, digits in ((_ZERO_DIGITS, 0), (_TWO_DIGITS, 2), (_THREE_DIGITS, 3), (_FOUR_DIGITS, 4))
    for code in codes.split()
}
"""Digits after the point of the smallest unit, by ISO 4217 code (metals and test codes are out)."""

SCALE: Final = 12
"""Digits after the point of every exact amount and quantity: DECIMAL(38,12)."""
PRICE_SCALE: Final = 18
"""Digits after the point of a provider's price per unit: DECIMAL(38,18)."""
PRECISION: Final = 38

UNLIMITED: Final = "unlimited"

_DECIMAL = re.compile(r"-?[0-9]+(\.[0-9]+)?")


def fault(problem: str, remedy: str) -> PydanticCustomError:
    """The error a validator raises so that a reader learns what is wrong and what would be right."""
    return PydanticCustomError("meterhouse", "{problem}; {remedy}", {"problem": problem, "remedy": remedy})


def parse_decimal(value: object, scale: int = SCALE) -> Decimal:
    """Read a decimal exactly as written: text or an integer, never a float.

    :raises PydanticCustomError: not a plain decimal, or beyond DECIMAL(38, scale).
    """
    if isinstance(value, Decimal):
        text = format(value, "f")
    elif isinstance(value, int) and not isinstance(value, bool):
        text = str(value)
    elif isinstance(value, str):
        text = value
    else:
        raise fault(f"{_shown(value)} is not a decimal", 'write digits in quotes, e.g. "0.02"')
    if not _DECIMAL.fullmatch(text):
        if "," in text:
            raise fault(
                f"{_shown(text)} has a comma", "write a point before the decimals and no thousands separators"
            )
        raise fault(
            f"{_shown(text)} is not a decimal", 'write digits and at most one point, e.g. "1000" or "0.02"'
        )
    whole, _, fraction = text.lstrip("-").partition(".")
    if len(fraction.rstrip("0")) > scale:
        raise fault(
            f"{_shown(text)} has more than {scale} digits after the point", f"round it to {scale} digits"
        )
    if len(whole.lstrip("0")) > PRECISION - scale:
        raise fault(
            f"{_shown(text)} has more than {PRECISION - scale} digits before the point",
            "write a smaller number",
        )
    return plain_decimal(Decimal(text))


def plain_decimal(value: Decimal) -> Decimal:
    """The same number without trailing zeros and without an exponent: 99.00 and 99 are one fact."""
    text = format(value, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return Decimal("0") if text in {"0", "-0", ""} else Decimal(text)


def _shown(value: object) -> str:
    text = value if isinstance(value, str) else repr(value)
    return repr(text if len(text) <= 60 else text[:57] + "...")


def _not_negative(value: object, scale: int = SCALE) -> Decimal:
    number = parse_decimal(value, scale)
    if number < 0:
        raise fault(f"{number} is negative", "write 0 or more")
    return number


def _positive(value: object) -> Decimal:
    number = parse_decimal(value)
    if number <= 0:
        raise fault(f"{number} is not above 0", "write a number greater than 0")
    return number


def _price(value: object) -> Decimal:
    return _not_negative(value, PRICE_SCALE)


def _allowance(value: object) -> Decimal | str:
    if value == UNLIMITED:
        return UNLIMITED
    if isinstance(value, str) and not re.search(r"[0-9]", value):
        raise fault(
            f"{_shown(value)} is neither a quantity nor the word unlimited", 'write "1000" or unlimited'
        )
    return _not_negative(value)


def _upper_bound(value: object) -> Decimal | str:
    bound = _allowance(value)
    if bound == 0:
        raise fault("a tier up to 0 holds nothing", "write an upper bound greater than 0")
    return bound


def _currency(value: object) -> str:
    if isinstance(value, str) and value in MINOR_UNITS:
        return value
    if isinstance(value, str) and value.strip().upper() in MINOR_UNITS:
        raise fault(f"{_shown(value)} is not a currency code", f"write {value.strip().upper()}")
    raise fault(
        f"{_shown(value)} is not a currency of ISO 4217", "write its code of three capital letters, e.g. USD"
    )


Amount = Annotated[Decimal, BeforeValidator(_not_negative)]
"""Money or a price per unit in the currency of its document, ≥ 0, exact to 12 digits after the point."""
Quantity = Annotated[Decimal, BeforeValidator(_not_negative)]
"""A number of units, ≥ 0, exact to 12 digits after the point."""
PositiveDecimal = Annotated[Decimal, BeforeValidator(_positive)]
"""A rate, ratio or size > 0, exact to 12 digits after the point."""
UnitPrice = Annotated[Decimal, BeforeValidator(_price)]
"""USD per unit of a provider, ≥ 0, exact to 18 digits after the point."""
Allowance = Annotated[Decimal | Literal["unlimited"], BeforeValidator(_allowance)]
"""Units that cost nothing more, ≥ 0, or the word unlimited."""
UpperBound = Annotated[Decimal | Literal["unlimited"], BeforeValidator(_upper_bound)]
"""The last unit of a tier, > 0, or the word unlimited."""
Currency = Annotated[str, BeforeValidator(_currency)]
"""An ISO 4217 code."""
