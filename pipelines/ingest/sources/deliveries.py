"""What of the inbox is a delivery: regular files in it, by their names. Content does not belong here.

A name that is no UTF-8 is shown with its bad bytes as \\xNN, and control characters of any name likewise:
what is shown is what messages, the lake and the patterns of ``sources.yml`` call the file.
"""

import errno
import os
import stat
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from pipelines.errors import MeterhouseError
from pipelines.ingest.formats import format_of

# How programs that copy and download call a file until it is whole.
_UNFINISHED = (".tmp", ".part", ".crdownload")
_NAMED = 3
UNKNOWN = "not a usage file by its ending"

_KINDS = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


@dataclass(frozen=True)
class Delivery:
    """A regular file with the name of a usage file.

    :param path: where it lies, links resolved.
    :param name: path relative to the inbox, with slashes, as it is shown.
    :param key: the same as the system has it.
    :param format: a key of ``formats.READERS``.
    """

    path: Path
    name: str
    key: str
    format: str
    status: os.stat_result


@dataclass(frozen=True)
class LeftFile:
    """A file or folder of the inbox that is not read.

    :param name: path relative to the inbox, as it is shown.
    :param is_told: whether a run says so; what its name keeps out is listed by ``check`` alone.
    :param may_count: it may hold usage that is read later, so that books are not closed without it.
    """

    name: str
    reason: str
    is_told: bool = True
    may_count: bool = False


def shown(name: str) -> str:
    """A name as UTF-8 without control characters and ends of lines."""
    text = os.fsencode(name).decode("utf-8", "backslashreplace")
    if text.isprintable():
        return text
    return "".join(
        character.encode("unicode_escape").decode() if _is_control(character) else character
        for character in text
    )


T = TypeVar("T")


def persist(ask: Callable[[], T]) -> T:
    """What the system says of a file, asked again where it refuses (D-files-asked-twice). Raises OSError.

    A refusal of a moment would change the order in which files are read, and so which of two records that
    contradict each other counts.
    """
    try:
        return ask()
    except OSError:
        return ask()


def unopened(name: str, error: Exception) -> LeftFile:
    """A file or folder that the system does not open."""
    why = (error.strerror if isinstance(error, OSError) else None) or str(error)
    return LeftFile(name, f"cannot be opened: {why}", may_count=True)


def deliveries(inbox: Path) -> Iterator[Delivery | LeftFile]:
    """Everything in the inbox, in no order: what may be read, and what is left alone with the reason.

    Folders are looked into once, also if links lead to them or round in circles. Nothing is opened.

    :raises MeterhouseError: the inbox itself cannot be looked into.
    """
    root = Path(os.path.realpath(inbox))
    looked_into: set[tuple[int, int]] = set()
    folders, linked = [(root, "")], list[tuple[Path, str]]()
    while folders or linked:
        # By links last, so that a file goes by the name of the place where it is.
        folder, place = folders.pop() if folders else linked.pop(0)
        try:
            status = persist(folder.stat)
            if (status.st_dev, status.st_ino) in looked_into:
                continue
            looked_into.add((status.st_dev, status.st_ino))
            entries = persist(partial(_entries, folder))
        except OSError as error:
            if not place and error.errno != errno.ENOENT:
                raise MeterhouseError(
                    f"the inbox cannot be opened: {error.strerror}",
                    where=str(inbox),
                    remedy="make it a folder that can be read, then run again; nothing was read",
                ) from error
            if error.errno != errno.ENOENT:
                yield unopened(shown(place), error)
            continue
        for entry in entries:
            key = f"{place}/{entry.name}" if place else entry.name
            try:
                match persist(partial(_look_at, entry, key, root)):
                    case LeftFile() | Delivery() as result:
                        yield result
                    case inside if entry.is_symlink():
                        linked.append((inside, key))
                    case inside:
                        folders.append((inside, key))
            except FileNotFoundError:
                continue  # Taken away while we looked.
            except OSError as error:
                yield unopened(shown(key), error)


def by_reason(told: Iterable[tuple[str, str]], most: int = _NAMED) -> list[str]:
    """One line per reason for files with theirs; of more than ``most`` files the first are named."""
    names: dict[str, list[str]] = {}
    for name, reason in told:
        names.setdefault(reason, []).append(name)
    lines = []
    for reason, of in names.items():
        more = f" and {len(of) - most:,} more" if len(of) > most else ""
        lines.append(f"{', '.join(of[:most])}{more}: {reason}")
    return lines


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    with os.scandir(folder) as found:
        return sorted(found, key=lambda entry: entry.name)


def _look_at(entry: os.DirEntry[str], key: str, root: Path) -> Delivery | LeftFile | Path:
    """A delivery, what is left, or a folder to look into. Raises OSError."""
    name, path = shown(key), Path(entry.path)
    if reason := _unfit(entry.name):
        return LeftFile(name, reason, is_told=False)
    if entry.is_symlink():
        followed = _follow(path, name, root)
        if isinstance(followed, LeftFile):
            return followed
        path = followed
    status = path.stat()
    form = format_of(entry.name)
    if stat.S_ISDIR(status.st_mode):
        return path
    if not stat.S_ISREG(status.st_mode):
        kind = _KINDS.get(stat.S_IFMT(status.st_mode), "something else")
        return LeftFile(name, f"{kind}, not a regular file")
    return Delivery(path, name, key, form, status) if form else LeftFile(name, UNKNOWN)


def _unfit(name: str) -> str | None:
    """Why a file or folder of this name is no delivery."""
    if name.startswith((".", "_")):
        return f"no delivery: its name begins with {name[0]}"
    if name.lower().endswith(_UNFINISHED):
        return f"no delivery: its name ends in {name[name.rindex('.') :].lower()}"
    return None


def _follow(link: Path, name: str, root: Path) -> Path | LeftFile:
    """Where a link leads, if that is a place in the inbox. Raises OSError."""
    try:
        path = Path(os.path.realpath(link, strict=True))
    except OSError as error:
        match error.errno:
            case errno.ENOENT | errno.ENOTDIR:
                return LeftFile(name, "a link that leads nowhere", may_count=True)
            case errno.ELOOP:
                return LeftFile(name, "a link that leads back to itself")
            case _:
                raise
    return path if path.is_relative_to(root) else LeftFile(name, "a link that leads out of the inbox")


def _is_control(character: str) -> bool:
    return unicodedata.category(character) in {"Cc", "Zl", "Zp"}
