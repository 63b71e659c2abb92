"""The lake's commits: what exists in the lake is what they say, in the order of their numbers.

A commit is one file, made exclusively and whole, with the hash of the one before it. It lists readings of
files (batches), the files that hold their records with sizes and sums, and files that are no longer read. A
file that no commit names is never read (D-lake-commits). A commit that is cut off leaves its intent, which
names what it was about to show: so that is all that cleaning up may remove (D-lake-intents). What is in the
files does not belong here.
"""

import contextlib
import errno
import hashlib
import json
import os
import shutil
import uuid
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from models.frames import BATCHES, COMMITS, SCHEMA_VERSION, empty_frame
from pipelines.errors import MeterhouseError
from pipelines.files import matching, sync
from pipelines.home import Home
from pipelines.lake.places import (
    commit_file,
    commits_folder,
    events_of,
    manifests_folder,
    staging_folder,
)

_INTENT = "intent"
# Of file systems without hard links; there, the home's lock alone keeps two from making one commit.
_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS}

Manifest = Mapping[str, Any]
"""A row of ``models.frames.BATCHES``."""


def content_of(batch_id: str) -> str:
    """The content that a batch is a reading of: the id of the first, ``<content>-<number>`` later."""
    return batch_id.partition("-")[0]


def number_of(batch_id: str) -> int:
    """Which reading of its content a batch is, from 1 on."""
    return int(batch_id.partition("-")[2] or 1)


class LakeError(MeterhouseError):
    """The lake is not what its commits say."""


@dataclass(frozen=True)
class Head:
    """The last commit: its number and the SHA-256 of its file."""

    number: int
    sha256: str

    def __str__(self) -> str:
        return f"{self.number}:{self.sha256}"


@dataclass(frozen=True)
class LakeFile:
    """A file of the lake as a commit lists it.

    :param path: below lake/, with slashes.
    :param kind: the folder that it is in: events, rejects, duplicates, or that of documents and prices.
    :param event_date: UTC date of its events; None for other kinds.
    :param size: bytes.
    :param sha256: of the whole file; empty where a home has no commits yet.
    :param batch_ids: whose records it holds.
    """

    path: str
    kind: str
    event_date: date | None
    row_count: int
    size: int
    sha256: str
    batch_ids: tuple[str, ...] = ()
    schema_version: int = SCHEMA_VERSION


@dataclass
class Lake:
    """All commits folded: the batches and files there are.

    :param head: None: there is no commit.
    :param lake_id: the SHA-256 of the first commit's file.
    :param batches: manifest rows by batch id, replaced ones too.
    :param files: by path below lake/.
    :param removed: paths that a commit took out; they may still be there.
    """

    home: Home
    head: Head | None = None
    lake_id: str | None = None
    batches: dict[str, Manifest] = field(default_factory=dict)
    files: dict[str, LakeFile] = field(default_factory=dict)
    removed: set[str] = field(default_factory=set)
    _by_day: dict[date, list[LakeFile]] = field(default_factory=lambda: defaultdict(list))

    @property
    def replaced(self) -> set[str]:
        """Batches in whose place a later reading stands: by name, or since the file could not be read."""
        named = {batch["replaces"] for batch in self.batches.values() if batch["replaces"]}
        last: dict[tuple[str, str], int] = {}
        for batch_id, batch in self.batches.items():
            key = content_of(batch_id), batch["source_file"]
            last[key] = max(number_of(batch_id), last.get(key, 1))
        return named | {
            batch_id
            for batch_id, batch in self.batches.items()
            if batch["status"] == "unreadable"
            and number_of(batch_id) < last[content_of(batch_id), batch["source_file"]]
        }

    @property
    def live(self) -> dict[str, Manifest]:
        """The batches that count: those that are not replaced."""
        replaced = self.replaced
        return {batch_id: batch for batch_id, batch in self.batches.items() if batch_id not in replaced}

    def files_of(self, kind: str, batch_id: str) -> list[LakeFile]:
        """The files of a kind that hold a batch's records."""
        return [file for file in self.files.values() if file.kind == kind and batch_id in file.batch_ids]

    def event_files(self, days: Iterable[date]) -> list[Path]:
        """The event files of some UTC dates, in order; they may hold records of replaced batches, too.

        :raises LakeError: one is missing.
        """
        files = [
            self.home.lake / file.path
            for day in sorted(set(days))
            for file in sorted(self._by_day.get(day, ()), key=lambda file: file.path)
            if file.path in self.files
        ]
        if missing := next((file for file in files if not file.is_file()), None):
            raise LakeError("a file of the lake is missing", where=str(missing), remedy=_CHECK)
        return files

    def path(self, file: LakeFile) -> Path:
        """Where a file is."""
        return self.home.lake / file.path

    def add(self, number: int, sha256: str, commit: Mapping[str, Any]) -> None:
        """Take in the next commit."""
        self.head = Head(number, sha256)
        self.lake_id = self.lake_id or sha256
        for batch in commit["batches"]:
            self.batches[batch["batch_id"]] = batch
        for listed in commit["files"]:
            self._add_file(LakeFile(**{**listed, "batch_ids": tuple(listed["batch_ids"])}))
        for path in commit["removed"]:
            self.files.pop(path, None)
            self.removed.add(path)

    def _add_file(self, file: LakeFile) -> None:
        self.files[file.path] = file
        if file.event_date is not None:
            self._by_day[file.event_date].append(file)


def commit_numbers(home: Home) -> list[int]:
    """The numbers of the commits there are, in order. Files with other names are none."""
    folder = commits_folder(home)
    stems = (path.stem for path in matching(folder, "*.parquet"))
    return sorted(int(stem) for stem in stems if stem.isascii() and stem.isdigit() and stem[0] != "0")


def read_lake(home: Home) -> Lake:
    """Fold the commits of a lake in order, each against the hash that the next one has of it.

    A home begun before there were commits is read from its manifests, without sums.

    :raises LakeError: a commit is missing, cannot be read, or is not the one that the next was made after.
    """
    lake = Lake(home)
    numbers = commit_numbers(home)
    if not numbers:
        for batch, files in _read_manifests(home):
            lake.batches[batch["batch_id"]] = batch
            for file in files:
                lake._add_file(file)
        return lake
    previous = None
    for expected, number in enumerate(numbers, start=1):
        if number != expected:
            raise LakeError(
                f"commit {expected} is missing", where=str(commit_file(home, expected)), remedy=_RESTORE
            )
        commit, sha256 = read_commit(home, number)
        if commit["previous_sha256"] != previous or commit["commit_number"] != number:
            raise LakeError(
                f"commit {number} was made after another commit {number - 1} than the one that is here",
                where=str(commit_file(home, number - 1 or 1)),
                remedy=_RESTORE,
            )
        lake.add(number, sha256, commit)
        previous = sha256
    return lake


def read_commit(home: Home, number: int) -> tuple[dict[str, Any], str]:
    """A commit's row and the SHA-256 of its file.

    :raises LakeError: it cannot be read, or was written by a later version of Meterhouse.
    """
    file = commit_file(home, number)
    try:
        content = file.read_bytes()
        [commit] = pq.read_table(pa.BufferReader(content)).to_pylist()
        if not set(COMMITS.columns) <= commit.keys():
            raise ValueError("columns are missing")
        newest = max((listed["schema_version"] for listed in commit["files"]), default=0)
    except (OSError, ValueError, KeyError, TypeError, pa.ArrowException) as error:
        raise LakeError(
            f"commit {number} cannot be read: {error}", where=str(file), remedy=_RESTORE
        ) from None
    if newest > SCHEMA_VERSION:
        raise LakeError(
            f"commit {number} was written by a later version of Meterhouse",
            where=str(file),
            remedy="use that version",
        )
    return commit, hashlib.sha256(content).hexdigest()


def last_commit(home: Home) -> Head | None:
    """The last commit there is, without looking at those before it."""
    numbers = commit_numbers(home)
    return Head(numbers[-1], sum_of(commit_file(home, numbers[-1]))) if numbers else None


def need_head(lake: Lake, known: Head | None, knower: str) -> None:
    """The lake has the commit that something was made from.

    :param knower: what knows it, in words.
    :raises LakeError: it has not: its last commits are missing, or it is another lake.
    """
    if known is None:
        return
    last = lake.head.number if lake.head else 0
    if last < known.number:
        raise LakeError(
            f"commit {known.number} is missing: {knower} was made from it, but the lake ends with {last}",
            where=str(commit_file(lake.home, known.number)),
            remedy=_RESTORE,
        )
    file = commit_file(lake.home, known.number)
    if hashlib.sha256(file.read_bytes()).hexdigest() != known.sha256:
        raise LakeError(
            f"commit {known.number} is not the one that {knower} was made from",
            where=str(file),
            remedy=_RESTORE,
        )


class Staging:
    """A commit on its way into the lake. A context: without ``commit`` nothing of it ever was.

    What is to be shown is written into ``folder`` and named by ``add``.
    """

    def __init__(self, home: Home) -> None:
        self.home = home
        self._token = uuid.uuid4().hex[:12]
        self.folder = staging_folder(home) / self._token
        self._files: list[tuple[Path, str, LakeFile]] = []
        self._is_intended = False

    def __enter__(self) -> "Staging":
        self.folder.mkdir(parents=True)
        return self

    def __exit__(self, *_: object) -> None:
        # An intent stays until the next run has removed what it names.
        if not self._is_intended:
            shutil.rmtree(self.folder, ignore_errors=True)

    def add(
        self,
        aside: Path,
        kind: str,
        *,
        row_count: int,
        batch_ids: Sequence[str],
        event_date: date | None = None,
    ) -> None:
        """A file of the folder to be shown: as one of a kind, by its place there and its records."""
        place = events_of(event_date) if event_date is not None else kind
        self._files.append((aside, place, LakeFile("", kind, event_date, row_count, 0, "", tuple(batch_ids))))

    def add_shown(self, path: Path, kind: str, row_count: int) -> None:
        """A file that is in its place already, such as a version of the catalog."""
        inside = path.relative_to(self.home.lake).as_posix()
        self._files.append((path, "", LakeFile(inside, kind, None, row_count, 0, "")))

    def commit(self, lake: Lake, batches: pl.DataFrame, removed: Iterable[str] = ()) -> None:
        """Show the files, then make the commit that names them; the lake has it after that.

        :param lake: what the commit is made after.
        :param batches: rows of ``models.frames.BATCHES``.
        :param removed: paths below lake/ that are no longer read.
        :raises LakeError: another process made a commit meanwhile; nothing of this one counts.
        """
        BATCHES.validate(batches, lazy=True)
        number = lake.head.number + 1 if lake.head else 1
        files: list[LakeFile] = []
        moves: list[tuple[Path, Path]] = []
        for aside, place, described in self._files:
            path = described.path or self._free_path(place, number, {file.path for file in files})
            sync(aside)
            files.append(
                LakeFile(
                    path,
                    described.kind,
                    described.event_date,
                    described.row_count,
                    aside.stat().st_size,
                    sum_of(aside),
                    described.batch_ids,
                )
            )
            if not described.path:
                moves.append((aside, self.home.lake / path))
        row = {
            "commit_number": number,
            "previous_sha256": lake.head.sha256 if lake.head else None,
            "batches": batches.to_dicts(),
            "files": [{**vars(file), "batch_ids": list(file.batch_ids)} for file in files],
            "removed": list(removed),
        }
        written = self.folder / "commit.parquet"
        pl.DataFrame([row], schema=empty_frame(COMMITS).schema).write_parquet(written)
        sync(written)
        sha256 = sum_of(written)
        self._intend(number, sha256, files, moves)
        for aside, shown in moves:
            shown.parent.mkdir(parents=True, exist_ok=True)
            aside.replace(shown)
        for folder in {shown.parent for _, shown in moves} | {shown.parent.parent for _, shown in moves}:
            sync(folder)
        commits_folder(self.home).mkdir(parents=True, exist_ok=True)
        _link(written, commit_file(self.home, number))
        lake.add(number, sha256, row)
        sync(commits_folder(self.home))
        sync(self.home.lake)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _free_path(self, place: str, number: int, taken: set[str]) -> str:
        """A name that no other attempt gives; several files of one place are told apart."""
        path = f"{place}/{number}-{self._token}.parquet"
        return f"{path.removesuffix('.parquet')}-{len(taken)}.parquet" if path in taken else path

    def _intend(
        self, number: int, sha256: str, files: list[LakeFile], moves: list[tuple[Path, Path]]
    ) -> None:
        moved = {shown for _, shown in moves}
        intent = {
            "commit": number,
            "sha256": sha256,
            "files": [
                {"path": file.path, "sha256": file.sha256}
                for file in files
                if self.home.lake / file.path in moved
            ],
        }
        aside = self.folder / ".intent"
        aside.write_text(json.dumps(intent), encoding="utf-8")
        sync(aside)
        # From here on the folder stays, whatever happens.
        self._is_intended = True
        aside.replace(self.folder / _INTENT)
        sync(self.folder)
        sync(self.folder.parent)


def _link(written: Path, place: Path) -> None:
    try:
        os.link(written, place)
    except FileExistsError:
        raise LakeError(
            "another process added to the lake meanwhile; nothing of this reading counts",
            where=str(place),
            remedy="run again; two machines must not write one home at once",
        ) from None
    except OSError as error:
        if error.errno not in _NO_LINKS or place.exists():
            raise
        written.replace(place)


def remove_leftovers(lake: Lake) -> None:
    """Remove what commits that were cut off left: their folders, and the files that their intents name.

    Also removes what earlier commits took out. The caller holds the home's lock.

    :raises OSError: something cannot be removed; the intent stays.
    """
    staging = staging_folder(lake.home)
    for folder in sorted(staging.iterdir()) if staging.exists() else ():
        intent = _read_intent(folder / _INTENT)
        if intent is not None and not _was_made(lake.home, intent):
            for listed in intent["files"]:
                if listed["path"] not in lake.files:
                    (lake.home.lake / listed["path"]).unlink(missing_ok=True)
        if folder.is_dir() and not folder.is_symlink():
            shutil.rmtree(folder)
        else:
            folder.unlink()
    for path in lake.removed - lake.files.keys():
        (lake.home.lake / path).unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            (lake.home.lake / path).parent.rmdir()


def _read_intent(file: Path) -> dict[str, Any] | None:
    """None: nothing was shown yet, or the folder is none of ours."""
    try:
        intent = json.loads(file.read_text(encoding="utf-8"))
        _ = intent["commit"], intent["sha256"], [listed["path"] for listed in intent["files"]]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return dict(intent)


def _was_made(home: Home, intent: Mapping[str, Any]) -> bool:
    file = commit_file(home, int(intent["commit"]))
    return file.exists() and sum_of(file) == intent["sha256"]


def sum_of(file: Path) -> str:
    """The SHA-256 of a file, in hex."""
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def adopt_manifests(lake: Lake) -> None:
    """Make the manifests of a home begun before there were commits its commit 1, with sums.

    The caller holds the home's lock. Files that no manifest names stay and are never read.

    :raises LakeError: a file has other rows than its manifest says.
    """
    if lake.head is not None or not lake.batches:
        return
    _remove_old_leftovers(lake)
    for file in lake.files.values():
        path = lake.path(file)
        try:
            rows = pq.read_metadata(path).num_rows
        except (OSError, pa.ArrowException) as error:
            raise _disagrees(lake, file, str(error)) from None
        if rows != file.row_count:
            raise _disagrees(lake, file, f"it has {rows} rows instead of {file.row_count}")
    rows = list(lake.batches.values())
    with Staging(lake.home) as staging:
        for file in lake.files.values():
            staging._files.append((lake.path(file), "", file))
        manifests = pl.DataFrame(rows, schema=empty_frame(BATCHES).schema)
        old = [f"batches/{batch['batch_id']}.parquet" for batch in rows]
        adopted = Lake(lake.home)
        staging.commit(adopted, manifests, removed=old)
    vars(lake).update(vars(adopted))


def _disagrees(lake: Lake, file: LakeFile, why: str) -> LakeError:
    return LakeError(
        f"this is not what the manifest of {lake.batches[file.batch_ids[0]]['source_file']} says: {why}",
        where=str(lake.path(file)),
        remedy=_RESTORE,
    )


def _read_manifests(home: Home) -> Iterator[tuple[dict[str, Any], list[LakeFile]]]:
    folder = manifests_folder(home)
    added = {name: None for name in BATCHES.columns}
    for path in matching(folder, "*.parquet"):
        try:
            [row] = pq.read_table(path).to_pylist()
            batch = {**added, **row}
            files = [
                _unsummed(home, "events", day["event_date"], batch["batch_id"], day["event_count"])
                for day in batch["event_dates"]
            ]
        except (OSError, ValueError, KeyError, TypeError, pa.ArrowException) as error:
            raise LakeError(
                f"the manifest of a batch cannot be read: {error}", where=str(path), remedy=_RESTORE
            ) from None
        if batch["rejected_count"]:
            files.append(_unsummed(home, "rejects", None, batch["batch_id"], batch["rejected_count"]))
        yield batch, files


def _unsummed(home: Home, kind: str, day: date | None, batch_id: str, rows: int) -> LakeFile:
    path = f"{events_of(day) if day else kind}/{batch_id}.parquet"
    file = home.lake / path
    return LakeFile(path, kind, day, rows, file.stat().st_size if file.exists() else 0, "", (batch_id,))


def _remove_old_leftovers(lake: Lake) -> None:
    """What killed runs left before there were intents: a staging folder is named like its batch's files."""
    staging = staging_folder(lake.home)
    for folder in staging.iterdir() if staging.exists() else ():
        if folder.name not in lake.batches:
            for day in matching(lake.home.lake / "events", "event_date=*"):
                (day / f"{folder.name}.parquet").unlink(missing_ok=True)
            (lake.home.lake / "rejects" / f"{folder.name}.parquet").unlink(missing_ok=True)


_CHECK = "`meterhouse check` names every damage and what to do about it"
_RESTORE = "keep the home as it is and restore a backup; what was read since then is read again from inbox/"
