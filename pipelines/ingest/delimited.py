"""Reads CSV with a header, separated by commas or semicolons. Every value is text; an empty one is absent."""

import csv
import io
import sys
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import polars as pl

from pipelines.ingest import exact
from pipelines.ingest.mapping import Place, Plan
from pipelines.ingest.named import need_named
from pipelines.ingest.reading import (
    Chosen,
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
            need_named(self.plan, header)
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
        cells = cells_of_columns(lambda name, _: columns.get(name), columns, self.plan, len(rows))
        return finish_cells(cells.with_columns(pl.Series("is_malformed", malformed)), self.plan)

    def lacking(self, fields: Collection[str]) -> list[str]:
        """Those that are paths into a column: an empty column is there."""
        header = next((block.header for block in self.blocks()), [])
        return [name for name in fields if self.plan.named[name] not in header]


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
    cells_of: Callable[[str, str | None], pl.Series | None],
    extras: dict[str, pl.Series],
    plan: Plan,
    height: int,
) -> pl.DataFrame:
    """Cells of a table.

    :param cells_of: the cells of a column as an event field takes them (None: as conditions compare them);
        None without such a column.
    :param extras: the columns as they go into properties.
    """

    def cells_at(place: Place, field: str | None) -> pl.Series | None:
        whole = cells_of(place.name, field)
        root = cells_of(place.steps[0], None) if len(place.steps) > 1 else None
        if root is None:
            return whole
        inner = map_cells(root, partial(exact.follow_cell, steps=place.steps[1:]))
        return inner if whole is None else pl.select(pl.coalesce(whole, inner)).to_series()

    places = plan.columns | {name: whole for name, (whole, _) in plan.paths.items()}
    found = {name: cells_at(Place(place), name) for name, place in places.items()}
    chosen = Chosen(plan, cells_at, height)
    cells = {name: column for name, column in found.items() if column is not None} | chosen.cells
    left = {name: column for name, column in extras.items() if name not in plan.consumed}
    for name, is_taken in chosen.consumed.items():
        if name in left:
            left[name] = pl.select(pl.when(~is_taken).then(left[name])).to_series()
    return pl.DataFrame(cells | {"extras": objects(left, height)})


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
