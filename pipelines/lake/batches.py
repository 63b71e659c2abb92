"""Writes the records of batches into files of the lake, aside, and hands them to a commit.

What a commit is (``pipelines.lake.commits``) and which records a batch accepts does not belong here.
"""

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import pandera.polars as pa
import polars as pl
import pyarrow as arrow
import pyarrow.parquet as pq

from models.frames import COMMITS, DUPLICATES, EVENTS, REJECTS, empty_frame
from pipelines.files import sync
from pipelines.home import Home
from pipelines.lake.commits import Lake, Staging, adopt_manifests, need_head, read_lake, remove_leftovers
from pipelines.lake.places import schema_file
from pipelines.lake.proof import built_from

# Rows of one date that make a part of their own, and rows of all dates that are held in memory; the same in
# bytes, for rows that are large.
_PART_ROWS, _PART_BYTES = 120_000, 48 << 20
_HELD_ROWS, _HELD_BYTES = 400_000, 160 << 20
_ROW_GROUP = 122_880

# What the whole batch has in common is added when its files are written.
STAGED = tuple(name for name in EVENTS.columns if name not in {"ingested_at", "batch_id", "source_file"})


SCHEMAS = {"events": EVENTS, "rejects": REJECTS, "duplicates": DUPLICATES, "commits": COMMITS}
"""Kinds of files and their columns; dbt reads the empty ones for the types."""


def ensure_lake(home: Home) -> Lake:
    """The lake, ready to be added to: what runs that were cut off left goes, older homes are taken over.

    The caller holds the home's lock.

    :raises LakeError: the lake is not what its commits say.
    """
    for name, schema in SCHEMAS.items():
        path = schema_file(home, name)
        frame = empty_frame(schema)
        if path.exists() and _schema_of(path) == frame.schema:
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.with_name(f".{path.name}")
        frame.write_parquet(aside)
        sync(aside)
        aside.replace(path)
    lake = read_lake(home)
    need_head(lake, built_from(home), "the warehouse")
    adopt_manifests(lake)
    remove_leftovers(lake)
    return lake


def _schema_of(path: Path) -> pl.Schema | None:
    try:
        return pl.Schema(pl.read_parquet_schema(path))
    except pl.exceptions.PolarsError:
        return None


@dataclass
class _Day:
    held: list[pl.DataFrame] = field(default_factory=list)
    held_rows: int = 0
    held_bytes: int = 0
    files: list[Path] = field(default_factory=list)


@dataclass
class _List:
    """Rejects, duplicates or conflicts on their way into a file."""

    path: Path
    writer: pq.ParquetWriter
    rows: int = 0


class Batch:
    """One batch on its way into the lake. A context: without ``commit`` nothing of it ever was."""

    def __init__(self, lake: Lake, batch_id: str, source_file: str) -> None:
        self.lake, self.batch_id, self.source_file = lake, batch_id, source_file
        self._staging = Staging(lake.home)
        self.folder = self._staging.folder
        self._days: dict[date, _Day] = {}
        self._held_rows = self._held_bytes = 0
        self._part_count = 0
        self._lists: dict[str, _List] = {}

    def __enter__(self) -> "Batch":
        self._staging.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        with contextlib.suppress(OSError):
            self._close()
        self._staging.__exit__(*error)

    def _close(self) -> None:
        for listed in self._lists.values():
            listed.writer.close()

    @property
    def rejected_count(self) -> int:
        """Records rejected so far."""
        return self._lists["rejects"].rows if "rejects" in self._lists else 0

    @property
    def dates(self) -> list[date]:
        """The UTC dates of the staged records, in order."""
        return sorted(self._days)

    def stage(self, events: pl.DataFrame) -> None:
        """Take records (columns ``STAGED``) in file order."""
        by_date = events.with_columns(event_date=pl.col("occurred_at").dt.date()).partition_by(
            "event_date", as_dict=True, include_key=False, maintain_order=True
        )
        for (event_date,), part in by_date.items():
            day = self._days.setdefault(event_date, _Day())
            day.held.append(part)
            size = int(part.estimated_size())
            day.held_rows += part.height
            day.held_bytes += size
            self._held_rows += part.height
            self._held_bytes += size
            if day.held_rows >= _PART_ROWS or day.held_bytes >= _PART_BYTES:
                self._write_part(day, event_date)
        if self._held_rows > _HELD_ROWS or self._held_bytes > _HELD_BYTES:
            for event_date, day in sorted(self._days.items(), key=lambda item: -item[1].held_bytes):
                if self._held_rows <= _HELD_ROWS // 2 and self._held_bytes <= _HELD_BYTES // 2:
                    break
                if day.held:
                    self._write_part(day, event_date)

    def _write_part(self, day: _Day, event_date: date) -> None:
        self._part_count += 1
        path = self.folder / f"{event_date.isoformat()}-{self._part_count:06}.parquet"
        pl.concat(day.held).write_parquet(path, compression="lz4", statistics=False)
        day.files.append(path)
        self._held_rows -= day.held_rows
        self._held_bytes -= day.held_bytes
        day.held, day.held_rows, day.held_bytes = [], 0, 0

    def parts(self, event_date: date, columns: Iterable[str] = STAGED) -> Iterator[pl.DataFrame]:
        """The staged records of a date, in file order, in pieces that fit into memory."""
        wanted = list(columns)
        day = self._days[event_date]
        for path in day.files:
            yield pl.read_parquet(path, columns=wanted)
        if day.held:
            yield pl.concat(day.held).select(wanted)

    def reject(self, rejects: pl.DataFrame) -> None:
        """Take rejected records: source_row, reason, raw_record."""
        self._add("rejects", rejects, REJECTS)

    def remember(self, kind: str, records: pl.DataFrame) -> None:
        """Take duplicates or conflicts: source_row, event_id, revision, event_date."""
        self._add(kind, records, DUPLICATES)

    def _add(self, kind: str, rows: pl.DataFrame, schema: pa.DataFrameSchema) -> None:
        if not rows.height:
            return
        frame = rows.with_columns(
            batch_id=pl.lit(self.batch_id), source_file=pl.lit(self.source_file)
        ).select(list(schema.columns))
        if schema is REJECTS:
            schema.validate(frame, lazy=True)
        else:
            _check_types(frame, schema)
        table = _arrow(frame)
        if kind not in self._lists:
            path = self.folder / f"{kind}.parquet"
            self._lists[kind] = _List(path, pq.ParquetWriter(path, table.schema, compression="zstd"))
        self._lists[kind].writer.write_table(table)
        self._lists[kind].rows += frame.height

    def write_events(self, event_date: date, parts: Iterable[pl.DataFrame], ingested_at: pl.Expr) -> int:
        """Write the accepted records of a date aside; the number of rows in the file (0: no file)."""
        path = self.folder / f"events-{event_date.isoformat()}.parquet"
        writer: pq.ParquetWriter | None = None
        pending: list[pl.DataFrame] = []
        pending_rows = pending_bytes = rows = 0
        common = (
            ingested_at.alias("ingested_at"),
            pl.lit(self.batch_id).alias("batch_id"),
            pl.lit(self.source_file).alias("source_file"),
        )

        def whole() -> pl.DataFrame:
            frame = pl.concat(pending).with_columns(*common).select(list(EVENTS.columns))
            _check_types(frame, EVENTS)
            return frame

        for part in parts:
            pending.append(part)
            pending_rows += part.height
            pending_bytes += int(part.estimated_size())
            rows += part.height
            if pending_rows >= 4 * _ROW_GROUP or pending_bytes >= _HELD_BYTES:
                table = _arrow(whole())
                writer = writer or pq.ParquetWriter(
                    path, table.schema, compression="zstd", compression_level=1
                )
                writer.write_table(table, row_group_size=_ROW_GROUP)
                pending, pending_rows, pending_bytes = [], 0, 0
        if writer is not None:
            if pending_rows:
                writer.write_table(_arrow(whole()), row_group_size=_ROW_GROUP)
            writer.close()
        elif pending_rows:
            whole().write_parquet(path, compression="zstd", compression_level=1, row_group_size=_ROW_GROUP)
        if rows:
            self._staging.add(
                path, "events", row_count=rows, batch_ids=[self.batch_id], event_date=event_date
            )
        return rows

    def forget(self) -> None:
        """Drop everything that was taken so far."""
        self._days.clear()
        self._close()
        self._lists.clear()

    def add_file(self, path: Path, kind: str, row_count: int, batch_id: str, day: date | None = None) -> None:
        """A file of another batch in the same commit, written into ``folder``."""
        self._staging.add(path, kind, row_count=row_count, batch_ids=[batch_id], event_date=day)

    def commit(self, manifests: pl.DataFrame) -> None:
        """Show the files that were written aside; the commit with the manifest rows makes them count."""
        self._close()
        for kind, listed in self._lists.items():
            self.add_file(listed.path, kind, listed.rows, self.batch_id)
        self._staging.commit(self.lake, manifests)


def _check_types(frame: pl.DataFrame, schema: pa.DataFrameSchema) -> None:
    """Bounds were checked when the values were typed; columns and types once more before they are written."""
    expected = empty_frame(schema).schema
    if frame.schema != expected:
        raise TypeError(f"{schema.name}: {frame.schema} is not {expected}")


def _arrow(frame: pl.DataFrame) -> arrow.Table:
    return frame.to_arrow(compat_level=pl.CompatLevel.oldest())
