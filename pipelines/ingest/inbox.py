"""Finds usage files under inbox/ and tells them apart by their content. Their records do not belong here."""

import gzip
import hashlib
import json
import os
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from pipelines.errors import MeterhouseError
from pipelines.home import Home
from pipelines.ingest.reading import open_content

TEXT_FORMATS = {".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv"}
_PIECE = 8 << 20


@dataclass(frozen=True)
class InboxFile:
    """A file that ingest can read.

    :param name: path relative to inbox/, with slashes.
    :param format: jsonl, csv or parquet.
    :param batch_id: hash of the uncompressed content, or of the file's bytes if it cannot be uncompressed.
    :param broken: why it cannot be uncompressed; None if it can.
    """

    path: Path
    name: str
    format: str
    size: int
    mtime_ns: int
    batch_id: str
    broken: str | None = None


@dataclass(frozen=True)
class Inbox:
    """The files that ingest can read, by name, and the names of those whose ending it does not know."""

    files: tuple[InboxFile, ...]
    ignored: tuple[str, ...]


def file_format(name: str) -> str | None:
    """jsonl, csv or parquet; None: not a usage file."""
    lower = name.lower()
    if lower.endswith(".parquet"):
        return "parquet"
    return next(
        (kind for ending, kind in TEXT_FORMATS.items() if lower.removesuffix(".gz").endswith(ending)), None
    )


def look(home: Home) -> Inbox:
    """Everything in the inbox, with batch ids; only content that the cache does not know is hashed."""
    cache = _Cache(home.cache / "inbox.json")
    files: list[InboxFile] = []
    ignored: list[str] = []
    for path in _walk(home.inbox):
        name = path.relative_to(home.inbox).as_posix()
        kind = file_format(name)
        if kind is None:
            ignored.append(name)
            continue
        try:
            status = path.stat()
            batch_id, broken = cache.identity(path, name, status)
        except FileNotFoundError:
            continue  # Taken away while we looked.
        except OSError as error:
            raise MeterhouseError(
                f"the file cannot be opened: {error.strerror}",
                where=f"inbox/{name}",
                remedy="make it readable or take it out of the inbox, then run again; nothing was read",
            ) from error
        files.append(InboxFile(path, name, kind, status.st_size, status.st_mtime_ns, batch_id, broken))
    cache.save()
    return Inbox(tuple(sorted(files, key=lambda file: file.name)), tuple(sorted(ignored)))


def _walk(folder: Path) -> Iterator[Path]:
    for parent, folders, names in os.walk(folder, followlinks=True):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            if not name.startswith("."):
                yield Path(parent) / name


def identify(path: Path) -> tuple[str, str | None]:
    """The batch id of a file, and why its content cannot be uncompressed if it cannot."""
    try:
        with open_content(path) as content:
            return _digest(content), None
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        with path.open("rb") as content:
            return _digest(content), f"not a readable gzip file: {error}"


def _digest(content: IO[bytes]) -> str:
    digest = hashlib.sha256()
    while piece := content.read(_PIECE):
        digest.update(piece)
    return digest.hexdigest()[:32]


class _Cache:
    """Batch ids of files by name, size and time of change. Only saves time: it may vanish or be damaged."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fresh: dict[str, list[object]] = {}
        try:
            known = json.loads(path.read_text(encoding="utf-8"))
            self._known: dict[str, list[object]] = known if isinstance(known, dict) else {}
        except (OSError, ValueError):
            self._known = {}

    def identity(self, path: Path, name: str, status: os.stat_result) -> tuple[str, str | None]:
        match self._known.get(name):
            case [size, mtime_ns, str(batch_id), str() | None as broken] if (
                size == status.st_size and mtime_ns == status.st_mtime_ns
            ):
                pass
            case _:
                batch_id, broken = identify(path)
        self._fresh[name] = [status.st_size, status.st_mtime_ns, batch_id, broken]
        return batch_id, broken

    def save(self) -> None:
        if self._fresh == self._known:
            return
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            aside = self._path.with_name(f".{self._path.name}.{os.getpid()}")
            aside.write_text(json.dumps(self._fresh), encoding="utf-8")
            aside.replace(self._path)
        except OSError:
            return  # A read-only home is no reason to fail.
