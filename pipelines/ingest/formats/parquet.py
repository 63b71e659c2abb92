"""Reads Parquet: typed columns become the cells that a record of another format would have had.

Whole numbers and decimals are exact here whatever their length, so a field gets them as text; a float becomes
its shortest decimal, rounded to the scale of the field that takes it.
"""

import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from functools import partial
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from models.events import FIELDS_BY_NAME, NUMERIC_KINDS
from pipelines.ingest import exact
from pipelines.ingest.formats.csv import cells_of_columns
from pipelines.ingest.formats.reader import (
    HEAVY_RECORD_BYTES,
    UnreadableError,
    finish_cells,
    map_cells,
    quoted,
)
from pipelines.ingest.mapping import Plan
from pipelines.ingest.named import need_named

BLOCK_ROWS = 65_536

_NO_SCALAR = "{}"


@dataclass(frozen=True)
class _RawRows:
    """Records of a Parquet file as JSON, made when asked for."""

    frame: pl.DataFrame

    def texts(self, rows: list[int]) -> list[str]:
        """The text of records by their position in the block, from 0."""
        return [
            json.dumps(row, ensure_ascii=False, default=str, separators=(",", ":"))
            for row in self.frame[rows].iter_rows(named=True)
        ]


class ParquetReader:
    """One Parquet file."""

    def __init__(self, path: Path, plan: Plan, *, block_rows: int = BLOCK_ROWS) -> None:
        self.path, self.plan, self.block_rows = path, plan, block_rows

    def blocks(self) -> Iterator[pl.DataFrame]:
        """Batches of rows. Raises UnreadableError."""
        try:
            # Arrow itself opens no name that is not UTF-8.
            with self.path.open("rb") as content, pq.ParquetFile(content) as file:
                names = file.schema_arrow.names
                if len(set(names)) < len(names):
                    raise UnreadableError("two columns have the same name")
                need_named(self.plan, names, dict(zip(names, file.schema_arrow.types, strict=True)))
                for batch in file.iter_batches(self.block_rows):
                    frame = pl.DataFrame(pa.Table.from_batches([batch]))
                    if frame.height:
                        yield frame
        except (pa.ArrowException, OSError, pl.exceptions.PolarsError) as error:
            if isinstance(error, OSError) and error.errno:
                raise  # The system does not give it; that says nothing of the file.
            raise UnreadableError(f"not a readable Parquet file: {error}") from error

    def raw(self, block: pl.DataFrame) -> _RawRows:
        """The rows of a block, each as JSON."""
        return _RawRows(block)

    def is_heavy(self, block: pl.DataFrame) -> bool:
        """Whether its records are large on average."""
        return block.estimated_size() > HEAVY_RECORD_BYTES * block.height

    def cells(self, block: pl.DataFrame) -> pl.DataFrame:
        """The records of a block; none of them is malformed."""
        extras = {
            column.name: _extra_cells(column) for column in block if column.name not in self.plan.consumed
        }

        def cells_of(name: str, field: str | None) -> pl.Series | None:
            return _cells(block[name], self._scale(field)) if name in block.columns else None

        cells = cells_of_columns(cells_of, extras, self.plan, block.height)
        cells = finish_cells(cells.with_columns(is_malformed=pl.lit(False)), self.plan)
        rounded = [
            map_cells(cells[name], partial(_rounded, scale=FIELDS_BY_NAME[name].scale)).alias(name)
            for name in self.plan.factors
            if name in self.plan.columns
            and self.plan.columns[name] in block.columns
            and block[self.plan.columns[name]].dtype.is_float()
        ]
        return cells.with_columns(rounded)

    def lacking(self, fields: Collection[str]) -> list[str]:
        """Those that are paths into text: an empty column is there, and a struct says what it holds."""
        schema = next((block.schema for block in self.blocks()), pl.Schema())
        roots = {name: self.plan.named[name].split(".")[0] for name in fields}
        return [
            name
            for name, root in roots.items()
            if self.plan.named[name] not in schema and not isinstance(schema.get(root), pl.Struct)
        ]

    def _scale(self, field: str | None) -> int | None:
        """The scale to which a field rounds floats; what is multiplied first is rounded afterwards."""
        if field is None or field in self.plan.factors or FIELDS_BY_NAME[field].kind not in NUMERIC_KINDS:
            return None
        return FIELDS_BY_NAME[field].scale


def _cells(column: pl.Series, scale: int | None) -> pl.Series:
    """A column as cells for event fields; ``scale`` is that of the field, None where it is no number."""
    dtype = column.dtype
    if dtype.is_float():
        return _float_cells(column, scale)
    if dtype.is_integer():
        return '"' + column.cast(pl.String) + '"'
    if dtype.is_decimal():
        return '"' + _plain(column) + '"'
    if dtype == pl.Binary:
        return pl.select(pl.when(column.is_not_null()).then(pl.lit(_NO_SCALAR))).to_series()
    return _extra_cells(column)


def _extra_cells(column: pl.Series) -> pl.Series:
    """A column as cells for properties."""
    dtype = column.dtype
    if dtype in {pl.Null, pl.Boolean} or dtype.is_integer():
        return column.cast(pl.String)
    if dtype.is_float():
        text = pl.lit(column).cast(pl.String)
        return pl.select(pl.when(column.is_finite()).then(text).otherwise('"' + text + '"')).to_series()
    if isinstance(dtype, pl.Struct) or dtype.is_nested():
        return pl.Series([_json(value) for value in column], dtype=pl.String)
    return quoted(_text(column))


def _text(column: pl.Series) -> pl.Series:
    """A column of one text per value."""
    dtype = column.dtype
    if dtype.is_decimal():
        return _plain(column)
    if isinstance(dtype, pl.Datetime):
        return _instant_text(column, dtype)
    return column.bin.encode("hex") if dtype == pl.Binary else column.cast(pl.String)


def _float_cells(column: pl.Series, scale: int | None) -> pl.Series:
    finite = pl.select(pl.when(column.is_finite()).then(pl.lit(column).cast(pl.String))).to_series()
    if scale is not None:
        finite = map_cells(finite, lambda text: _rounded(f'"{text}"', scale))
    no_value = column.is_not_null() & finite.is_null()
    return pl.select(pl.when(no_value).then(pl.lit(_NO_SCALAR)).otherwise(finite)).to_series()


def _rounded(cell: str, scale: int) -> str:
    """The text of a number rounded to a scale, half away from zero; whole numbers must be whole already."""
    text = cell.strip('"')
    if cell == _NO_SCALAR:
        return cell
    value = Decimal(text)
    if scale and value.adjusted() < 30:
        value = value.quantize(Decimal(1).scaleb(-scale), ROUND_HALF_UP)
    return f'"{value}"'


def _plain(column: pl.Series) -> pl.Series:
    """Decimals as text without zeros at the end."""
    text = column.cast(pl.String)
    stripped = text.str.strip_chars_end("0").str.strip_chars_end(".")
    return pl.select(pl.when(text.str.contains(".", literal=True)).then(stripped).otherwise(text)).to_series()


def _instant_text(column: pl.Series, dtype: pl.Datetime) -> pl.Series:
    """ISO texts, in UTC where the column has a zone; below microseconds digits are cut off."""
    if dtype.time_zone is not None:
        return (
            column.dt.convert_time_zone("UTC").dt.cast_time_unit("us").dt.strftime("%Y-%m-%dT%H:%M:%S%.6fZ")
        )
    return column.dt.cast_time_unit("us").dt.strftime("%Y-%m-%dT%H:%M:%S%.6f")


def _json(value: object) -> str | None:
    if value is None:
        return None
    text = json.dumps(value, ensure_ascii=False, default=_listed_or_text, separators=(",", ":"))
    try:
        return exact.dump(exact.parse(text))
    except exact.Malformed:
        return exact.dump(text)


def _listed_or_text(value: object) -> object:
    return value.to_list() if isinstance(value, pl.Series) else str(value)
