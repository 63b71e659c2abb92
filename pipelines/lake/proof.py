"""Proof that a lake is whole: every file against size and sum in its commit, and what no commit names.

Whether rows add up (``pipelines.lake.checks``) and exports of the ledger are true does not belong here.
"""

import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.files import below
from pipelines.home import Home
from pipelines.lake.commits import (
    Head,
    Lake,
    LakeError,
    LakeFile,
    commit_numbers,
    need_head,
    read_lake,
    sum_of,
)
from pipelines.lake.documents import KINDS
from pipelines.lake.places import aside_folder

PROVEN = ("commits", "events", "rejects", "duplicates", "conflicts", *KINDS)
"""Folders of the lake in which every file is named by a commit, or is one."""

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Damage:
    """Something in the lake that is not as it should be.

    :param file: below lake/.
    :param batches: the usage files whose records it concerns.
    """

    file: str
    what: str
    remedy: str
    batches: tuple[str, ...] = ()

    def __str__(self) -> str:
        of = f" ({_some(self.batches)})" if self.batches else ""
        return f"lake/{self.file}{of}: {self.what}\n  -> {self.remedy}"


def find_damages(home: Home, on_progress: Progress | None = None) -> list[Damage]:
    """Everything that is not as the commits say, read-only; each file is read once.

    Files that no commit names are none: ``strangers`` tells them.

    :param on_progress: called with files done, files in total and the file's name.
    """
    try:
        lake = read_lake(home)
        need_head(lake, built_from(home), "the warehouse")
    except LakeError as error:
        where = Path(error.where).relative_to(home.lake) if error.where else Path()
        return [Damage(where.as_posix(), error.what, error.remedy or "")]
    found: list[Damage] = []
    files = sorted(lake.files.values(), key=lambda file: file.path)
    for number, file in enumerate(files):
        if on_progress:
            on_progress(number, len(files), file.path)
        if what := _fault(lake, file):
            names = tuple(sorted({str(lake.batches[batch_id]["source_file"]) for batch_id in file.batch_ids}))
            found.append(Damage(file.path, what, _remedy(home, lake, file), names))
    return [*found, *_lost_originals(lake)]


def need_whole(home: Home, on_progress: Progress | None = None) -> None:
    """:raises LakeError: the lake is damaged; the first lines say where and what to do."""
    if damages := find_damages(home, on_progress):
        more = [f"and {len(damages) - 20} more; `meterhouse check` lists all"] if len(damages) > 20 else []
        raise LakeError(
            "\n  ".join([f"the lake is damaged: {_count(len(damages))}", *map(str, damages[:20]), *more]),
            where=str(home.lake),
            remedy="follow what is said above, then run the command again; nothing was changed",
        )


def strangers(home: Home) -> list[str]:
    """Files in the lake's folders that no commit names, below lake/; they are never read and never removed.

    What a run that was cut off is about to have removed by the next one is none.
    """
    lake = read_lake(home)
    known = {*lake.files, *lake.removed, *(f"commits/{number}.parquet" for number in commit_numbers(home))}
    if lake.head is None:
        known |= {f"batches/{batch_id}.parquet" for batch_id in lake.batches}
    return sorted(name for name in _names(home) if name not in known)


def set_aside(home: Home) -> list[str]:
    """Move files that no commit names to lake/.aside/, in the folders that they were in; their names.

    The caller holds the home's lock, and has removed what runs that were cut off left.
    """
    names = strangers(home)
    for name in names:
        target = aside_folder(home) / name
        number = 1
        while os.path.lexists(target):
            number += 1
            target = aside_folder(home) / f"{name}.{number}"
        target.parent.mkdir(parents=True, exist_ok=True)
        (home.lake / name).rename(target)
    return names


def built_from(home: Home) -> Head | None:
    """The commit that the last good warehouse was built from; None: there is none, or it does not say."""
    if not home.warehouse_file.exists():
        return None
    try:
        with duckdb.connect(str(home.warehouse_file), read_only=True) as connection:
            row = connection.execute("select lake_head from int_build_scope").fetchone()
    except duckdb.Error:
        return None
    number, _, sha256 = (row[0] if row and row[0] else "").partition(":")
    return Head(int(number), sha256) if number else None


def _fault(lake: Lake, file: LakeFile) -> str | None:
    path = lake.path(file)
    what: str | None
    try:
        status = path.lstat()
        if not stat.S_ISREG(status.st_mode):
            what = "it is no regular file"
        elif not file.sha256:
            what = _fault_without_sum(path, file)
        elif status.st_size != file.size:
            what = f"it has {status.st_size:,} bytes instead of {file.size:,}"
        else:
            what = None if sum_of(path) == file.sha256 else "its content is not what was committed"
    except FileNotFoundError:
        what = "it is missing"
    except OSError as error:
        what = f"it cannot be read: {error.strerror}"
    return what


def _fault_without_sum(path: Path, file: LakeFile) -> str | None:
    """Homes begun before there were commits have counts only, until the next run."""
    try:
        rows = pq.read_metadata(path).num_rows
    except pa.ArrowException as error:
        return f"it cannot be read: {error}"
    return None if rows == file.row_count else f"it has {rows:,} rows instead of {file.row_count:,}"


def _remedy(home: Home, lake: Lake, file: LakeFile) -> str:
    names = sorted({str(lake.batches[batch_id]["source_file"]) for batch_id in file.batch_ids})
    if names and all((home.inbox / name).is_file() for name in names):
        return (
            "restore it from a backup; where there is none, `meterhouse reread "
            + " ".join(names)
            + "` reads the usage again, but what was issued from this file can then not be rebuilt"
        )
    return "restore it from a backup: lake/ of a backup has it under the same name"


def _lost_originals(lake: Lake) -> Iterator[Damage]:
    """Batches whose duplicates have no original: a commit of an earlier version failed, its files stayed.

    Such a file bears the name of its batch and lies under a day that the manifest lacks.
    """
    for path in below(lake.home.lake / "events"):
        batch = lake.batches.get(path.stem)
        name = path.relative_to(lake.home.lake).as_posix()
        if batch is None or name in lake.files or not batch["duplicate_count"]:
            continue
        yield Damage(
            name,
            "its records were refused as duplicates of themselves, so they count nowhere",
            f"`meterhouse reread {batch['source_file']}`, then `meterhouse check --set-aside`",
            (str(batch["source_file"]),),
        )


def _names(home: Home) -> Iterator[str]:
    folders = [*PROVEN, "batches"]
    for folder in folders:
        for path in below(home.lake / folder):
            yield path.relative_to(home.lake).as_posix()


def _count(number: int) -> str:
    return f"{number} {'file' if number == 1 else 'files'}"


def _some(names: tuple[str, ...]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
