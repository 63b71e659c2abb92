"""Reads CSV with a header, separated by commas or semicolons. Every value is text; an empty one is absent."""

import csv
import io
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import polars as pl

from pipelines.ingest import exact
from pipelines.ingest.mapping import Plan
from pipelines.ingest.reading import (
    RawTexts,
    UnreadableError,
    finish_cells,
    map_cells,
    objects,
    open_content,
    quoted,
)

BLOCK_ROWS = 50_000
BLOCK_CHARACTERS = 16 << 20


@dataclass(frozen=True)
class _Block:
    header: list[str]
    rows: list[list[str]]
    raw: list[str]


class CsvReader:
    """One CSV file, plain or gzipped."""

    def __init__(self, path: Path, plan: Plan, *, block_rows: int = BLOCK_ROWS) -> None:
        self.path, self.plan, self.block_rows = path, plan, block_rows

    def blocks(self) -> Iterator[_Block]:
        """Rows with the text that each was read from; blank lines are left out."""
        # The limit is the interpreter's; a field may be as long as memory allows.
        csv.field_size_limit(sys.maxsize)
        with io.TextIOWrapper(
            open_content(self.path), encoding="utf-8-sig", errors="surrogateescape", newline=""
        ) as text:
            lines = _Lines(text)
            delimiter = _delimiter(lines.peek())
            records = csv.reader(lines, delimiter=delimiter)
            header = next((record for record in records if not _is_blank(record)), None)
            if header is None:
                return
            repeated = {name for name in header if header.count(name) > 1}
            if repeated:
                names = ", ".join(repr(name) for name in sorted(repeated))
                raise UnreadableError(f"the header gives a column twice: {names}")
            lines.taken.clear()
            rows: list[list[str]] = []
            raw: list[str] = []
            size = 0
            for record in records:
                source = "".join(lines.taken)
                lines.taken.clear()
                if _is_blank(record):
                    continue
                rows.append(record)
                raw.append(source.rstrip("\r\n"))
                size += len(source)
                if len(rows) >= self.block_rows or size >= BLOCK_CHARACTERS:
                    yield _Block(header, rows, raw)
                    rows, raw, size = [], [], 0
            if rows:
                yield _Block(header, rows, raw)

    def raw(self, block: _Block) -> RawTexts:
        """The rows of a block as they stand in the file, bad bytes shown as \\xNN."""
        texts = [text if _is_clean(text) else _shown(text) for text in block.raw]
        return RawTexts(pl.Series(texts, dtype=pl.String))

    def cells(self, block: _Block) -> pl.DataFrame:
        """The records of a block; a row with too few or too many values, or with bad bytes, is malformed."""
        width = len(block.header)
        malformed = [
            len(row) != width or not _is_clean(text) for row, text in zip(block.rows, block.raw, strict=True)
        ]
        empty = [""] * width
        rows = [empty if bad else row for row, bad in zip(block.rows, malformed, strict=True)]
        columns = {
            name: quoted(_nulled(pl.Series(values, dtype=pl.String)))
            for name, values in zip(block.header, zip(*rows, strict=True), strict=True)
        }
        cells = cells_of_columns(columns, columns, self.plan, len(rows))
        return finish_cells(cells.with_columns(pl.Series("is_malformed", malformed)), self.plan)


class _Lines:
    """Lines of a text, and which of them were taken since the last look."""

    def __init__(self, text: io.TextIOWrapper) -> None:
        self._text = text
        self._first: str | None = next(text, "")
        self.taken: list[str] = []

    def peek(self) -> str:
        return self._first or ""

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        line, self._first = (self._first, None) if self._first else (next(self._text), None)
        self.taken.append(line)
        return line


def cells_of_columns(
    columns: dict[str, pl.Series], extras: dict[str, pl.Series], plan: Plan, height: int
) -> pl.DataFrame:
    """Cells of a table.

    :param columns: cells by column, as event fields take them.
    :param extras: the same as they go into properties.
    """
    cells: dict[str, pl.Series] = {
        name: columns[column] for name, column in plan.columns.items() if column in columns
    }
    for name, (whole, steps) in plan.paths.items():
        if whole in columns:
            cells[name] = columns[whole]
        if steps[0] in columns:
            inner = map_cells(columns[steps[0]], partial(exact.follow_cell, steps=steps[1:]))
            cells[name] = pl.select(pl.coalesce(cells.get(name, inner), inner)).to_series()
    left = {name: column for name, column in extras.items() if name not in plan.consumed}
    return pl.DataFrame({name: column for name, column in cells.items()} | {"extras": objects(left, height)})


def _nulled(text: pl.Series) -> pl.Series:
    return pl.select(pl.when(text != "").then(text)).to_series()


def _delimiter(header: str) -> str:
    """Comma, unless the header has more columns with semicolons."""
    return ";" if _width(header, ";") > _width(header, ",") else ","


def _width(header: str, delimiter: str) -> int:
    return len(next(csv.reader([header], delimiter=delimiter), []))


def _is_blank(record: list[str]) -> bool:
    return not record or (len(record) == 1 and not record[0].strip())


def _is_clean(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _shown(text: str) -> str:
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
