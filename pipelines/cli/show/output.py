"""How commands write what they found: the formats, and values as JSON and CSV take them.

CSV itself belongs to ``pipelines.tables``; what is found and how a table of it looks, to the modules beside.
"""

import json
from collections.abc import Iterable
from datetime import date
from decimal import Decimal
from typing import Final, TextIO

from pipelines.errors import ConfigurationError, any_of
from pipelines.figures import plain_text

FORMATS: Final = ("table", "json", "csv")


def need_format(output_format: str, formats: Iterable[str] = FORMATS) -> None:
    """Say so before anything is read or computed.

    :raises ConfigurationError: it is none of the formats.
    """
    if output_format not in formats:
        raise ConfigurationError(
            f"{output_format!r} is not a format", where="--format", remedy=f"write {any_of(formats)}"
        )


def exact_text(value: object) -> str:
    """A value as text: decimals in plain digits, days and instants in ISO 8601."""
    if isinstance(value, Decimal):
        return plain_text(value)
    return value.isoformat() if isinstance(value, date) else str(value)


def exact_cell(value: object) -> str | None:
    """The same; nothing stays nothing."""
    return None if value is None else exact_text(value)


def write_json(value: object, output: TextIO) -> None:
    """A value as JSON on lines of its own; what JSON has no type for is exact text."""
    json.dump(value, output, ensure_ascii=False, indent=2, default=exact_text)
    output.write("\n")
