"""The ingest itself: every new file of the inbox becomes one batch of the lake.

How files are read, values typed, duplicates found and files written does not belong here.
"""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

import polars as pl

from models.events import CONFLICTING, SourcesDocument
from models.frames import BATCHES, INSTANT, TYPED_EVENTS, empty_frame
from pipelines.errors import MeterhouseError
from pipelines.home import Home
from pipelines.ingest import inbox, lake
from pipelines.ingest.columnar import ParquetReader
from pipelines.ingest.delimited import CsvReader
from pipelines.ingest.identity import Identity, KeyCache, payload_hash, rows_marked
from pipelines.ingest.inbox import InboxFile
from pipelines.ingest.jsonl import JsonLinesReader
from pipelines.ingest.mapping import Plan, plan_for
from pipelines.ingest.reading import Block, Reader, UnreadableError
from pipelines.ingest.values import type_cells

Progress = Callable[..., None]

# Two blocks at a time keep two cores busy; one more waits, so that memory stays bounded.
_WORKERS = 2
_IN_FLIGHT = 3


@dataclass(frozen=True)
class BatchResult:
    """What became of one file."""

    batch_id: str
    source_file: str
    status: str
    rows_read: int = 0
    accepted_count: int = 0
    duplicate_count: int = 0
    rejected_count: int = 0
    message: str | None = None
    separate_event_count: int = 0
    max_revision: int | None = None
    event_dates: tuple[tuple[date, int], ...] = ()


@dataclass(frozen=True)
class IngestReport:
    """What one ingest did.

    :param batches: the files read now, in order.
    :param known_files: files of the inbox whose content was read before.
    :param ignored_files: files of the inbox with an ending that is none of a usage file.
    :param changed_files: files that changed while they were read; they wait for the next run.
    """

    batches: tuple[BatchResult, ...] = ()
    known_files: int = 0
    ignored_files: tuple[str, ...] = ()
    changed_files: tuple[str, ...] = field(default=())

    @property
    def rows_read(self) -> int:
        """Records of all batches."""
        return sum(batch.rows_read for batch in self.batches)

    @property
    def accepted_count(self) -> int:
        """Accepted records of all batches."""
        return sum(batch.accepted_count for batch in self.batches)

    @property
    def duplicate_count(self) -> int:
        """Duplicates of all batches."""
        return sum(batch.duplicate_count for batch in self.batches)

    @property
    def rejected_count(self) -> int:
        """Rejected records of all batches."""
        return sum(batch.rejected_count for batch in self.batches)

    @property
    def separate_event_count(self) -> int:
        """Event ids used for events over 35 days apart."""
        return sum(batch.separate_event_count for batch in self.batches)

    @property
    def unreadable(self) -> tuple[BatchResult, ...]:
        """The files that could not be read to their end."""
        return tuple(batch for batch in self.batches if batch.status == "unreadable")


def pending_files(home: Home) -> list[InboxFile]:
    """Files of the inbox that are not read yet, in the order in which ingest will read them.

    Read-only but for the cache of content hashes.
    """
    known = lake.known_batches(home)
    pending: dict[str, InboxFile] = {}
    for file in inbox.look(home).files:
        if file.batch_id not in known:
            pending.setdefault(file.batch_id, file)
    return list(pending.values())


def ingest_inbox(
    home: Home, sources: SourcesDocument | None, as_of: datetime, on_progress: Progress | None = None
) -> IngestReport:
    """Read every new file of the inbox into the lake, one committed batch each, in the order of their names.

    The caller holds the home's lock. An ingest that was killed at any moment is made good by the next one.

    :param sources: the mappings; None or no fitting one: files have the event's own fields.
    :param as_of: the clock, with offset; becomes ingested_at and bounds occurred_at.
    :param on_progress: called with keywords source_file, file_number, file_count, rows_read (of this file).
    """
    if as_of.tzinfo is None:
        raise ValueError("as_of needs an offset")
    clock = as_of.astimezone(UTC)
    lake.ensure_schema(home)
    lake.remove_leftovers(home)
    known = lake.known_batches(home)
    seen = inbox.look(home)
    results: list[BatchResult] = []
    changed: list[str] = []
    cache = KeyCache()
    known_files = 0
    for number, file in enumerate(seen.files, start=1):
        if file.batch_id in known:
            known_files += 1
            continue

        def report(rows_read: int, number: int = number, name: str = file.name) -> None:
            if on_progress is not None:
                on_progress(
                    source_file=name, file_number=number, file_count=len(seen.files), rows_read=rows_read
                )

        plan = plan_for(sources.source_for(file.name) if sources is not None else None)
        try:
            results.append(_ingest_file(home, file, plan, clock, cache=cache, report=report))
        except _ChangedError:
            changed.append(file.name)
            continue
        known.add(file.batch_id)
    return IngestReport(tuple(results), known_files, seen.ignored, tuple(changed))


class _ChangedError(Exception):
    """The file is not what it was when its content was hashed."""


def reader_for(file: InboxFile, plan: Plan) -> Reader[Any]:
    """The reader of a file's format."""
    match file.format:
        case "jsonl":
            return JsonLinesReader(file.path, plan)
        case "csv":
            return CsvReader(file.path, plan)
        case _:
            return ParquetReader(file.path, plan)


def _ingest_file(
    home: Home,
    file: InboxFile,
    plan: Plan,
    as_of: datetime,
    *,
    cache: KeyCache,
    report: Callable[[int], None],
) -> BatchResult:
    with lake.Batch(home, file.batch_id, file.name) as batch:
        if file.broken is not None:
            return _commit_unreadable(batch, file, as_of, file.broken)
        reader = reader_for(file, plan)
        try:
            with Identity(home, batch, cache) as identity:
                blocks = _in_order(reader.blocks(), lambda block: _type_block(reader, block, plan, as_of))
                block_rows = _stage(batch, identity, blocks, plan, report)
                _require_unchanged(file)
                verdict = identity.judge(sum(block_rows))
        except UnreadableError as error:
            _require_unchanged(file)
            return _commit_unreadable(batch, file, as_of, str(error))
        _reject_conflicts(batch, reader, block_rows, verdict.conflicts)
        dropped = rows_marked(pl.concat([verdict.duplicates, verdict.conflicts]), sum(block_rows))
        counts: list[tuple[date, int]] = []
        revisions: list[int] = []
        for event_date in batch.dates:
            kept = _kept(batch, event_date, dropped, revisions)
            rows = batch.write_events(event_date, kept, pl.lit(as_of).cast(INSTANT))
            if rows:
                counts.append((event_date, rows))
        result = BatchResult(
            file.batch_id,
            file.name,
            "committed",
            rows_read=sum(block_rows),
            accepted_count=sum(rows for _, rows in counts),
            duplicate_count=len(verdict.duplicates),
            rejected_count=batch.rejected_count,
            separate_event_count=verdict.separate_event_count,
            max_revision=max(revisions, default=None),
            event_dates=tuple(counts),
        )
        _require_conservation(result)
        batch.commit(_manifest(result, as_of))
        return result


def _commit_unreadable(batch: lake.Batch, file: InboxFile, as_of: datetime, message: str) -> BatchResult:
    result = BatchResult(file.batch_id, file.name, "unreadable", message=message)
    batch.forget()
    batch.commit(_manifest(result, as_of))
    return result


def _require_unchanged(file: InboxFile) -> None:
    try:
        status = file.path.stat()
    except FileNotFoundError as error:
        raise _ChangedError from error
    if (status.st_size, status.st_mtime_ns) != (file.size, file.mtime_ns):
        raise _ChangedError


def _require_conservation(result: BatchResult) -> None:
    parts = result.accepted_count + result.duplicate_count + result.rejected_count
    if parts != result.rows_read:
        raise MeterhouseError(
            f"{result.rows_read} records were read but {parts} accounted for; nothing was committed",
            where=result.source_file,
            remedy="this is a defect of Meterhouse: keep the file and report it",
        )


def _manifest(result: BatchResult, as_of: datetime) -> pl.DataFrame:
    row = {
        "batch_id": result.batch_id,
        "source_file": result.source_file,
        "status": result.status,
        "rows_read": result.rows_read,
        "accepted_count": result.accepted_count,
        "duplicate_count": result.duplicate_count,
        "rejected_count": result.rejected_count,
        "ingested_at": as_of,
        "message": result.message,
        "separate_event_count": result.separate_event_count,
        "max_revision": result.max_revision,
        "event_dates": [{"event_date": day, "event_count": count} for day, count in result.event_dates],
    }
    return pl.DataFrame([row], schema=empty_frame(BATCHES).schema)


@dataclass(frozen=True)
class _Typed:
    """The records of one block: how many, the good ones by position, the rejected ones as they stood."""

    row_count: int
    events: pl.DataFrame
    rejects: pl.DataFrame


def _stage(
    batch: lake.Batch,
    identity: Identity,
    blocks: Iterator[_Typed],
    plan: Plan,
    report: Callable[[int], None],
) -> list[int]:
    """Take all records of a file into staging; the number of records of each block."""
    block_rows: list[int] = []
    rows_read = 0
    for typed in blocks:
        first = rows_read + 1
        events = typed.events.with_columns(source_row=pl.col("position") + first).drop("position")
        if plan.ids_from_row:
            events = events.with_columns(
                event_id=pl.lit(batch.batch_id + "-") + pl.col("source_row").cast(pl.String)
            )
        if events.height:
            identity.add(events)
            batch.stage(events.select(lake.STAGED))
        batch.reject(typed.rejects.with_columns(source_row=pl.col("position") + first).drop("position"))
        block_rows.append(typed.row_count)
        rows_read += typed.row_count
        report(rows_read)
    return block_rows


def _in_order(blocks: Iterator[Block], work: Callable[[Block], _Typed]) -> Iterator[_Typed]:
    """Work on some blocks at once; results in the order of the blocks."""
    with ThreadPoolExecutor(_WORKERS, thread_name_prefix="ingest") as pool:
        waiting: deque[Future[_Typed]] = deque()
        for block in blocks:
            waiting.append(pool.submit(work, block))
            if len(waiting) >= _IN_FLIGHT:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _type_block(reader: Reader[Block], block: Block, plan: Plan, as_of: datetime) -> _Typed:
    cells = reader.cells(block)
    typed = type_cells(cells, as_of, plan.timezone)
    is_good = typed["reason"].is_null()
    positions = pl.int_range(typed.height, dtype=pl.Int64, eager=True)
    bad = positions.filter(~is_good)
    raw = reader.raw(block).texts(bad.to_list()) if len(bad) else []
    rejects = pl.DataFrame(
        {
            "position": bad,
            "reason": typed["reason"].filter(~is_good),
            "raw_record": pl.Series(raw, dtype=pl.String),
        }
    )
    events = typed.drop("reason").filter(is_good) if len(bad) else typed.drop("reason")
    TYPED_EVENTS.validate(events, lazy=True)
    return _Typed(
        typed.height,
        events.with_columns(position=positions.filter(is_good), payload_hash=payload_hash(events)),
        rejects,
    )


def _reject_conflicts(
    batch: lake.Batch, reader: Reader[Block], block_rows: list[int], conflicts: pl.Series
) -> None:
    """Store conflicting records whole: looked up in the file again, since hardly any record is one."""
    if not len(conflicts):
        return
    first = 1
    for block, row_count in zip(reader.blocks(), block_rows, strict=True):
        rows = conflicts.filter(conflicts.is_between(first, first + row_count - 1))
        if len(rows):
            raw = reader.raw(block).texts((rows - first).to_list())
            batch.reject(pl.DataFrame({"source_row": rows, "reason": CONFLICTING, "raw_record": raw}))
        first += row_count


def _kept(
    batch: lake.Batch, event_date: date, dropped: pl.Series, revisions: list[int]
) -> Iterator[pl.DataFrame]:
    for part in batch.parts(event_date):
        kept = part.filter(~dropped.gather(part["source_row"]))
        if kept.height:
            revisions.append(int(kept["revision"].max()))  # type: ignore[arg-type]
            yield kept
