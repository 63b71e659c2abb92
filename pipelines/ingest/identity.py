"""Which records of a batch are the same event as another: duplicates, conflicts, ids used again after long.

Only records whose event id occurs more than once, in the batch or in the lake near its dates, are looked at.
Where records go afterwards does not belong here.
"""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation
from itertools import groupby
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from models.events import IDENTITY_WINDOW_DAYS
from models.frames import PAYLOAD_COLUMNS, TYPED_EVENTS
from pipelines.ingest import exact
from pipelines.ingest.formats.duckdb_functions import query
from pipelines.lake.batches import Batch
from pipelines.lake.commits import Lake

_WINDOW_US = IDENTITY_WINDOW_DAYS * 86_400_000_000
_MEMORY = "256MB"
# Batches up to this size are looked up through the cache; for larger ones reading the files is cheaper.
_SMALL_BATCH = 200_000
_KEY = ("event_id", "revision")
# Of the lake's files, where any row may be large.
_FEW_ROWS = 512
_KEY_COLUMNS = ("event_id", "revision", "occurred_at", "payload_hash", "source_row")
_COMPARED = tuple(name for name in PAYLOAD_COLUMNS if name not in {"occurred_at", "properties"})


_TEXTS = tuple(name for name in PAYLOAD_COLUMNS if TYPED_EVENTS.columns[name].dtype.type == pl.String)
_SEPARATOR, _ESCAPE = "\x1f", "\x1e"


def payload_hash(events: pl.DataFrame) -> pl.Series:
    """MD5 of what the sender says, the key aside: equal for equal payloads with properties written alike."""
    fields = [
        pl.col(name).dt.epoch("us").cast(pl.String) if name == "occurred_at" else pl.col(name).cast(pl.String)
        for name in PAYLOAD_COLUMNS
    ]
    if any(events[name].str.contains(f"[{_SEPARATOR}{_ESCAPE}]").any() for name in _TEXTS):
        fields = [
            field.str.replace_all(_ESCAPE, f"{_ESCAPE}0", literal=True).str.replace_all(
                _SEPARATOR, f"{_ESCAPE}1", literal=True
            )
            for field in fields
        ]
    joined = pl.concat_str([field.fill_null("") for field in fields], separator=_SEPARATOR)
    return query("select md5(line) as hash from given", events.select(joined.alias("line"))["line"])["hash"]


@dataclass(frozen=True)
class Verdict:
    """What identity says about a batch.

    :param duplicates: source rows that say again what is known.
    :param conflicts: source rows that say something else about a known event_id and revision.
    :param separate_event_count: event ids used for events over 35 days apart, as far as the batch and the
        lake near its dates show.
    """

    duplicates: pl.Series
    conflicts: pl.Series
    separate_event_count: int


def rows_marked(rows: pl.Series, row_count: int) -> pl.Series:
    """True at the source rows given, by source row; one bit each, however many they are."""
    marks = pl.repeat(False, row_count + 1, dtype=pl.Boolean, eager=True)
    return marks.scatter(rows, True) if len(rows) else marks


class KeyCache:
    """Which event files may hold one of some ids, remembered while an ingest lasts.

    A home that gets many small files would otherwise open the same event files again for each of them. Only
    hashes are held: a hit is looked up in the file itself. Large files, and what exceeds the memory for
    hashes, always count as hits.
    """

    _FILE_ROWS, _HELD_ROWS = 200_000, 8_000_000

    def __init__(self) -> None:
        self._numbers: dict[Path, int | None] = {}
        self._held = pl.DataFrame(schema={"hash": pl.UInt64, "file_number": pl.UInt32})

    def may_hold(self, files: list[Path], event_ids: pl.Series) -> list[Path]:
        """Those of the files in which one of the ids may occur."""
        self._read([path for path in files if path not in self._numbers])
        wanted = event_ids.hash().unique().implode()
        hits = set(self._held.filter(pl.col("hash").is_in(wanted))["file_number"].unique())
        return [path for path in files if (number := self._numbers[path]) is None or number in hits]

    def _read(self, files: list[Path]) -> None:
        pieces = [self._held]
        held_rows = self._held.height
        for path in files:
            rows = pq.read_metadata(path).num_rows
            if rows > self._FILE_ROWS or held_rows + rows > self._HELD_ROWS:
                self._numbers[path] = None
                continue
            number = self._numbers[path] = len(self._numbers)
            ids = pl.read_parquet(path, columns=["event_id"])["event_id"]
            pieces.append(
                pl.DataFrame({"hash": ids.hash()}).with_columns(file_number=pl.lit(number, pl.UInt32))
            )
            held_rows += rows
        if len(pieces) > 1:
            self._held = pl.concat(pieces)


class Identity:
    """Collects the keys of a batch, then judges it. Spills to the batch's folder when memory runs short.

    A batch that replaces another is judged as if that one were absent. What other batches said again after
    it is theirs then, unless the new batch says the same.
    """

    def __init__(self, lake: Lake, batch: Batch, cache: KeyCache, replaces: str | None = None) -> None:
        self._lake, self._batch, self._cache = lake, batch, cache
        self._replaces = replaces
        self._ids: list[pl.Series] | None = []
        self._id_count = 0
        self._engine = duckdb.connect(
            config={"memory_limit": _MEMORY, "threads": 2, "temp_directory": str(batch.folder / "spill")}
        )
        self._engine.execute("set timezone = 'UTC'; set preserve_insertion_order = false")
        self._engine.execute("create table keys (key ubigint, source_row bigint)")
        absent = sorted(lake.replaced | ({replaces} if replaces else set()))
        self._engine.execute("create table absent as select unnest(?::varchar[]) as batch_id", [absent])
        self._counts = "batch_id not in (from absent)" if absent else "true"
        if replaces:
            self._share(replaces)

    def __enter__(self) -> "Identity":
        return self

    def __exit__(self, *_: object) -> None:
        self._engine.close()

    def _share(self, replaces: str) -> None:
        """Records of the replaced batch that other batches said again: of these the lake has them still."""
        self._engine.execute("create table shared (event_id varchar, revision bigint, event_date date)")
        files = [
            self._lake.path(file)
            for file in self._lake.files.values()
            if file.kind == "duplicates" and set(file.batch_ids) - {replaces}
        ]
        mine = [self._lake.path(file) for file in self._lake.files_of("events", replaces)]
        if not files or not mine:
            return
        self._engine.execute(f"""
            insert into shared
            select distinct event_id, revision, event_date
            from read_parquet({_sql_list(files)}, hive_partitioning = false)
            where batch_id not in (from absent)
            intersect
            select event_id, revision, timezone('UTC', occurred_at)::date
            from read_parquet({_sql_list(mine)}, hive_partitioning = false)
            where batch_id = '{replaces}'
        """)
        self._counts = (
            f"({self._counts} or (batch_id = '{replaces}'"
            " and (event_id, revision, timezone('UTC', occurred_at)::date) in (from shared)))"
        )

    def add(self, events: pl.DataFrame) -> None:
        """Take the event ids of staged records."""
        with _given(self._engine, events.select("event_id", "source_row")):
            self._engine.execute("insert into keys select hash(event_id), source_row from given")
        if self._ids is not None:
            self._ids.append(events["event_id"])
            self._id_count += events.height
            if self._id_count > _SMALL_BATCH:
                self._ids = None

    def judge(self, row_count: int) -> Verdict:
        """Duplicates and conflicts, in the order of the file: the first record of a key wins.

        :param row_count: records of the file, good and bad.
        """
        self._collect_lake_rows()
        self._engine.execute("""
            create table candidates as
            select key from keys group by key having count(*) > 1
            union
            select hash(event_id) from lake_rows
        """)
        if not self._count("candidates"):
            empty = pl.Series([], dtype=pl.Int64)
            return Verdict(empty, empty, 0)
        self._collect_batch_rows(row_count)
        # Equal hashes are equal payloads, so equal instants. Unequal ones may still be equal: properties are
        # hashed as they were written, and only these few are worth reading as JSON.
        self._engine.execute("""
            create table keyed as
            select event_id, revision, count(*) as row_count, count(distinct payload_hash) as payload_count,
                min(source_row) as first_row, bool_or(source_row is null) as is_in_lake
            from (from batch_rows union all by name from lake_rows)
            group by event_id, revision
            having row_count > 1 and bool_or(source_row is not null)
        """)
        self._engine.execute("""
            create table verdicts as
            select source_row, true as is_duplicate
            from batch_rows join keyed using (event_id, revision)
            where payload_count = 1 and (is_in_lake or source_row <> first_row)
        """)
        if self._engine.execute("select 1 from keyed where payload_count > 1 limit 1").fetchone():
            self._judge_unequal()
        separate = self._engine.execute(f"""
            select count(*) from (
                select event_id
                from (from batch_rows anti join verdicts using (source_row) union all by name from lake_rows)
                group by event_id
                having max(instant_us) - min(instant_us) > {_WINDOW_US} and bool_or(source_row is not null)
            )
        """).fetchone()
        if self._replaces:
            self._keep_shared()
        return Verdict(
            self._rows("is_duplicate"), self._rows("not is_duplicate"), separate[0] if separate else 0
        )

    def _keep_shared(self) -> None:
        """What others said again after the replaced batch stays the new one's own if it says it, too."""
        self._engine.execute("""
            delete from verdicts where is_duplicate and source_row in (
                select min(source_row)
                from batch_rows
                semi join (from verdicts where is_duplicate) as duplicates using (source_row)
                semi join shared
                    on batch_rows.event_id = shared.event_id
                    and batch_rows.revision = shared.revision
                    and make_timestamp(batch_rows.instant_us)::date = shared.event_date
                group by event_id, revision, make_timestamp(instant_us)::date
            )
        """)

    def shared(self) -> pl.DataFrame:
        """Records of the replaced batch that other batches said again: event_id, revision, event_date."""
        return pl.DataFrame(self._engine.execute("from shared").to_arrow_table())

    def _collect_lake_rows(self) -> None:
        files = self._lake.event_files(_near(self._batch.dates))
        if self._ids is not None:
            files = self._cache.may_hold(files, pl.concat(self._ids)) if self._ids else []
        columns = (
            "event_id, revision, epoch_us(occurred_at) as instant_us, payload_hash, "
            "null::bigint as source_row"
        )
        if not files:
            self._engine.execute(f"""
                create table lake_rows as select {columns}, '' as filename
                from (select '' as event_id, 0::bigint as revision, now() as occurred_at, '' as payload_hash)
                limit 0
            """)
            return
        self._engine.execute(
            f"""
            create table lake_rows as select {columns}, filename
            from read_parquet({_sql_list(files)}, filename = true, hive_partitioning = false)
            where hash(event_id) in (select key from keys) and {self._counts}
            """
        )

    def _collect_batch_rows(self, row_count: int) -> None:
        self._engine.execute("""
            create table batch_rows
            (event_id varchar, revision bigint, instant_us bigint, payload_hash varchar, source_row bigint)
        """)
        table = self._engine.execute(
            "select source_row from keys semi join candidates using (key)"
        ).to_arrow_table()
        candidates = rows_marked(pl.DataFrame(table)["source_row"], row_count)
        for event_date in self._batch.dates:
            for part in self._batch.parts(event_date, _KEY_COLUMNS):
                rows = part.filter(candidates.gather(part["source_row"]))
                if rows.height:
                    with _given(self._engine, rows):
                        self._engine.execute("""
                            insert into batch_rows
                            select event_id, revision, epoch_us(occurred_at), payload_hash, source_row
                            from given
                        """)

    def _judge_unequal(self) -> None:
        """Keys with several payloads, one by one in order, compared by value."""
        unequal = self._engine.execute("select event_id, revision from keyed where payload_count > 1")
        self._collect_payloads(pl.DataFrame(unequal.to_arrow_table()))
        found: list[tuple[int, bool]] = []
        for rows in self._payload_groups():
            known: list[_Known] = []
            for row in rows:
                near = [other for other in known if abs(other.at - row.at) <= _WINDOW_US]
                if row.source_row is not None and near:
                    found.append((row.source_row, any(other.says_the_same(row) for other in near)))
                else:
                    known.append(row)
        with _given(self._engine, pl.DataFrame(found, schema=["source_row", "is_duplicate"], orient="row")):
            self._engine.execute("insert into verdicts select source_row, is_duplicate from given")

    def _collect_payloads(self, unequal: pl.DataFrame) -> None:
        """What records of these keys say, as hashes: they may be large and many."""
        self._engine.execute("""
            create table payloads
            (event_id varchar, revision bigint, instant_us bigint, source_row bigint, payload varchar)
        """)
        for event_date in self._batch.dates:
            for part in self._batch.parts(event_date, [*PAYLOAD_COLUMNS, *_KEY, "source_row"]):
                self._add_payloads(part.join(unequal, on=_KEY, how="semi", maintain_order="left"))
        with _given(self._engine, unequal):
            files = self._engine.execute(
                "select distinct filename from lake_rows semi join given using (event_id, revision)"
            ).fetchall()
        for (name,) in files:
            with pq.ParquetFile(name) as file:
                for batch in file.iter_batches(_FEW_ROWS, columns=[*PAYLOAD_COLUMNS, *_KEY, "batch_id"]):
                    rows = pl.DataFrame(pa.Table.from_batches([batch])).join(unequal, on=_KEY, how="semi")
                    if rows.height:
                        with _given(self._engine, rows):
                            counting = self._engine.execute(
                                f"select *, null::bigint as source_row from given where {self._counts}"
                            ).to_arrow_table()
                        self._add_payloads(pl.DataFrame(counting))

    def _add_payloads(self, rows: pl.DataFrame) -> None:
        if not rows.height:
            return
        compared = rows.select(pl.col(name).cast(pl.String) for name in _COMPARED).iter_rows()
        digests = [_digest(fields, text) for fields, text in zip(compared, rows["properties"], strict=True)]
        payloads = rows.select(
            *_KEY, pl.col("occurred_at").dt.epoch("us"), "source_row", payload=pl.Series(digests)
        )
        with _given(self._engine, payloads):
            self._engine.execute("insert into payloads from given")

    def _payload_groups(self) -> Iterator[Iterator["_Known"]]:
        cursor = self._engine.cursor()
        cursor.execute("""
            select event_id, revision, instant_us, source_row, payload
            from payloads order by event_id, revision, source_row nulls first, instant_us
        """)

        def rows() -> Iterator[tuple[Any, ...]]:
            while piece := cursor.fetchmany(10_000):
                yield from piece

        for _, group in groupby(rows(), key=lambda row: row[:2]):
            yield (_Known(*row[2:]) for row in group)

    def _rows(self, condition: str) -> pl.Series:
        table = self._engine.execute(
            f"select source_row from verdicts where {condition} order by 1"
        ).to_arrow_table()
        return pl.DataFrame(table)["source_row"]

    def _count(self, table: str) -> int:
        row = self._engine.execute(f"select count(*) from {table}").fetchone()
        assert row is not None
        return int(row[0])


def _sql_list(files: Iterable[object]) -> str:
    """Spelled out: as a parameter, DuckDB looks for pandas once per element."""
    return "[" + ", ".join("'" + str(name).replace("'", "''") + "'" for name in files) + "]"


@dataclass(frozen=True)
class _Known:
    """A record of one key; ``source_row`` is None for one that the lake has."""

    at: int
    source_row: int | None
    payload: str

    def says_the_same(self, other: "_Known") -> bool:
        return (self.at, self.payload) == (other.at, other.payload)


def _digest(fields: tuple[str | None, ...], properties: str) -> str:
    """Equal for what says the same; of fields other than the key and the instant."""
    text = "[" + ",".join(exact.dump(field) for field in fields) + "]" + canonical(properties)
    return hashlib.sha256(text.encode()).hexdigest()


def canonical(text: str) -> str:
    """A JSON text, equal for all that say the same, in any key order, numbers by exact value."""
    return exact.dump(_comparable(exact.parse(text)))


def _comparable(value: object) -> object:
    match value:
        case exact.Number():
            return _plain_number(value)
        case dict():
            return {key: _comparable(value[key]) for key in sorted(value)}
        case list():
            return [_comparable(item) for item in value]
        case _:
            return value


def _plain_number(text: exact.Number) -> exact.Number:
    try:
        sign, digits, exponent = Decimal(text).as_tuple()
    except InvalidOperation:
        # An exponent beyond what decimals have: only what is written alike is known to be equal.
        return text
    assert isinstance(exponent, int)
    whole = "".join(map(str, digits)).lstrip("0")
    short = whole.rstrip("0")
    if not short:
        return exact.Number("0")
    return exact.Number(f"{'-' * sign}{short}e{exponent + len(whole) - len(short)}")


def _near(dates: list[date]) -> set[date]:
    """Every date on which a record may be the same event as one of these dates."""
    reach = range(-IDENTITY_WINDOW_DAYS - 1, IDENTITY_WINDOW_DAYS + 2)
    first, last = date.min.toordinal(), date.max.toordinal()
    return {
        date.fromordinal(day.toordinal() + step)
        for day in dates
        for step in reach
        if first <= day.toordinal() + step <= last
    }


class _given:
    """A frame under the name ``given`` for the statements inside."""

    def __init__(self, engine: duckdb.DuckDBPyConnection, frame: pl.DataFrame) -> None:
        self._engine, self._frame = engine, frame

    def __enter__(self) -> None:
        self._engine.register("given", self._frame.to_arrow())

    def __exit__(self, *_: object) -> None:
        self._engine.unregister("given")
