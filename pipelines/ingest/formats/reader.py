"""What every format's reader offers, and what they share: blocks of a file, their records as cells.

A *cell* is the JSON text of one value, null where there is none. Typing does not belong here.
"""

import codecs
import gzip
import hashlib
import zlib
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Protocol, TypeVar, cast

import polars as pl

from models.events import MAX_RECORD_BYTES, SHOWN_RECORD_BYTES
from pipelines.ingest import exact
from pipelines.ingest.mapping import Choice, Condition, Place, Plan

# Several blocks are held at once, each several times over: as read, as cells, as values.
BLOCK_BYTES = 16 << 20
# Of records of this size and more, one block is worked on at a time.
HEAVY_RECORD_BYTES = 256 << 10

_FROM_ROW = '"from_row"'
_BLANK_TEXT = r'^"(?: |\\t|\\n|\\r|\\f|\\u000[bB])*"$'


class UnreadableError(Exception):
    """The file cannot be read to its end; nothing of it counts."""


class UnopenedError(Exception):
    """The system does not give the content; that says nothing of the file, which the next run tries again."""


class RawRecords(Protocol):
    """The records of a block as they stand in the file."""

    def texts(self, rows: list[int]) -> list[str]:
        """The text of records by their position in the block, from 0."""
        ...


@dataclass(frozen=True)
class RawTexts:
    """Raw records that are there as texts already."""

    series: pl.Series

    def texts(self, rows: list[int]) -> list[str]:
        """The text of records by their position in the block, from 0."""
        return self.series.gather(rows).to_list()


@dataclass(frozen=True)
class Oversized:
    """A record that is too large to be read, as it is stored. It makes a block of its own."""

    text: str

    @property
    def cells(self) -> pl.DataFrame:
        """What a reader gives for it."""
        return pl.DataFrame({"is_malformed": [True]})

    @property
    def raw(self) -> RawTexts:
        """What a reader gives for it."""
        return RawTexts(pl.Series([self.text], dtype=pl.String))


class RecordStream:
    """A record that is looked at in pieces, since it may be too large to be held."""

    def __init__(self) -> None:
        self._head, self._digest = bytearray(), hashlib.sha256()
        self._line_end = b""
        self.length = 0
        self.is_blank = True

    def add(self, piece: bytes) -> None:
        """Take its next bytes; a line end at its end does not count."""
        piece = self._line_end + piece
        kept = piece.removesuffix(b"\n").removesuffix(b"\r")
        self._line_end = piece[len(kept) :]
        self._head += kept[: max(0, SHOWN_RECORD_BYTES - len(self._head))]
        self._digest.update(kept)
        self.length += len(kept)
        self.is_blank = self.is_blank and not kept.strip()

    def oversized(self) -> Oversized | None:
        """What is stored of it; None where it is not larger than a record may be."""
        if self.length <= MAX_RECORD_BYTES:
            return None
        # The last character is left out where it was cut through.
        first = codecs.getincrementaldecoder("utf-8")("backslashreplace").decode(bytes(self._head))
        shown = {"length": self.length, "sha256": self._digest.hexdigest(), "first": first}
        return Oversized(exact.dump(shown))


Block = TypeVar("Block")


class Reader(Protocol[Block]):
    """One format. Blocks come in file order, small enough to hold several; any thread may take one apart."""

    def blocks(self) -> Iterator[Block]:
        """The file in pieces that end where records end. Raises UnreadableError."""
        ...

    def is_heavy(self, block: Block) -> bool:
        """Whether its records are so large that no other block should be worked on beside it."""
        ...

    def cells(self, block: Block) -> pl.DataFrame:
        """One row per record of a block.

        A cell per event field that has a source, ``extras`` (JSON object of the columns that feed no field,
        or null) and ``is_malformed``.
        """
        ...

    def raw(self, block: Block) -> RawRecords:
        """The records of a block as they stand in the file, in the order of ``cells``."""
        ...

    def lacking(self, fields: Collection[str]) -> list[str]:
        """Of fields that the source names and that got no value: those whose column or path no record has."""
        ...


CellsAt = Callable[[Place, str | None], pl.Series | None]
"""The cells at a place as an event field takes them (None: as conditions compare them); None without any."""


class Chosen:
    """What the choices of a plan take from records, given the cells at every place that they name.

    Agrees with ``exact.cells_of_line`` record by record.
    """

    def __init__(self, plan: Plan, cells_at: CellsAt, height: int) -> None:
        self._cells_at, self._height = cells_at, height
        self._masks: dict[Condition, pl.Series] = {}
        self.cells: dict[str, pl.Series] = {
            name: self._sum([self._cells(choice, name) for choice in choices])
            for name, choices in plan.choices.items()
        }
        self.consumed: dict[str, pl.Series] = {
            column: self._any([self._hold(conditions) for conditions in alternatives])
            for column, alternatives in plan.consumed_where.items()
        }
        """Per column that is taken under conditions: from which records, so that it is no property there."""

    def _cells(self, choice: Choice, name: str) -> pl.Series:
        cells = self._cells_at(choice.place, name)
        if cells is None:
            return pl.Series([None], dtype=pl.String).new_from_index(0, self._height)
        holds = self._hold(choice.conditions)
        return cells if holds.all() else pl.select(pl.when(holds).then(cells)).to_series()

    def _hold(self, conditions: tuple[Condition, ...]) -> pl.Series:
        masks = [self._mask(condition) for condition in conditions]
        every = pl.repeat(True, self._height, dtype=pl.Boolean, eager=True)
        return pl.select(pl.all_horizontal([every, *masks])).to_series()

    def _any(self, masks: list[pl.Series]) -> pl.Series:
        return pl.select(pl.any_horizontal(masks)).to_series()

    def _mask(self, condition: Condition) -> pl.Series:
        if condition not in self._masks:
            cells = self._cells_at(condition.place, None)
            if cells is None:
                cells = pl.Series([None], dtype=pl.String).new_from_index(0, self._height)
            known = {cell: exact.text_of(cell) in condition.wanted for cell in cells.unique()}
            self._masks[condition] = pl.Series([known[cell] for cell in cells], dtype=pl.Boolean)
        return self._masks[condition]

    def _sum(self, parts: list[pl.Series]) -> pl.Series:
        if len(parts) == 1:
            return parts[0]
        # A blank text is no value beside another one.
        filled = [
            pl.select(pl.when(~part.str.contains(_BLANK_TEXT)).then(part)).to_series() for part in parts
        ]
        counts = pl.select(
            pl.sum_horizontal([part.is_not_null().cast(pl.Int64) for part in filled])
        ).to_series()
        total = pl.select(pl.coalesce(*filled, *parts)).to_series()
        several = (counts > 1).arg_true()
        if not len(several):
            return total
        rows = zip(*(part.gather(several) for part in filled), strict=True)
        sums = [exact.add([cell for cell in row if cell is not None]) for row in rows]
        return total.scatter(several, pl.Series(sums, dtype=pl.String))


@contextmanager
def opening() -> Iterator[None]:
    """Around what does nothing but read a file: what goes wrong is an UnopenedError or UnreadableError."""
    try:
        yield
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise UnreadableError(f"not a readable gzip file: {error}") from error
    except OSError as error:
        raise UnopenedError(error.strerror or str(error)) from error


def blocks_of(reader: Reader[Block]) -> Iterator[Block]:
    """The blocks of a file. Raises UnreadableError and UnopenedError."""
    with opening():
        yield from reader.blocks()


def finish_cells(cells: pl.DataFrame, plan: Plan) -> pl.DataFrame:
    """Cells with the plan's constants and units applied; ids made from rows get a placeholder."""
    added = [pl.lit(cell).alias(name) for name, cell in plan.constants.items()]
    if plan.ids_from_row:
        added.append(pl.lit(_FROM_ROW).alias("event_id"))
    for name, factor in plan.factors.items():
        if name in cells.columns:
            multiplied = map_cells(cells[name], partial(exact.multiply, factor=factor))
            added.append(pl.lit(multiplied).alias(name))
    return cells.with_columns(added) if added else cells


def map_cells(cells: pl.Series, change: Callable[[str], str | None]) -> pl.Series:
    """A function of text applied once per distinct non-null value."""
    known = {cell: change(cell) for cell in cells.drop_nulls().unique()}
    return pl.Series([known.get(cell) for cell in cells], dtype=pl.String)


_NEEDS_ESCAPE = r'["\\\x00-\x1f]'


def quoted(texts: pl.Series) -> pl.Series:
    """Texts as JSON strings."""
    plain = '"' + texts + '"'
    special = texts.str.contains(_NEEDS_ESCAPE)
    if not special.any():
        return plain
    rows = special.arg_true()
    return plain.scatter(rows, pl.Series([exact.dump(text) for text in texts.gather(rows)], dtype=pl.String))


def objects(columns: dict[str, pl.Series], height: int) -> pl.Series:
    """JSON objects of columns of cells; a null cell is left out; null where nothing is left."""
    if not columns:
        return pl.Series([None], dtype=pl.String).new_from_index(0, height)
    parts = [pl.lit(exact.dump(name) + ":" + cells) for name, cells in columns.items()]
    inner = pl.select(pl.concat_str(parts, separator=",", ignore_nulls=True)).to_series()
    return pl.select(pl.when(inner != "").then("{" + pl.lit(inner) + "}")).to_series()


def open_content(path: Path) -> IO[bytes]:
    """The uncompressed content of a file."""
    return cast(IO[bytes], gzip.open(path, "rb")) if path.suffix.lower() == ".gz" else path.open("rb")
