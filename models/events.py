"""The usage event: its fields, their limits and order, and how foreign shapes map to it (``sources.yml``).

How values are read, typed and compared does not belong here; that is ``pipelines/ingest``.
"""

import re
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Annotated
from zoneinfo import ZoneInfo, available_timezones

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    model_validator,
)


class Kind(StrEnum):
    """How the value of a field is typed."""

    TEXT = "text"
    INSTANT = "instant"
    INTEGER = "integer"
    BOOLEAN = "boolean"
    DECIMAL = "decimal"
    OBJECT = "object"


@dataclass(frozen=True)
class EventField:
    """One field of the usage event.

    :param scale: digits after the point (decimals only).
    :param limit: values must stay below it (numbers only).
    :param max_length: characters (text only).
    :param default: JSON text of what an absent value means; None: it stays absent.
    """

    name: str
    kind: Kind
    is_required: bool = False
    scale: int = 0
    limit: Decimal | None = None
    max_length: int | None = None
    default: str | None = None

    @property
    def missing(self) -> str:
        """The reject reason of a required field without a value."""
        return f"missing_{self.name}"

    @property
    def invalid(self) -> str:
        """The reject reason of a value that does not fit the type."""
        return f"invalid_{self.name}"

    @property
    def negative(self) -> str:
        """The reject reason of a number below zero."""
        return f"negative_{self.name}"


_BIGINT = Decimal(2**63)

# The order is the order in which faults are looked for: the first one is the reason of a reject.
EVENT_FIELDS: tuple[EventField, ...] = (
    EventField("event_id", Kind.TEXT, is_required=True, max_length=255),
    EventField("customer_id", Kind.TEXT, is_required=True),
    EventField("event_type", Kind.TEXT, is_required=True),
    EventField("occurred_at", Kind.INSTANT, is_required=True),
    EventField("revision", Kind.INTEGER, limit=_BIGINT, default="0"),
    EventField("is_void", Kind.BOOLEAN, default="false"),
    EventField("quantity", Kind.DECIMAL, scale=6, limit=Decimal(10) ** 15, default="1"),
    EventField("user_id", Kind.TEXT),
    EventField("resource", Kind.TEXT),
    EventField("provider", Kind.TEXT),
    EventField("model", Kind.TEXT),
    EventField("input_tokens", Kind.INTEGER, limit=_BIGINT),
    EventField("output_tokens", Kind.INTEGER, limit=_BIGINT),
    EventField("cached_input_tokens", Kind.INTEGER, limit=_BIGINT),
    EventField("cost_usd", Kind.DECIMAL, scale=12, limit=Decimal(10) ** 16),
    EventField("properties", Kind.OBJECT, default="{}"),
)
FIELDS_BY_NAME: dict[str, EventField] = {field.name: field for field in EVENT_FIELDS}
NUMERIC_KINDS = frozenset({Kind.INTEGER, Kind.DECIMAL})

# A JSON number with more significant digits than a double carries was already rounded by someone.
MAX_JSON_DIGITS = 15
# A larger record is malformed; this much of it is stored.
MAX_RECORD_BYTES = 16 << 20
SHOWN_RECORD_BYTES = 64 << 10
# Objects, arrays and their members, counted together.
MAX_RECORD_VALUES = 1_000_000
FUTURE_TOLERANCE_HOURS = 24
# Records with one event_id this far apart, and not on one UTC day, are separate events.
IDENTITY_WINDOW_DAYS = 35

MALFORMED = "malformed_record"
IN_FUTURE = "occurred_at_in_future"
CONFLICTING = "conflicting_duplicate"


def _reasons() -> tuple[str, ...]:
    reasons = [MALFORMED]
    for field in EVENT_FIELDS:
        if field.is_required:
            reasons.append(field.missing)
        reasons.append(field.invalid)
        if field.kind in NUMERIC_KINDS:
            reasons.append(field.negative)
        if field.kind is Kind.INSTANT:
            reasons.append(IN_FUTURE)
    return (*reasons, CONFLICTING)


# Every reason a record can be rejected for, in the order in which faults are looked for.
REJECT_REASONS: tuple[str, ...] = _reasons()

FROM_ROW = "from_row"


def _known_timezone(name: str) -> str:
    if name not in available_timezones():
        raise ValueError(f"{name!r} is not a time zone; use an IANA name such as Europe/Berlin")
    ZoneInfo(name)
    return name


def _exact_decimal(value: object) -> object:
    if isinstance(value, bool | float):
        raise ValueError(f'{value!r} is not exact; write it as a quoted decimal, e.g. "0.001"')
    if isinstance(value, str):
        if not re.fullmatch(r"[0-9]+(\.[0-9]+)?", value):
            raise ValueError(f'{value!r} is not a decimal number; write digits such as "1000" or "0.001"')
        return Decimal(value)
    return value


def _constant(value: object) -> object:
    if isinstance(value, float):
        raise ValueError(f'{value!r} is not exact; write it as a quoted decimal, e.g. "0.5"')
    return value


def _event_field(name: str) -> str:
    if name not in FIELDS_BY_NAME:
        raise ValueError(
            f"{name!r} is not a field of the usage event; fields are {', '.join(FIELDS_BY_NAME)}"
        )
    if name == "event_id":
        raise ValueError("event_id stands beside `fields`, not in it: `event_id: <column>` or from_row")
    return name


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


Column = Annotated[str, Field(min_length=1)]
MappedField = Annotated[str, AfterValidator(_event_field)]
ConstantValue = Annotated[bool | int | str, BeforeValidator(_constant)]
WantedValue = Annotated[bool | int | str | None, BeforeValidator(_constant)]


class UnitConversion(_Strict):
    """The value of ``field`` times ``factor``, exact; a product that does not fit the type is invalid."""

    field: Column
    factor: Annotated[Decimal, BeforeValidator(_exact_decimal), Field(gt=0)]


class ColumnWhere(_Strict):
    """The value of ``field`` in records whose columns or paths have what ``where`` names; else absent.

    They are compared as texts; a list means any of its values, null (and a blank text) that it is absent.
    """

    field: Column
    where: Annotated[
        dict[Column, WantedValue | Annotated[list[WantedValue], Field(min_length=1)]], Field(min_length=1)
    ]

    def wanted(self, column: str) -> frozenset[str | None]:
        """The texts of which a column or path must have one; None stands for an absent value."""
        given = self.where[column]
        return frozenset(_wanted_text(value) for value in (given if isinstance(given, list) else [given]))


def _wanted_text(value: bool | int | str | None) -> str | None:
    if isinstance(value, bool):
        return str(value).lower()
    return None if value is None or not str(value).strip() else str(value)


def _form(value: object) -> str:
    return "sum" if isinstance(value, list) else _form_of_one(value)


def _form_of_one(value: object) -> str:
    return "where" if isinstance(value, dict | ColumnWhere) else "column"


_OneSource = Annotated[Column, Tag("column")] | Annotated[ColumnWhere, Tag("where")]
FieldSource = Annotated[
    _OneSource
    | Annotated[list[Annotated[_OneSource, Discriminator(_form_of_one)]], Field(min_length=1), Tag("sum")],
    Discriminator(_form),
]
"""A column or dotted path, one under a condition, or a list of them: the exact sum of those present."""


class SourceMapping(_Strict):
    """How the records of one foreign source become usage events (contracts: section 2, Mapping)."""

    name: Annotated[str, Field(min_length=1)]
    files: Annotated[str, Field(min_length=1)]
    timezone: Annotated[str, AfterValidator(_known_timezone)] | None = None
    event_id: Column | None = None
    fields: dict[MappedField, FieldSource] = {}
    constants: dict[MappedField, ConstantValue] = {}
    units: dict[MappedField, UnitConversion] = {}

    @model_validator(mode="after")
    def _check(self) -> "SourceMapping":
        for name in self.units:
            if FIELDS_BY_NAME[name].kind not in NUMERIC_KINDS:
                raise ValueError(
                    f"units: {name} is not a number; only quantity, token counts and cost_usd are"
                )
        for name, source in self.fields.items():
            if isinstance(source, list) and FIELDS_BY_NAME[name].kind not in NUMERIC_KINDS:
                raise ValueError(f"fields: {name} is not a number, and a list is a sum; name one column")
        if "properties" in self.constants:
            raise ValueError("constants: properties cannot be a constant; map a column under `fields`")
        for name in FIELDS_BY_NAME:
            given = [key for key in ("fields", "constants", "units") if name in getattr(self, key)]
            if len(given) > 1:
                raise ValueError(f"{name} is given in {' and '.join(given)}; keep one of them")
        return self

    @property
    def ids_from_row(self) -> bool:
        """Whether event ids are made from file content and row number."""
        return self.event_id == FROM_ROW

    def fits(self, path: str) -> bool:
        """Whether the pattern fits a file's name or path relative to inbox/, with or without ``.gz``."""
        plain = path.removesuffix(".gz")
        names = {path, plain, path.rsplit("/", 1)[-1], plain.rsplit("/", 1)[-1]}
        return any(fnmatchcase(name, self.files) for name in names)

    def column_of(self, field: str) -> str | None:
        """The column or dotted path that feeds an event field, the first of several.

        None for constants and ids made from rows.
        """
        sources = self.sources_of(field)
        if not sources:
            return None
        return sources[0].field if isinstance(sources[0], ColumnWhere) else sources[0]

    def sources_of(self, field: str) -> tuple[Column | ColumnWhere, ...]:
        """All that feed an event field; none for constants and ids made from rows."""
        if field == "event_id":
            return () if self.ids_from_row else (self.event_id or "event_id",)
        if field in self.constants:
            return ()
        if field in self.units:
            return (self.units[field].field,)
        source = self.fields.get(field, field)
        return tuple(source) if isinstance(source, list) else (source,)

    @property
    def named_columns(self) -> dict[str, str]:
        """Event field -> the column or dotted path that the source itself names for it, always."""
        given = (*(["event_id"] if self.event_id else []), *self.fields, *self.units)
        sources = {field: self.sources_of(field) for field in given}
        return {field: of[0] for field, of in sources.items() if len(of) == 1 and isinstance(of[0], str)}


class SourcesDocument(_Strict):
    """``catalog/sources.yml``."""

    sources: list[SourceMapping] = []

    @model_validator(mode="after")
    def _check(self) -> "SourcesDocument":
        names = [source.name for source in self.sources]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two sources are called {name!r}; names must differ")
        return self

    def source_for(self, path: str) -> SourceMapping | None:
        """The first source whose pattern fits the file (path relative to inbox/), if there is one."""
        return next((source for source in self.sources if source.fits(path)), None)
