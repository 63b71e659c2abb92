"""The lake proves itself: whatever happens to one of its files is found, named, and has a remedy."""

import os
import random
import shutil
from collections.abc import Callable
from datetime import date
from pathlib import Path

import duckdb
import polars as pl
import pytest
from ingest_homes import AS_OF, event, events, ingest, lines, put
from parsed import parsed_home  # noqa: F401

from models.frames import BATCHES, empty_frame
from pipelines.home import Home
from pipelines.ingest import ensure_lake, reread_files
from pipelines.lake.commits import LakeError, Staging, read_lake
from pipelines.lake.documents import commit_documents
from pipelines.lake.places import commit_file
from pipelines.lake.proof import find_damages, need_whole, strangers
from pipelines.ledger import open_ledger
from pipelines.ledger.lake_heads import record_head
from pipelines.maintenance.lake_check import check_lake, set_strangers_aside

FLIPS = 300


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Home:
    """A lake with every kind of file, and a ledger that knows its last commit."""
    home = Home(tmp_path_factory.mktemp("whole") / "home").ensure()
    first = [event(f"e{i}", occurred_at=f"2025-05-0{i % 3 + 1}T10:00:00Z") for i in range(30)]
    put(home, "a.jsonl", lines(*first, first[0], "broken"))
    put(home, "b.jsonl", lines(event("e1", quantity="9"), event("f1")))
    ingest(home)
    for name in ("catalog/v1/plans", "accounts/v1/customers", "prices/p1/rows", "prices/p1/list"):
        path = home.lake / f"{name}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pl.DataFrame({"plan_id": ["a", "b"]}).write_parquet(path)
    lake = ensure_lake(home)
    commit_documents(lake)
    with open_ledger(home, "") as ledger:
        record_head(ledger, lake)
    return home


@pytest.fixture
def home(whole, tmp_path) -> Home:
    return Home(Path(shutil.copytree(whole.root, tmp_path / "home")))


def listed(home: Home) -> list[Path]:
    lake = read_lake(home)
    return [*(lake.path(file) for file in lake.files.values()), *home.lake.glob("commits/*.parquet")]


def test_a_whole_lake_has_no_damages(whole):
    found = check_lake(whole)
    assert (found.damages, found.strangers) == ((), ())
    assert found.file_count == len(read_lake(whole).files) > 8
    need_whole(whole)


def test_every_flipped_bit_is_found(home):
    chance = random.Random(1)
    files = listed(home)
    missed = []
    for _ in range(FLIPS):
        file = chance.choice(files)
        content = file.read_bytes()
        place = chance.randrange(len(content))
        flipped = content[:place] + bytes([content[place] ^ 1 << chance.randrange(8)]) + content[place + 1 :]
        file.write_bytes(flipped)
        if not check_lake(home).damages:
            missed.append((file, place))
        file.write_bytes(content)
    assert missed == []
    assert not check_lake(home).damages


def truncate(file: Path) -> None:
    os.truncate(file, file.stat().st_size - 1)


def empty(file: Path) -> None:
    file.write_bytes(b"")


def remove(file: Path) -> None:
    file.unlink()


def lead_out(file: Path) -> None:
    target = file.parents[4] / f"outside-{file.name}"
    shutil.move(file, target)
    file.symlink_to(target)


def exchange(file: Path) -> None:
    """Another valid file of the same kind."""
    pl.read_parquet(file, hive_partitioning=False).head(0).write_parquet(file)


@pytest.mark.parametrize("damage", [truncate, empty, remove, lead_out, exchange])
@pytest.mark.parametrize("folder", ["events", "rejects", "duplicates", "conflicts", "catalog", "prices"])
def test_damages_of_a_file_are_found_and_named(home, folder, damage: Callable[[Path], None]):
    file = next(path for path in listed(home) if path.relative_to(home.lake).parts[0] == folder)
    damage(file)
    [found] = check_lake(home).damages
    assert found.file == file.relative_to(home.lake).as_posix()
    assert found.remedy
    with pytest.raises(LakeError, match="damaged"):
        need_whole(home)
    if folder == "events":
        assert set(found.batches) <= {"a.jsonl", "b.jsonl"}
        assert f"reread {found.batches[0]}" in found.remedy


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_commit_that_is_missing_or_another_is_found_also_the_last(home, number):
    assert len(list(home.lake.glob("commits/*.parquet"))) == 3
    file = commit_file(home, number)
    content = file.read_bytes()
    file.unlink()
    [found] = check_lake(home).damages
    assert f"commit {number} is missing" in found.what
    assert found.file == f"commits/{number}.parquet"
    file.write_bytes(content)
    frame = pl.read_parquet(file)
    frame.with_columns(removed=pl.lit(["events/none"])).write_parquet(file)
    [found] = check_lake(home).damages
    assert found.file.startswith("commits/")


def test_a_run_refuses_a_lake_that_lacks_what_the_warehouse_was_built_from(home):
    head = read_lake(home).head
    with duckdb.connect(str(home.warehouse_file)) as warehouse:
        warehouse.execute(f"create table int_build_scope as select '{head}' as lake_head")
    ensure_lake(home)
    commit_file(home, 3).unlink()
    with pytest.raises(LakeError, match="commit 3 is missing: the warehouse was made from it"):
        ensure_lake(home)
    # Nothing was read a second time.
    assert len(read_lake(home).batches) == 2


def test_foreign_files_are_told_never_read_and_set_aside_on_request(home):
    day = next(home.lake.glob("events/event_date=*"))
    foreign = [day / "copy.parquet", home.lake / "rejects/x.txt", home.lake / "commits/1 (copy).parquet"]
    shutil.copy(next(day.glob("*.parquet")), foreign[0])
    foreign[1].write_text("?")
    shutil.copy(commit_file(home, 1), foreign[2])
    before = events(home)
    names = sorted(path.relative_to(home.lake).as_posix() for path in foreign)
    assert strangers(home) == names
    assert not check_lake(home).damages
    put(home, "c.jsonl", lines(event("later")))
    ingest(home)
    assert [row for row in events(home) if row["event_id"] != "later"] == before
    assert strangers(home) == names
    assert set_strangers_aside(home) == names
    assert strangers(home) == []
    assert all((home.lake / ".aside" / name).is_file() for name in names)


def test_two_writers_cannot_make_one_commit(home):
    lake, other = read_lake(home), read_lake(home)
    manifest = empty_frame(BATCHES)
    with Staging(home) as staging:
        staging.commit(lake, manifest)
    with Staging(home) as staging, pytest.raises(LakeError, match="another process"):
        staging.commit(other, manifest)
    assert read_lake(home).head == lake.head


# --- homes begun before there were commits


@pytest.fixture
def old(tmp_path) -> Home:
    """A home as version 0.1 left it: a manifest per batch, files named like their batches."""
    home = Home(tmp_path / "old").ensure()
    records = [event(f"e{i}", occurred_at=f"2025-05-0{i % 2 + 1}T10:00:00Z") for i in range(4)]
    put(home, "a.jsonl", lines(*records, "broken"))
    ingest(home)
    lake = read_lake(home)
    [batch] = lake.batches.values()
    for file in lake.files.values():
        lake.path(file).rename(lake.path(file).with_name(f"{batch['batch_id']}.parquet"))
    folder = home.lake / "batches"
    folder.mkdir()
    added = ("source", "mapping_hash", "replaces")
    row = pl.DataFrame([dict(batch)], schema=empty_frame(BATCHES).schema).drop(added)
    row.write_parquet(folder / f"{batch['batch_id']}.parquet")
    shutil.rmtree(home.lake / "commits")
    return home


def test_manifests_become_the_first_commit(old):
    before = read_lake(old)
    assert before.head is None
    assert not find_damages(old)
    rows = events(old)
    assert ingest(old).batches == ()
    lake = read_lake(old)
    assert lake.head.number == 1
    assert all(file.sha256 for file in lake.files.values())
    assert events(old) == rows
    # The next run removes the manifests, which nothing reads any more.
    ingest(old)
    assert not list(old.lake.glob("batches/*"))
    assert not check_lake(old).damages
    assert strangers(old) == []


def test_an_old_home_whose_counts_disagree_is_refused(old):
    exchange(next(old.lake.glob("events/*/*.parquet")))
    [found] = find_damages(old)
    assert "0 rows instead of 2" in found.what
    with pytest.raises(LakeError, match="0 rows instead of 2"):
        ingest(old)
    assert not list(old.lake.glob("commits/*"))


def test_a_batch_whose_duplicates_have_no_original_is_told_and_healed(old):
    """As after an error in the commit of a version before: half of the files shown, and read as originals."""
    [manifest] = old.lake.glob("batches/*.parquet")
    frame = pl.read_parquet(manifest)
    _, lost = sorted(old.lake.glob("events/*/*.parquet"))
    frame.with_columns(
        accepted_count=pl.lit(2, pl.Int64),
        duplicate_count=pl.lit(2, pl.Int64),
        event_dates=pl.Series(
            [[{"event_date": date(2025, 5, 1), "event_count": 2}]],
            dtype=frame.schema["event_dates"],
        ),
    ).write_parquet(manifest)
    [found] = check_lake(old).damages
    assert found.file == lost.relative_to(old.lake).as_posix()
    assert "duplicates of themselves" in found.what
    assert "reread a.jsonl" in found.remedy
    ingest(old)
    assert [found.file for found in check_lake(old).damages] == [lost.relative_to(old.lake).as_posix()]
    [result] = reread_files(old, ["a.jsonl"], None, AS_OF)
    assert (result.accepted_count, result.duplicate_count, result.taken_out_count) == (4, 0, 0)
    assert len(events(old)) == 4
    assert set_strangers_aside(old) == [lost.relative_to(old.lake).as_posix()]
    assert not check_lake(old).damages
