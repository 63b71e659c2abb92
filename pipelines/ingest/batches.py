"""The ingest itself: every new file of the inbox becomes one batch of the lake.

How files are read, values typed, duplicates found and files written does not belong here.
"""

from collections import Counter, deque
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from typing import Any

import polars as pl

from models.events import CONFLICTING, SourcesDocument
from models.frames import BATCHES, INSTANT, TYPED_EVENTS, empty_frame
from pipelines.errors import MeterhouseError
from pipelines.home import Home
from pipelines.ingest.formats import READERS
from pipelines.ingest.formats.reader import Block, Reader, UnopenedError, UnreadableError, blocks_of, opening
from pipelines.ingest.identity import Identity, KeyCache, payload_hash, rows_marked
from pipelines.ingest.mapping import Plan, plan_for
from pipelines.ingest.named import lacking_text
from pipelines.ingest.readings import Reading, is_empty, new_readings
from pipelines.ingest.restate import restate
from pipelines.ingest.sources import inbox
from pipelines.ingest.sources.deliveries import LeftFile, unopened
from pipelines.ingest.sources.inbox import Inbox, InboxFile
from pipelines.ingest.values import type_cells
from pipelines.lake.batches import STAGED, Batch, ensure_lake
from pipelines.lake.commits import Lake, content_of, read_lake
from pipelines.settings import QuietTime

Progress = Callable[..., None]

# Two blocks at a time keep two cores busy; one more waits, so that memory stays bounded.
_WORKERS = 2
_IN_FLIGHT = 3

_WOULD_COUNT_TWICE = (
    "other content was read under this path before, and ids are made from content and row (from_row):"
    " rows that are in both would count twice. Give the records ids of their own (event_id: a column); or"
    " `meterhouse reread` the file, which then takes the place of what it gave; or let new records come"
    " in a file of another name"
)


@dataclass(frozen=True)
class BatchResult:
    """What became of one file.

    :param message: why it is unreadable, or the warnings in one text.
    :param warnings: what to look at, one text each.
    :param reject_reasons: how many records were rejected for which reason, by reason.
    :param replaces: the batch whose place it took.
    :param taken_out_count: records of that batch that it does not say again.
    :param freed: files, with how many of their records were once refused as conflicting with one of these.
    """

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
    reject_reasons: tuple[tuple[str, int], ...] = ()
    warnings: tuple[str, ...] = ()
    replaces: str | None = None
    taken_out_count: int = 0
    freed: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True)
class IngestReport:
    """What one ingest did.

    :param batches: the files read now, in order.
    :param known_files: files of the inbox whose content was read before.
    :param left: what of the inbox was left alone, with the reason; some of it waits for the next run.
    """

    batches: tuple[BatchResult, ...] = ()
    known_files: int = 0
    left: tuple[LeftFile, ...] = ()

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
    def reject_reasons(self) -> dict[str, int]:
        """Rejected records of all batches by reason, the most frequent first."""
        total: Counter[str] = Counter()
        for batch in self.batches:
            total.update(dict(batch.reject_reasons))
        return dict(total.most_common())

    @property
    def separate_event_count(self) -> int:
        """Event ids used for events over 35 days apart."""
        return sum(batch.separate_event_count for batch in self.batches)

    @property
    def unreadable(self) -> tuple[BatchResult, ...]:
        """The files that could not be read to their end."""
        return tuple(batch for batch in self.batches if batch.status == "unreadable")


def pending_files(
    home: Home,
    sources: SourcesDocument | None,
    quiet: QuietTime | None = None,
    *,
    is_patient: bool = True,
) -> list[InboxFile]:
    """Files of the inbox that are to be read, in the order in which ingest will read them.

    Read-only but for the cache of content hashes.

    :param is_patient: those too that nothing reads yet, because they just came or their last line has no end.
    """
    return list(pending(home, sources, quiet, is_patient=is_patient).files)


def pending(
    home: Home,
    sources: SourcesDocument | None,
    quiet: QuietTime | None = None,
    *,
    is_patient: bool = True,
) -> Inbox:
    """The same, with what is left alone."""
    seen = inbox.look(home, quiet, is_patient=is_patient)
    files = [reading.file for reading in new_readings(read_lake(home), seen.files, sources)]
    return Inbox(tuple(file for file in files if is_patient or file.waits is None), seen.left)


def ingest_inbox(
    home: Home,
    sources: SourcesDocument | None,
    as_of: datetime,
    on_progress: Progress | None = None,
    *,
    quiet: QuietTime | None = None,
) -> IngestReport:
    """Read every new file of the inbox into the lake, one committed batch each, in the order of their names.

    The caller holds the home's lock. An ingest that was killed at any moment is made good by the next one.
    Files that just came are waited for, once; what cannot be read is left, and the others go on.

    :param sources: the mappings; None or no fitting one: files have the event's own fields.
    :param as_of: the clock, with offset; becomes ingested_at and bounds occurred_at.
    :param on_progress: called with keywords source_file, file_number, file_count, rows_read (of this file).
    :raises MeterhouseError: the inbox itself cannot be looked into.
    """
    if as_of.tzinfo is None:
        raise ValueError("as_of needs an offset")
    clock = as_of.astimezone(UTC)
    lake = ensure_lake(home)
    seen = inbox.look_when_quiet(home, set(map(content_of, lake.batches)), quiet)
    readings = new_readings(lake, seen.files, sources)
    results: list[BatchResult] = []
    left = list(seen.left)
    cache = KeyCache()
    for number, reading in enumerate(readings, start=1):
        if reading.file.waits is not None:
            left.append(LeftFile(reading.file.name, reading.file.waits, may_count=True))
            continue

        def report(rows_read: int, number: int = number, name: str = reading.file.name) -> None:
            if on_progress is not None:
                on_progress(
                    source_file=name, file_number=number, file_count=len(readings), rows_read=rows_read
                )

        try:
            results.append(ingest_file(lake, reading, clock, cache=cache, report=report))
        except ChangedError:
            left.append(
                LeftFile(
                    reading.file.name, "changed while it was read: the next run reads it", may_count=True
                )
            )
        except UnopenedError as error:
            left.append(unopened(reading.file.name, error))
    return IngestReport(tuple(results), len(seen.files) - len(readings), tuple(left))


class ChangedError(Exception):
    """The file is not what it was when its content was hashed."""


def reader_for(file: InboxFile, plan: Plan) -> Reader[Any]:
    """The reader of a file's format."""
    return READERS[file.format](file.path, plan)


def ingest_file(
    lake: Lake, reading: Reading, as_of: datetime, *, cache: KeyCache, report: Callable[[int], None]
) -> BatchResult:
    """Make one reading and commit it.

    :raises ChangedError: the file is no longer what it was when its content was hashed; nothing is committed.
    :raises UnopenedError: the system refused its content twice (see ``persist``); nothing is committed.
    """
    try:
        return _ingest_file(lake, reading, as_of, cache, report)
    except UnopenedError:
        return _ingest_file(lake, reading, as_of, cache, report)


def _ingest_file(
    lake: Lake, reading: Reading, as_of: datetime, cache: KeyCache, report: Callable[[int], None]
) -> BatchResult:
    file, plan = reading.file, plan_for(reading.mapping)
    with Batch(lake, reading.batch_id, file.name) as batch:
        if refusal := file.broken or _would_count_twice(lake, reading):
            return _commit_unreadable(batch, reading, as_of, refusal)
        reader = reader_for(file, plan)
        try:
            with Identity(lake, batch, cache, reading.replaces) as identity:
                blocks = _in_order(
                    blocks_of(reader), lambda block: _type_block(reader, block, plan, as_of), reader.is_heavy
                )
                block_rows, reasons, seen = _stage(batch, identity, blocks, reading, report)
                warnings = _lacking(reader, plan, seen) if block_rows else ()
                _need_unchanged(file)
                verdict = identity.judge(sum(block_rows))
                shared = identity.shared() if reading.replaces else None
        except UnreadableError as error:
            _need_unchanged(file)
            return _commit_unreadable(batch, reading, as_of, str(error))
        try:
            _reject_conflicts(batch, reader, block_rows, verdict.conflicts)
        except Exception:
            _need_unchanged(file)  # Of other content anything may come.
            raise
        _need_unchanged(file)
        if len(verdict.conflicts):
            reasons[CONFLICTING] += len(verdict.conflicts)
        row_count = sum(block_rows)
        duplicate, conflict = (
            rows_marked(rows, row_count) for rows in (verdict.duplicates, verdict.conflicts)
        )
        counts: list[tuple[date, int]] = []
        revisions: list[int] = []
        for event_date in batch.dates:
            kept = _kept(batch, event_date, duplicate, conflict, revisions)
            rows = batch.write_events(event_date, kept, pl.lit(as_of).cast(INSTANT))
            if rows:
                counts.append((event_date, rows))
        result = BatchResult(
            reading.batch_id,
            file.name,
            "committed",
            rows_read=row_count,
            accepted_count=sum(rows for _, rows in counts),
            duplicate_count=len(verdict.duplicates),
            rejected_count=batch.rejected_count,
            message="; ".join(warnings) or None,
            separate_event_count=verdict.separate_event_count,
            max_revision=max(revisions, default=None),
            event_dates=tuple(counts),
            reject_reasons=tuple(sorted(reasons.items())),
            warnings=warnings,
        )
        _need_conservation(result)
        manifests = _manifest(reading, result, as_of)
        if shared is not None and reading.replaces:
            restated = restate(batch, reading.replaces, shared, as_of)
            manifests = pl.concat([manifests, restated.manifests])
            result = replace(
                result,
                replaces=reading.replaces,
                taken_out_count=restated.taken_out_count,
                freed=restated.freed,
            )
        batch.commit(manifests)
        return result


def _would_count_twice(lake: Lake, reading: Reading) -> str | None:
    """Why other content under a known path is refused where ids are made from rows; None: it is not."""
    if reading.mapping is None or not reading.mapping.ids_from_row:
        return None
    counted = any(
        batch["source_file"] == reading.file.name and batch_id != reading.replaces and not is_empty(batch)
        for batch_id, batch in lake.live.items()
        if content_of(batch_id) != reading.file.batch_id
    )
    return _WOULD_COUNT_TWICE if counted else None


def _commit_unreadable(batch: Batch, reading: Reading, as_of: datetime, message: str) -> BatchResult:
    """:raises MeterhouseError: what it would replace gave something."""
    if reading.replaces and not is_empty(batch.lake.batches[reading.replaces]):
        raise MeterhouseError(
            f"the file cannot be read again: {message}; what it gave before still counts",
            where=f"inbox/{reading.file.name}",
            remedy="fix the file or its mapping in catalog/sources.yml",
        )
    result = BatchResult(reading.batch_id, reading.file.name, "unreadable", message=message)
    batch.forget()
    batch.commit(_manifest(reading, result, as_of))
    return result


def _need_unchanged(file: InboxFile) -> None:
    if not file.is_unchanged():
        raise ChangedError


def _lacking(reader: Reader[Any], plan: Plan, seen: Collection[str]) -> tuple[str, ...]:
    """What to say of fields that the source names and that no record has."""
    lacking = [name for name in plan.named if name not in seen]
    if lacking:
        with opening():
            lacking = reader.lacking(lacking)
    return lacking_text(plan, lacking)


def _need_conservation(result: BatchResult) -> None:
    parts = result.accepted_count + result.duplicate_count + result.rejected_count
    if parts != result.rows_read:
        raise MeterhouseError(
            f"{result.rows_read} records were read but {parts} accounted for; nothing was committed",
            where=result.source_file,
            remedy="this is a defect of Meterhouse: keep the file and report it",
        )


def _manifest(reading: Reading, result: BatchResult, as_of: datetime) -> pl.DataFrame:
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
        "source": reading.source,
        "mapping_hash": reading.mapping_hash,
        "replaces": reading.replaces,
    }
    return pl.DataFrame([row], schema=empty_frame(BATCHES).schema)


@dataclass(frozen=True)
class _Typed:
    """The records of one block: how many, the good ones by position, the rejected ones as they stood.

    :param seen: fields that the source names and that a record has a value for.
    """

    row_count: int
    events: pl.DataFrame
    rejects: pl.DataFrame
    seen: frozenset[str]


def _stage(
    batch: Batch,
    identity: Identity,
    blocks: Iterator[_Typed],
    reading: Reading,
    report: Callable[[int], None],
) -> tuple[list[int], Counter[str], set[str]]:
    """Take all records of a file into staging.

    :return: the number of records of each block, rejects by reason, the named fields that have a value.
    """
    block_rows: list[int] = []
    reasons: Counter[str] = Counter()
    seen: set[str] = set()
    rows_read = 0
    for typed in blocks:
        first = rows_read + 1
        events = typed.events.with_columns(source_row=pl.col("position") + first).drop("position")
        if reading.mapping is not None and reading.mapping.ids_from_row:
            events = events.with_columns(
                event_id=pl.lit(reading.file.batch_id + "-") + pl.col("source_row").cast(pl.String)
            )
        if events.height:
            identity.add(events)
            batch.stage(events.select(STAGED))
        batch.reject(typed.rejects.with_columns(source_row=pl.col("position") + first).drop("position"))
        reasons.update(typed.rejects["reason"].to_list())
        seen |= typed.seen
        block_rows.append(typed.row_count)
        rows_read += typed.row_count
        report(rows_read)
    return block_rows, reasons, seen


def _in_order(
    blocks: Iterator[Block], work: Callable[[Block], _Typed], is_heavy: Callable[[Block], bool]
) -> Iterator[_Typed]:
    """Work on some blocks at once, on a heavy one alone; results in the order of the blocks."""
    with ThreadPoolExecutor(_WORKERS, thread_name_prefix="ingest") as pool:
        waiting: deque[Future[_Typed]] = deque()
        for block in blocks:
            is_alone = is_heavy(block)
            while waiting and is_alone:
                yield waiting.popleft().result()
            waiting.append(pool.submit(work, block))
            del block
            while len(waiting) >= (1 if is_alone else _IN_FLIGHT):
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
        frozenset(name for name in plan.named if name in cells.columns and cells[name].count()),
    )


def _reject_conflicts(
    batch: Batch, reader: Reader[Block], block_rows: list[int], conflicts: pl.Series
) -> None:
    """Store conflicting records whole: looked up in the file again, since hardly any record is one."""
    if not len(conflicts):
        return
    first = 1
    for block, row_count in zip(blocks_of(reader), block_rows, strict=True):
        rows = conflicts.filter(conflicts.is_between(first, first + row_count - 1))
        if len(rows):
            raw = reader.raw(block).texts((rows - first).to_list())
            batch.reject(pl.DataFrame({"source_row": rows, "reason": CONFLICTING, "raw_record": raw}))
        first += row_count


def _kept(
    batch: Batch, event_date: date, duplicate: pl.Series, conflict: pl.Series, revisions: list[int]
) -> Iterator[pl.DataFrame]:
    """The accepted records of a date; duplicates and conflicts are handed to the batch on the way."""
    keys = ("source_row", "event_id", "revision")
    for part in batch.parts(event_date):
        is_duplicate = duplicate.gather(part["source_row"])
        is_conflict = conflict.gather(part["source_row"])
        for kind, marked in (("duplicates", is_duplicate), ("conflicts", is_conflict)):
            if marked.any():
                batch.remember(kind, part.filter(marked).select(keys, event_date=pl.lit(event_date)))
        kept = part.filter(~(is_duplicate | is_conflict))
        if kept.height:
            revisions.append(int(kept["revision"].max()))  # type: ignore[arg-type]
            yield kept
