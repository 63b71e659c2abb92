"""Finds usage files under inbox/ and tells them apart by their content. Their records do not belong here.

A file is read when it has been as it is for a while, by its times or because it was seen so before: whatever
is written to it afterwards changes its stamp.
"""

import gzip
import hashlib
import json
import os
import zlib
from collections.abc import Collection
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO

from pipelines.home import Home
from pipelines.ingest.formats import CUT_UNSEEN
from pipelines.ingest.formats.reader import open_content
from pipelines.ingest.sources.deliveries import Delivery, LeftFile, deliveries, persist, unopened
from pipelines.settings import QuietTime

_PIECE = 8 << 20
_SECOND = 1_000_000_000
# A change within one tick of the file system's clock leaves the stamp as it is: a hash is remembered only of
# what was older than any tick.
_TICK = 2 * _SECOND
# Clocks that are being set right may run slower than a wait.
_MARGIN = 0.05

CHANGING = "changed less than {:g} seconds ago: the next run reads it"
UNENDED = "its last line has no end, so its writer may be at work: it is read once unchanged for {:g} seconds"


@dataclass(frozen=True)
class Stamp:
    """What of a file's status changes with its content."""

    device: int
    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int

    @classmethod
    def of(cls, status: os.stat_result) -> "Stamp":
        """The stamp of a status."""
        return cls(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)

    @property
    def changed_ns(self) -> int:
        """The later of its times: that of the content may have come with a copy."""
        return max(self.mtime_ns, self.ctime_ns)


@dataclass(frozen=True)
class InboxFile:
    """A file that ingest can read.

    :param path: where it lies, links resolved.
    :param name: path relative to inbox/, with slashes, as it is shown.
    :param format: a key of ``formats.READERS``.
    :param stamp: as it was before its content was hashed.
    :param batch_id: hash of the uncompressed content, or of the file's bytes if it cannot be uncompressed.
    :param broken: why it cannot be uncompressed; None if it can.
    :param waits: why it is not read yet; None if it can be.
    :param settles_in: seconds until it is quiet if nothing changes it; 0: it is.
    """

    path: Path
    name: str
    format: str
    stamp: Stamp
    batch_id: str
    broken: str | None = None
    waits: str | None = None
    settles_in: float = 0

    def is_unchanged(self) -> bool:
        """Whether it is what it was when its content was hashed."""
        try:
            return Stamp.of(persist(self.path.stat)) == self.stamp
        except OSError:
            return False


@dataclass(frozen=True)
class Inbox:
    """The files of the inbox that have the name of a usage file, and what is left alone; each by name."""

    files: tuple[InboxFile, ...]
    left: tuple[LeftFile, ...]


def look(home: Home, quiet: QuietTime | None = None, *, is_patient: bool = True) -> Inbox:
    """Everything in the inbox, with batch ids; only content that the cache does not know is hashed.

    :param is_patient: hash also files that are not quiet yet; else they are passed over.
    :raises MeterhouseError: the inbox itself cannot be looked into.
    """
    quiet = quiet or QuietTime()
    cache = _Cache(home.cache / "inbox.json")
    files: list[InboxFile] = []
    left: list[LeftFile] = []
    for found in deliveries(home.inbox):
        if isinstance(found, LeftFile):
            left.append(found)
            continue
        stamp, now = Stamp.of(found.status), quiet.clock()
        unchanged_since = cache.seen(found.key, stamp, now)
        settles_in = max(quiet.seconds - (now - unchanged_since) / _SECOND, 0)
        if settles_in and not is_patient:
            continue
        try:
            content = cache.content(found, stamp, is_kept=now - unchanged_since >= _TICK)
            is_changed = Stamp.of(persist(found.path.stat)) != stamp
        except FileNotFoundError:
            continue  # Taken away while we looked.
        except OSError as error:
            left.append(unopened(found.name, error))
            continue
        if is_changed:
            cache.forget(found.key)
            settles_in = quiet.seconds
        is_short = (now - unchanged_since) / _SECOND < quiet.unended_seconds
        waits = None
        if found.format in CUT_UNSEEN and not content.is_ended and is_short:
            waits = UNENDED.format(quiet.unended_seconds)
        elif settles_in or is_changed:
            waits = CHANGING.format(quiet.seconds)
        files.append(
            InboxFile(
                found.path,
                found.name,
                found.format,
                stamp,
                content.batch_id,
                content.broken,
                waits,
                settles_in,
            )
        )
    cache.save()
    return Inbox(
        tuple(sorted(files, key=lambda file: file.name)), tuple(sorted(left, key=lambda file: file.name))
    )


def look_when_quiet(home: Home, known: Collection[str], quiet: QuietTime | None = None) -> Inbox:
    """The same, after waiting once for files that nobody has read and that just came.

    :param known: batch ids of content that was read before.
    """
    quiet = quiet or QuietTime()
    seen = look(home, quiet)
    if waits := max((file.settles_in for file in seen.files if file.batch_id not in known), default=0):
        quiet.wait(waits + _MARGIN)
        seen = look(home, quiet)
    return seen


@dataclass(frozen=True)
class Content:
    """What the cache keeps of a file's content.

    :param is_ended: its last byte ends a line, or there is none.
    """

    batch_id: str
    broken: str | None
    is_ended: bool


def identify(path: Path) -> Content:
    """The batch id of a file, and why its content cannot be uncompressed if it cannot."""
    try:
        with open_content(path) as content:
            digest, last = _digest(content)
            return Content(digest, None, last in b"\r\n")
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        with path.open("rb") as content:
            return Content(_digest(content)[0], f"not a readable gzip file: {error}", is_ended=True)


def _digest(content: IO[bytes]) -> tuple[str, bytes]:
    """The hash of a content, and its last byte."""
    digest, last = hashlib.sha256(), b""
    while piece := content.read(_PIECE):
        digest.update(piece)
        last = piece[-1:]
    return digest.hexdigest()[:32], last


class _Cache:
    """Of files by name and stamp: when they were first seen so, and their batch ids.

    Only saves time, and lets files settle whose times lie in the future: it may vanish or be damaged.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fresh: dict[str, list[object]] = {}
        try:
            known = json.loads(path.read_text(encoding="utf-8"))
            self._known: dict[str, list[object]] = known if isinstance(known, dict) else {}
        except (OSError, ValueError):
            self._known = {}

    def seen(self, key: str, stamp: Stamp, now: int) -> int:
        """Note that a file is there; since when it has been as it is, by the machine's clock."""
        given = _stamp_cells(stamp)
        match self._known.get(key):
            case [*stamped, int(first_seen), batch_id, broken, is_ended] if stamped == given:
                first_seen = min(first_seen, now)
                rest = [batch_id, broken, is_ended]
            case _:
                first_seen, rest = now, [None, None, None]
        self._fresh[key] = [*given, first_seen, *rest]
        return min(stamp.changed_ns, first_seen)

    def content(self, found: Delivery, stamp: Stamp, *, is_kept: bool) -> Content:
        """What is known of a file's content that was just seen, or what it says now."""
        entry = self._fresh[found.key]
        match entry[-3:]:
            case [str(batch_id), str() | None as broken, bool(is_ended)]:
                return Content(batch_id, broken, is_ended)
        content = persist(partial(identify, found.path))
        if is_kept:
            entry[-3:] = [content.batch_id, content.broken, content.is_ended]
        return content

    def forget(self, key: str) -> None:
        """Do not remember a file."""
        self._fresh.pop(key, None)

    def save(self) -> None:
        """Write what was seen for the next look."""
        if self._fresh == self._known:
            return
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            aside = self._path.with_name(f".{self._path.name}.{os.getpid()}")
            aside.write_text(json.dumps(self._fresh), encoding="utf-8")
            aside.replace(self._path)
        except OSError:
            return  # A read-only home is no reason to fail.


def _stamp_cells(stamp: Stamp) -> list[object]:
    return [stamp.device, stamp.inode, stamp.size, stamp.mtime_ns, stamp.ctime_ns]
