"""What becomes of other batches when a reading takes the place of one: what they said again is theirs then.

Judging the reading itself does not belong here.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

from models.frames import BATCHES, empty_frame
from pipelines.errors import MeterhouseError
from pipelines.files import matching
from pipelines.ingest.readings import next_id
from pipelines.lake.batches import Batch
from pipelines.lake.commits import Lake, LakeFile, content_of

_KEY = "event_id, revision, event_date"
_DATED = "event_id, revision, timezone('UTC', occurred_at)::date as event_date"
_MEMORY = "512MB"


class NoIndexError(MeterhouseError):
    """Batches, by id, of which it is not kept what they said again."""

    def __init__(self, lake: Lake, batch_ids: Iterable[str]) -> None:
        self.batch_ids = tuple(batch_ids)
        names = ", ".join(str(lake.batches[batch_id]["source_file"]) for batch_id in self.batch_ids)
        super().__init__(
            f"which records these files said again is not kept: {names}; nothing was taken out",
            where="inbox/",
            remedy="reread these files first, with the mapping that they were read with",
        )


@dataclass(frozen=True)
class Restated:
    """Manifest rows of the readings that take the places of other batches, and what there is to tell.

    :param taken_out_count: records of the replaced batch that the new one does not say.
    :param freed: source files, with how many of their records were refused as conflicting with one of these.
    """

    manifests: pl.DataFrame
    taken_out_count: int
    freed: tuple[tuple[str, int], ...]


def restate(batch: Batch, replaces: str, shared: pl.DataFrame, as_of: datetime) -> Restated:
    """Write into the batch's commit what other batches hold once the replaced one does not count.

    :param batch: the new reading; its events are written aside.
    :param shared: records of the replaced batch that others said again: event_id, revision, event_date.
    :raises NoIndexError: something is taken out, and it is not known whether some batches said it, too.
    """
    lake = batch.lake
    manifests = empty_frame(BATCHES)
    with duckdb.connect(
        config={"memory_limit": _MEMORY, "threads": 2, "temp_directory": str(batch.folder / "spill")}
    ) as engine:
        engine.execute("set timezone = 'UTC'")
        engine.register("shared", shared.to_arrow())
        _create(engine, "mine", "events", [lake.path(file) for file in lake.files_of("events", replaces)])
        _create(engine, "said", "events", matching(batch.folder, "events-*.parquet"))
        engine.execute(f"""
            create table taken_out as
            select {_DATED} from mine where batch_id = '{replaces}'
            except select {_DATED} from said
        """)
        taken_out = _count(engine, "taken_out")
        if taken_out and (unknown := _without_index(lake, replaces)):
            raise NoIndexError(lake, unknown)
        engine.execute(f"""
            create table orphans as
            select {_KEY} from shared except select {_DATED} from said
        """)
        live = [batch_id for batch_id in lake.live if batch_id != replaces]
        engine.execute(
            "create table live as select unnest(?::varchar[]) as batch_id, unnest(range(?)) as place",
            [live, len(live)],
        )
        freed = _freed(engine, lake)
        if _count(engine, "orphans"):
            _create(engine, "again", "duplicates", _paths(lake, "duplicates"))
            engine.execute(f"""
                create table heirs as
                select batch_id, source_file, source_row, {_KEY}
                from again join live using (batch_id) join orphans using ({_KEY})
                qualify row_number() over (partition by {_KEY} order by place, source_row) = 1
            """)
            heirs = engine.execute("select distinct batch_id from heirs order by 1").fetchall()
            rows = [_inherit(engine, batch, heir, replaces, as_of) for (heir,) in heirs]
            manifests = pl.DataFrame(rows, schema=manifests.schema)
    return Restated(manifests, taken_out, freed)


def _inherit(
    engine: duckdb.DuckDBPyConnection, batch: Batch, heir: str, replaces: str, as_of: datetime
) -> dict[str, Any]:
    """A batch read once more without its file: with what it had said again, which is its own now."""
    lake = batch.lake
    was = lake.batches[heir]
    batch_id = next_id(lake, content_of(heir))
    counts: dict[date, int] = {day["event_date"]: day["event_count"] for day in was["event_dates"]}
    inherited = engine.execute(
        "select event_date, count(*), max(revision) from heirs where batch_id = ? group by 1", [heir]
    ).fetchall()
    files: dict[date, list[Path]] = defaultdict(list)
    for file in lake.files_of("events", heir):
        if file.event_date is not None:
            files[file.event_date].append(lake.path(file))
    for day, count, _ in inherited:
        counts[day] = counts.get(day, 0) + count
    for day, count in sorted(counts.items()):
        _create(engine, "own", "events", files[day])
        written = batch.folder / f"inherited-{batch_id}-{day.isoformat()}.parquet"
        engine.execute(f"""
            copy (
                select * replace ('{batch_id}' as batch_id) from own where batch_id = '{heir}'
                union all by name
                select mine.* replace (
                    '{batch_id}' as batch_id,
                    heirs.source_file as source_file,
                    heirs.source_row as source_row,
                    cast('{as_of.isoformat()}' as timestamp with time zone) as ingested_at
                )
                from mine join heirs
                    on mine.event_id = heirs.event_id
                    and mine.revision = heirs.revision
                    and timezone('UTC', mine.occurred_at)::date = heirs.event_date
                where
                    mine.batch_id = '{replaces}'
                    and heirs.batch_id = '{heir}'
                    and heirs.event_date = '{day.isoformat()}'
                order by source_row
            ) to '{_text(written)}' (format parquet, compression zstd)
        """)
        batch.add_file(written, "events", count, batch_id, day)
    for kind in ("rejects", "duplicates", "conflicts"):
        _copy(engine, batch, heir, batch_id, kind)
    moved = sum(count for _, count, _ in inherited)
    highest = [revision for _, _, revision in inherited]
    return {
        **was,
        "batch_id": batch_id,
        "accepted_count": was["accepted_count"] + moved,
        "duplicate_count": was["duplicate_count"] - moved,
        "ingested_at": as_of,
        "max_revision": max([*highest, was["max_revision"] or 0]),
        "event_dates": [{"event_date": day, "event_count": count} for day, count in sorted(counts.items())],
        "replaces": heir,
    }


def _copy(engine: duckdb.DuckDBPyConnection, batch: Batch, heir: str, batch_id: str, kind: str) -> None:
    paths = [batch.lake.path(file) for file in batch.lake.files_of(kind, heir)]
    if not paths:
        return
    _create(engine, "own", kind, paths)
    inherited = f"(select source_row from heirs where batch_id = '{heir}')"
    condition = f"and source_row not in {inherited}" if kind == "duplicates" else ""
    written = batch.folder / f"inherited-{batch_id}-{kind}.parquet"
    engine.execute(f"""
        copy (
            select * replace ('{batch_id}' as batch_id) from own where batch_id = '{heir}' {condition}
        ) to '{_text(written)}' (format parquet, compression zstd)
    """)
    rows = engine.execute(f"select count(*) from own where batch_id = '{heir}' {condition}").fetchone()
    if rows and rows[0]:
        batch.add_file(written, kind, rows[0], batch_id)


def _freed(engine: duckdb.DuckDBPyConnection, lake: Lake) -> tuple[tuple[str, int], ...]:
    _create(engine, "refused", "conflicts", _paths(lake, "conflicts"))
    return tuple(
        engine.execute(f"""
            select source_file, count(*)
            from refused semi join live using (batch_id) semi join taken_out using ({_KEY})
            group by 1 order by 1
        """).fetchall()
    )


def _without_index(lake: Lake, replaces: str) -> list[str]:
    indexed = {
        batch_id for file in lake.files.values() if file.kind == "duplicates" for batch_id in file.batch_ids
    }
    return [
        batch_id
        for batch_id, batch in lake.live.items()
        if batch["duplicate_count"] and batch_id not in indexed and batch_id != replaces
    ]


def _paths(lake: Lake, kind: str) -> list[Path]:
    files: list[LakeFile] = [file for file in lake.files.values() if file.kind == kind]
    return [lake.path(file) for file in files]


_EMPTY = {
    "events": (
        "(select null::varchar as event_id, null::bigint as revision, null::timestamptz as occurred_at,"
        " null::varchar as batch_id limit 0)"
    ),
    "duplicates": (
        "(select null::varchar as batch_id, null::varchar as source_file, null::bigint as source_row,"
        " null::varchar as event_id, null::bigint as revision, null::date as event_date limit 0)"
    ),
}
_EMPTY["conflicts"] = _EMPTY["duplicates"]


def _create(engine: duckdb.DuckDBPyConnection, name: str, kind: str, files: list[Path]) -> None:
    listed = ", ".join(f"'{_text(file)}'" for file in files)
    source = f"read_parquet([{listed}], hive_partitioning = false)" if files else _EMPTY[kind]
    engine.execute(f"create or replace view {name} as from {source}")


def _text(path: Path) -> str:
    return str(path).replace("'", "''")


def _count(engine: duckdb.DuckDBPyConnection, table: str) -> int:
    row = engine.execute(f"select count(*) from {table}").fetchone()
    assert row is not None
    return int(row[0])
