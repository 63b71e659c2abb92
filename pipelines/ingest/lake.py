"""Writes batches into the lake: staged aside, shown by renames, committed by one manifest row.

A batch that has no ``lake/batches/<batch_id>.parquet`` does not exist. Whatever a killed run left behind has
a folder under ``lake/.staging``, so that is all that cleaning up must look at. Deciding which records a batch
accepts does not belong here.
"""

import os
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import pandera.polars as pa
import polars as pl
import pyarrow as arrow
import pyarrow.parquet as pq

from models.frames import BATCHES, EVENTS, REJECTS, empty_frame
from pipelines.home import Home

# Rows of one date that make a part of their own, and rows of all dates that are held in memory.
_PART_ROWS = 120_000
_HELD_ROWS = 400_000
_ROW_GROUP = 122_880

# What the whole batch has in common is added when its files are written.
STAGED = tuple(name for name in EVENTS.columns if name not in {"ingested_at", "batch_id", "source_file"})


def ensure_schema(home: Home) -> None:
    """Write the empty files that carry the lake's columns and types, where they are missing or outdated."""
    for name, schema in (("events", EVENTS), ("rejects", REJECTS), ("batches", BATCHES)):
        path = home.lake / "schema" / f"{name}.parquet"
        frame = empty_frame(schema)
        if path.exists() and pl.read_parquet_schema(path) == frame.schema:
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.with_name(f".{path.name}")
        frame.write_parquet(aside)
        _sync(aside)
        aside.replace(path)


def known_batches(home: Home) -> set[str]:
    """The ids of all committed batches."""
    folder = home.lake / "batches"
    return {entry.name.removesuffix(".parquet") for entry in os.scandir(folder)} if folder.exists() else set()


def remove_leftovers(home: Home) -> list[str]:
    """Remove what killed runs left of batches that they did not commit; the ids of these."""
    staging = home.lake / ".staging"
    if not staging.exists():
        return []
    known = known_batches(home)
    removed = []
    for folder in sorted(staging.iterdir()):
        if folder.name not in known:
            removed.append(folder.name)
            for path in (home.lake / "events").glob(f"event_date=*/{folder.name}.parquet"):
                path.unlink()
            (home.lake / "rejects" / f"{folder.name}.parquet").unlink(missing_ok=True)
        shutil.rmtree(folder)
    return removed


def event_files(home: Home, dates: Iterable[date]) -> list[Path]:
    """The event files of some dates, in order."""
    files: list[Path] = []
    for day in sorted(set(dates)):
        folder = home.lake / "events" / f"event_date={day.isoformat()}"
        if folder.exists():
            files.extend(sorted(folder.glob("[!.]*.parquet")))
    return files


@dataclass
class _Day:
    held: list[pl.DataFrame] = field(default_factory=list)
    held_rows: int = 0
    files: list[Path] = field(default_factory=list)


class Batch:
    """One batch on its way into the lake. A context: what is not committed is removed on the way out."""

    def __init__(self, home: Home, batch_id: str, source_file: str) -> None:
        self.home, self.batch_id, self.source_file = home, batch_id, source_file
        self.folder = home.lake / ".staging" / batch_id
        self.rejected_count = 0
        self._days: dict[date, _Day] = {}
        self._held_rows = 0
        self._part_count = 0
        self._rejects: pq.ParquetWriter | None = None

    def __enter__(self) -> "Batch":
        self.folder.mkdir(parents=True)
        return self

    def __exit__(self, *_: object) -> None:
        if self._rejects is not None:
            self._rejects.close()
        shutil.rmtree(self.folder, ignore_errors=True)

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
            day.held_rows += part.height
            self._held_rows += part.height
            if day.held_rows >= _PART_ROWS:
                self._write_part(day, event_date)
        if self._held_rows > _HELD_ROWS:
            for event_date, day in sorted(self._days.items(), key=lambda item: -item[1].held_rows):
                if self._held_rows <= _HELD_ROWS // 2:
                    break
                self._write_part(day, event_date)

    def _write_part(self, day: _Day, event_date: date) -> None:
        self._part_count += 1
        path = self.folder / f"{event_date.isoformat()}-{self._part_count:06}.parquet"
        pl.concat(day.held).write_parquet(path, compression="lz4", statistics=False)
        day.files.append(path)
        self._held_rows -= day.held_rows
        day.held, day.held_rows = [], 0

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
        if not rejects.height:
            return
        frame = rejects.with_columns(
            batch_id=pl.lit(self.batch_id), source_file=pl.lit(self.source_file)
        ).select(list(REJECTS.columns))
        REJECTS.validate(frame, lazy=True)
        table = _arrow(frame)
        if self._rejects is None:
            self._rejects = pq.ParquetWriter(
                self.folder / "rejects.parquet", table.schema, compression="zstd"
            )
        self._rejects.write_table(table)
        self.rejected_count += frame.height

    def write_events(self, event_date: date, parts: Iterable[pl.DataFrame], ingested_at: pl.Expr) -> int:
        """Write the accepted records of a date aside; the number of rows in the file (0: no file)."""
        path = self.folder / f"events-{event_date.isoformat()}.parquet"
        writer: pq.ParquetWriter | None = None
        pending: list[pl.DataFrame] = []
        pending_rows = rows = 0
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
            rows += part.height
            if pending_rows >= 4 * _ROW_GROUP:
                table = _arrow(whole())
                writer = writer or pq.ParquetWriter(
                    path, table.schema, compression="zstd", compression_level=1
                )
                writer.write_table(table, row_group_size=_ROW_GROUP)
                pending, pending_rows = [], 0
        if writer is not None:
            if pending_rows:
                writer.write_table(_arrow(whole()), row_group_size=_ROW_GROUP)
            writer.close()
        elif pending_rows:
            whole().write_parquet(path, compression="zstd", compression_level=1, row_group_size=_ROW_GROUP)
        return rows

    def forget(self) -> None:
        """Drop everything that was taken so far."""
        self._days.clear()
        if self._rejects is not None:
            self._rejects.close()
            self._rejects = None
        self.rejected_count = 0

    def commit(self, manifest: pl.DataFrame) -> None:
        """Show the files that were written aside; the manifest row, last of all, makes them count."""
        BATCHES.validate(manifest, lazy=True)
        moves: list[tuple[Path, Path]] = []
        for event_date in self.dates:
            written = self.folder / f"events-{event_date.isoformat()}.parquet"
            if written.exists():
                day = self.home.lake / "events" / f"event_date={event_date.isoformat()}"
                moves.append((written, day / f"{self.batch_id}.parquet"))
        if self._rejects is not None:
            self._rejects.close()
            self._rejects = None
            moves.append(
                (self.folder / "rejects.parquet", self.home.lake / "rejects" / f"{self.batch_id}.parquet")
            )
        row = self.folder / "manifest.parquet"
        manifest.write_parquet(row)
        for written, _ in moves:
            _sync(written)
        _sync(row)
        for written, place in moves:
            place.parent.mkdir(parents=True, exist_ok=True)
            written.replace(place)
        for folder in {place.parent for _, place in moves}:
            _sync(folder)
        batches = self.home.lake / "batches"
        batches.mkdir(parents=True, exist_ok=True)
        row.replace(batches / f"{self.batch_id}.parquet")
        _sync(batches)


def _check_types(frame: pl.DataFrame, schema: pa.DataFrameSchema) -> None:
    """Bounds were checked when the values were typed; columns and types once more before they are written."""
    expected = empty_frame(schema).schema
    if frame.schema != expected:
        raise TypeError(f"{schema.name}: {frame.schema} is not {expected}")


def _arrow(frame: pl.DataFrame) -> arrow.Table:
    return frame.to_arrow(compat_level=pl.CompatLevel.oldest())


def _sync(path: Path) -> None:
    """Wait until a file or folder is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
