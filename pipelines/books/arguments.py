"""What a closing is told, as people write it. What it does with that belongs to ``closing``."""

import re
from decimal import Decimal

from pydantic import TypeAdapter, ValidationError

from models.money import Amount
from pipelines.errors import ConfigurationError


def closer(name: str | None) -> str | None:
    """The name that a closing is kept under, as it was given.

    :raises ConfigurationError: it is empty or has characters that cannot be printed.
    """
    if name is not None and not (name.strip() and name.isprintable()):
        raise ConfigurationError(
            f"{name!r} is not a name", where="--by", remedy="write who closes, e.g. --by 'Ada Lovelace'"
        )
    return name


def least_correction(text: str | None) -> Decimal:
    """What the corrections of an invoice must come to; not given: 0.

    :raises ConfigurationError: it is no plain decimal of 0 or more.
    """
    if text is None:
        return Decimal(0)
    try:
        return TypeAdapter(Amount).validate_python(text)
    except ValidationError as error:
        [found] = error.errors()
        context = found["ctx"]
        raise ConfigurationError(
            context["problem"], where="--corrections-from", remedy=context["remedy"]
        ) from None


def hash_to_expect(text: str | None) -> str | None:
    """A hash as a dry run tells it.

    :raises ConfigurationError: it is none.
    """
    if text is not None and not re.fullmatch(r"[0-9a-f]{64}", text):
        raise ConfigurationError(
            f"{text!r} is not a hash", where="--expect", remedy="write the 64 digits that a dry run tells"
        )
    return text
