"""The one definition of how cells become typed values, for every format: whole columns at a time.

A *cell* is the JSON text of one value, null where there is none. What the patterns here cannot decide exactly
is typed by ``exact`` instead, value by value. Reading files and identity do not belong here.
"""

from collections.abc import Callable
from datetime import datetime, timedelta

import polars as pl

from models.events import EVENT_FIELDS, FUTURE_TOLERANCE_HOURS, IN_FUTURE, MALFORMED, EventField, Kind
from models.frames import INSTANT, PolarsType, field_type
from pipelines.ingest import exact

_LOCAL = pl.Datetime("us")


def type_cells(
    cells: pl.DataFrame, as_of: datetime, timezone: str | None = None, *, only_exact: bool = False
) -> pl.DataFrame:
    """Typed events beside the reason why a record is none.

    :param cells: one row per record: a cell per event field (columns may be absent), ``extras`` (JSON object
        of the columns that feed no field, or null) and ``is_malformed``.
    :param timezone: zone of instants without an offset; None: they are invalid.
    :param only_exact: type every value by ``exact``; for tests.
    :returns: the event fields, typed as stored, and ``reason`` (null: the record is good); rows as they came.
    """
    values: dict[str, pl.Series] = {}
    faults: list[pl.Series] = []
    if cells["is_malformed"].any():
        faults.append(pl.select(pl.when(cells["is_malformed"]).then(pl.lit(MALFORMED))).to_series())
    for field in EVENT_FIELDS:
        if field.name not in cells.columns or cells[field.name].null_count() == cells.height:
            value = _nulls(field_type(field.name), cells.height)
            fault = None
        else:
            value, fault = _column(field, cells[field.name], timezone, only_exact)
        if field.is_required and value.null_count():
            absent = value.is_null() if fault is None else value.is_null() & fault.is_null()
            fault = _with_fault(fault, absent, field.missing)
        if fault is not None and fault.null_count() < len(fault):
            faults.append(fault)
        if field.kind is Kind.INSTANT:
            late = value > as_of + timedelta(hours=FUTURE_TOLERANCE_HOURS)
            if late.any():
                faults.append(pl.select(pl.when(late).then(pl.lit(IN_FUTURE))).to_series())
        values[field.name] = _with_default(value, field)
    if "extras" in cells.columns and cells["extras"].null_count() < cells.height:
        values["properties"] = _merged(values["properties"], cells["extras"])
    reason = pl.select(pl.coalesce(faults)).to_series() if faults else _nulls(pl.String, cells.height)
    return pl.DataFrame([value.alias(name) for name, value in values.items()]).with_columns(
        reason.alias("reason")
    )


def _column(
    field: EventField, cells: pl.Series, timezone: str | None, only_exact: bool
) -> tuple[pl.Series, pl.Series | None]:
    """The typed values of a column and its faults (None: there are none)."""
    if only_exact:
        regular = pl.repeat(False, len(cells), dtype=pl.Boolean, eager=True)
        value = _nulls(_raw_type(field), len(cells))
        zoned = value
        if field.kind is Kind.INSTANT:
            zoned = _nulls(INSTANT, len(cells))
    elif field.kind is Kind.INSTANT:
        zoned, value, regular = _instants(cells)
    else:
        value, regular = _PATTERNS[field.kind](cells, field)
        zoned = value
    open_rows = (~regular & cells.is_not_null()).arg_true()
    fault: pl.Series | None = None
    if len(open_rows):
        typed = {cell: exact.type_cell(field, cell) for cell in cells.gather(open_rows).unique()}
        found = [typed[cell] for cell in cells.gather(open_rows)]
        reasons = [reason for _, reason in found]
        if field.kind is Kind.INSTANT:
            instants = [v if isinstance(v, datetime) and v.tzinfo else None for v, _ in found]
            naive = [v if isinstance(v, datetime) and not v.tzinfo else None for v, _ in found]
            zoned = zoned.scatter(open_rows, pl.Series(instants, dtype=INSTANT))
            value = value.scatter(open_rows, pl.Series(naive, dtype=_LOCAL))
        else:
            value = value.scatter(open_rows, pl.Series([v for v, _ in found], dtype=field_type(field.name)))
            zoned = value
        if any(reasons):
            fault = _nulls(pl.String, len(cells)).scatter(open_rows, pl.Series(reasons, dtype=pl.String))
    if field.kind is Kind.INSTANT and value.null_count() < len(value):
        zoned, fault = _localized(zoned, value, fault, field, timezone)
    return zoned, fault


def _raw_type(field: EventField) -> PolarsType:
    return _LOCAL if field.kind is Kind.INSTANT else field_type(field.name)


def _localized(
    zoned: pl.Series, local: pl.Series, fault: pl.Series | None, field: EventField, timezone: str | None
) -> tuple[pl.Series, pl.Series | None]:
    """Instants without offset in the source's zone: the doubled hour is the earlier one, a gap is invalid."""
    if timezone is None:
        return zoned, _with_fault(fault, local.is_not_null(), field.invalid)
    read = local.dt.replace_time_zone(
        timezone, ambiguous="earliest", non_existent="null"
    ).dt.convert_time_zone("UTC")
    # Near the ends of the calendar the shift to UTC can leave it.
    read = _where(read, read.dt.year().is_between(1, 9999))
    gap = local.is_not_null() & read.is_null()
    zoned = pl.select(pl.coalesce(zoned, read)).to_series()
    return zoned, _with_fault(fault, gap, field.invalid) if gap.any() else fault


def _nulls(dtype: PolarsType, height: int) -> pl.Series:
    return pl.Series([None], dtype=dtype).new_from_index(0, height)


def _with_fault(fault: pl.Series | None, where: pl.Series, reason: str) -> pl.Series:
    return pl.select(pl.when(where).then(pl.lit(reason)).otherwise(fault)).to_series()


def _with_default(value: pl.Series, field: EventField) -> pl.Series:
    if field.default is None or not value.null_count():
        return value
    default, _ = exact.type_cell(field, field.default)
    return pl.select(pl.coalesce(value, pl.lit(default).cast(value.dtype))).to_series()


# Each pattern gives (values, which of them are decided); null cells are no matter of theirs.


def _texts(cells: pl.Series, field: EventField) -> tuple[pl.Series, pl.Series]:
    quoted = (
        cells.str.starts_with('"') & ~cells.str.starts_with('" ') & ~cells.str.contains("\\", literal=True)
    )
    value = cells.str.strip_prefix('"').str.strip_suffix('"')
    regular = quoted
    if not quoted.all():
        # `null` for rows without a cell: neither regular nor open.
        regular = quoted | cells.str.contains(r"^(?:0|-?[1-9][0-9]*)$")
    if field.max_length:
        regular = regular & (value.str.len_bytes() <= field.max_length)
    return _where(value, regular & (value.str.len_bytes() > 0)), regular


def _integers(cells: pl.Series, _field: EventField) -> tuple[pl.Series, pl.Series]:
    regular = cells.str.contains(r'^(?:[0-9]{1,15}|"[0-9]{1,18}")$')
    return _where(cells, regular).str.strip_chars('"').cast(pl.Int64), regular


def _decimals(cells: pl.Series, field: EventField) -> tuple[pl.Series, pl.Series]:
    whole = 15 - min(field.scale, 9)
    bare = rf"[0-9]{{1,{whole}}}(?:\.[0-9]{{1,{15 - whole}}})?"
    regular = cells.str.contains(rf'^(?:{bare}|"[0-9]{{1,15}}(?:\.[0-9]{{1,{field.scale}}})?")$')
    return _where(cells, regular).str.strip_chars('"').cast(field_type(field.name)), regular


def _booleans(cells: pl.Series, _field: EventField) -> tuple[pl.Series, pl.Series]:
    true = cells.is_in(["true", '"true"'])
    return true, true | cells.is_in(["false", '"false"'])


def _objects(cells: pl.Series, _field: EventField) -> tuple[pl.Series, pl.Series]:
    # Readers give objects as compact JSON that they have checked; a text that holds JSON is not checked yet.
    regular = cells.str.starts_with("{")
    return _where(cells, regular), regular


def _where(values: pl.Series, condition: pl.Series) -> pl.Series:
    return (
        values
        if condition.all(ignore_nulls=False)
        else pl.select(pl.when(condition).then(values)).to_series()
    )


_PATTERNS: dict[Kind, Callable[[pl.Series, EventField], tuple[pl.Series, pl.Series]]] = {
    Kind.TEXT: _texts,
    Kind.INTEGER: _integers,
    Kind.DECIMAL: _decimals,
    Kind.BOOLEAN: _booleans,
    Kind.OBJECT: _objects,
}

_DAY_AND_TIME = (
    r'^"(?:19|20|21)[0-9]{2}-[0-9]{2}-[0-9]{2}[T ][0-2][0-9]:[0-5][0-9]:[0-5][0-9](?:\.[0-9]{1,9})?'
)


def _instants(cells: pl.Series) -> tuple[pl.Series, pl.Series, pl.Series]:
    """Instants with offset in UTC, instants without one as they stand, and which cells are decided."""
    text = cells.str.strip_chars('"')
    zulu = cells.str.contains(_DAY_AND_TIME + 'Z"$')
    if zulu.all():
        zoned = _read_time(text.str.strip_suffix("Z")).dt.replace_time_zone("UTC")
        return zoned, _nulls(_LOCAL, len(cells)), zoned.is_not_null()
    bare = cells.str.contains(_DAY_AND_TIME + '"$')
    offset = cells.str.contains(_DAY_AND_TIME + r'[+-](?:[01][0-9]|2[0-3]):?[0-5][0-9]"$')
    clock = (
        pl.select(
            pl.when(offset)
            .then(text.str.replace(r"[+-][0-9:]{4,5}$", ""))
            .when(zulu)
            .then(text.str.strip_suffix("Z"))
            .when(bare)
            .then(text)
        )
        .to_series()
        .str.replace(" ", "T", literal=True)
    )
    local = _read_time(clock)
    tail = _where(text, offset).str.extract(r"([+-][0-9]{2}:?[0-9]{2})$").str.replace(":", "", literal=True)
    hours, minutes = tail.str.slice(0, 3).cast(pl.Int64), tail.str.slice(3, 2).cast(pl.Int64)
    signed = pl.select(pl.when(tail.str.starts_with("-")).then(-minutes).otherwise(minutes)).to_series()
    shift = ((hours * 60 + signed) * 60_000_000).cast(pl.Duration("us"))
    zoned = pl.select(pl.when(offset).then(local - shift).when(zulu).then(local)).to_series()
    return zoned.dt.replace_time_zone("UTC"), _where(local, bare), local.is_not_null()


def _read_time(text: pl.Series) -> pl.Series:
    return text.str.to_datetime("%Y-%m-%dT%H:%M:%S%.f", strict=False, time_unit="us")


def _merged(properties: pl.Series, extras: pl.Series) -> pl.Series:
    """Properties with the columns that feed no field; the keys of properties win."""
    merged = pl.select(
        pl.when(extras.is_null() | (extras == "{}"))
        .then(properties)
        .when(properties == "{}")
        .then(extras)
        .otherwise(None)
    ).to_series()
    both = merged.is_null().arg_true()
    if not len(both):
        return merged
    pairs = zip(properties.gather(both), extras.gather(both), strict=True)
    return merged.scatter(both, pl.Series([exact.merge_objects(*pair) for pair in pairs], dtype=pl.String))
