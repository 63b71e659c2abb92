"""Reads CSV with a header, separated by commas or semicolons. Every value is text; an empty one is absent."""

import csv
import io
import re
import sys
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import polars as pl

from models.events import MAX_RECORD_BYTES
from pipelines.ingest import exact
from pipelines.ingest.formats.reader import (
    HEAVY_RECORD_BYTES,
    Chosen,
    Oversized,
    RawTexts,
    RecordStream,
    UnreadableError,
    finish_cells,
    map_cells,
    objects,
    open_content,
    quoted,
)
from pipelines.ingest.mapping import Place, Plan
from pipelines.ingest.named import need_named

BLOCK_ROWS = 50_000
BLOCK_CHARACTERS = 16 << 20
# What a value costs beside its characters, in characters.
_VALUE_CHARACTERS = 16
# Every record repeats the header's names in its properties.
_HEADER_CHARACTERS = 1 << 20
_HEADER_COLUMNS = 10_000
_LONG_HEADER = f"the header has more than {_HEADER_COLUMNS:,} columns or {_HEADER_CHARACTERS:,} characters"
_PIECE_CHARACTERS = 1 << 20


@dataclass(frozen=True)
class _Block:
    header: list[str]
    rows: list[list[str]]
    raw: list[str]


class CsvReader:
    """One CSV file, plain or gzipped."""

    def __init__(self, path: Path, plan: Plan, *, block_rows: int = BLOCK_ROWS) -> None:
        self.path, self.plan, self.block_rows = path, plan, block_rows

    def blocks(self) -> Iterator[_Block | Oversized]:
        """Rows with the text that each was read from; blank lines are left out."""
        # The limit is the interpreter's; what bounds a field is that its record ends before.
        csv.field_size_limit(sys.maxsize)
        with io.TextIOWrapper(
            open_content(self.path), encoding="utf-8-sig", errors="surrogateescape", newline=""
        ) as text:
            lines = _Lines(text)
            delimiter = _delimiter(lines.peek())
            records = csv.reader(lines, delimiter=delimiter)
            header = _header(lines, records)
            if header is None:
                return
            need_named(self.plan, header)
            per_row = sum(map(len, header)) + _VALUE_CHARACTERS * len(header)
            rows: list[list[str]] = []
            raw: list[str] = []
            size = 0
            while True:
                try:
                    record = next(records, None)
                    source = lines.take()
                    oversized = _oversized(source) if 4 * len(source) > MAX_RECORD_BYTES else None
                except _LongRecordError:
                    record, source, oversized = [], "", lines.pass_over(delimiter)
                    if oversized is None:
                        continue
                if rows and (record is None or oversized or size >= BLOCK_CHARACTERS):
                    yield _Block(header, rows, raw)
                    rows, raw, size = [], [], 0
                if oversized:
                    yield oversized
                    continue
                if record is None:
                    break
                if _is_blank(record):
                    continue
                # What has too few or too many values is malformed; they need not be held.
                rows.append(record if len(record) == len(header) else [])
                raw.append(source.rstrip("\r\n"))
                size += len(source) + per_row
                if len(rows) >= self.block_rows:
                    size = BLOCK_CHARACTERS

    def raw(self, block: _Block | Oversized) -> RawTexts:
        """The rows of a block as they stand in the file, bad bytes shown as \\xNN."""
        if isinstance(block, Oversized):
            return block.raw
        texts = [text if _is_clean(text) else _shown(text) for text in block.raw]
        return RawTexts(pl.Series(texts, dtype=pl.String))

    def is_heavy(self, block: _Block | Oversized) -> bool:
        """Whether its records are large on average."""
        return isinstance(block, _Block) and sum(map(len, block.raw)) > HEAVY_RECORD_BYTES * len(block.raw)

    def cells(self, block: _Block | Oversized) -> pl.DataFrame:
        """The records of a block; a row with too few or too many values, or with bad bytes, is malformed."""
        if isinstance(block, Oversized):
            return finish_cells(block.cells, self.plan)
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
        header = next((block.header for block in self.blocks() if isinstance(block, _Block)), [])
        return [name for name in fields if self.plan.named[name] not in header]


def _header(lines: "_Lines", records: Iterator[list[str]]) -> list[str] | None:
    """The first record that is not blank. Raises UnreadableError."""
    try:
        header = next((record for record in records if not _is_blank(record)), None)
    except _LongRecordError:
        raise UnreadableError(_LONG_HEADER) from None
    lines.take()
    if header is None:
        return None
    if sum(map(len, header)) > _HEADER_CHARACTERS or len(header) > _HEADER_COLUMNS:
        raise UnreadableError(_LONG_HEADER)
    repeated = [name for name, count in Counter(header).items() if count > 1]
    if repeated:
        names = ", ".join(repr(name) for name in sorted(repeated))
        raise UnreadableError(f"the header gives a column twice: {names}")
    return header


class _LongRecordError(Exception):
    """The record is too long to be read."""


# A longer line comes in pieces; with any line end, a record may have this length.
_LINE_CHARACTERS = MAX_RECORD_BYTES + 2


class _Lines:
    """Lines of a text, and which were taken since the last look: no more than a record may have."""

    def __init__(self, text: io.TextIOWrapper) -> None:
        self._text, self._begun = text, io.StringIO()
        self._next: str | None = self._read()
        self._taken: list[str] = []
        self._size = 0

    def _read(self) -> str:
        line = self._begun.readline()
        return line if line.endswith(("\n", "\r")) else line + self._text.readline(_LINE_CHARACTERS + 1)

    def peek(self) -> str:
        return self._next or ""

    def take(self) -> str:
        """What was taken since the last look."""
        text = self._taken[0] if len(self._taken) == 1 else "".join(self._taken)
        self._taken.clear()
        self._size = 0
        return text

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        line = self._read() if self._next is None else self._next
        self._next = None
        if not line:
            raise StopIteration
        self._size += len(line)
        if self._size > _LINE_CHARACTERS:
            self._next = line
            raise _LongRecordError
        self._taken.append(line)
        return line

    def pass_over(self, delimiter: str) -> Oversized | None:
        """Read on to the end of the record that was too long; None: it is blank."""
        record, end = RecordStream(), _RecordEnd(delimiter)
        piece = self.take() + (self._next or "")
        self._next = None
        while piece:
            position = end.find(piece)
            record.add(_bytes(piece[:position]))
            if position is not None:
                self._begun = io.StringIO(piece[position:], newline="")
                break
            piece = self._begun.read() or self._text.read(_PIECE_CHARACTERS)
        return None if record.is_blank else record.oversized()


class _RecordEnd:
    """Finds where a record ends that is not held, by the rules of ``csv.reader``.

    A quote counts at the beginning of a value only, and ends it unless it is doubled.
    """

    _QUOTED = re.compile(r'(?:[^"]++|"")*+')

    def __init__(self, delimiter: str) -> None:
        self._delimiter = delimiter
        self._plain = re.compile(rf'[\r\n]|{re.escape(delimiter)}"')
        self._state: Literal["begins", "plain", "quoted", "quote"] = "begins"

    def find(self, text: str) -> int | None:
        """The position after the record's line end in its next piece; None: it goes on."""
        position = 0
        while position < len(text):
            if self._state in {"begins", "quote"} and text[position] == '"':
                self._state = "quoted"
                position += 1
            elif self._state == "quoted":
                inside = self._QUOTED.match(text, position)
                position = inside.end() if inside else position
                if position < len(text):
                    self._state = "quote"
                    position += 1
            elif found := self._plain.search(text, position):
                position = found.end()
                if not found[0].endswith('"'):
                    return position + text.startswith("\r\n", position - 1)
                self._state = "quoted"
            else:
                self._state = "begins" if text.endswith(self._delimiter) else "plain"
                return None
        return None


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _oversized(source: str) -> Oversized | None:
    record = RecordStream()
    record.add(_bytes(source))
    return record.oversized()


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
