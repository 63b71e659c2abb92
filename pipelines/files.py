"""How files are written: who may read them, since what a home remembers is for its owner, and safely to disk.

What is in the files does not belong here. Whose they are: D-run-private-folders.
"""

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path
from typing import BinaryIO

OWNER_FILE, OWNER_FOLDER = 0o600, 0o700

_UMASK = "METERHOUSE_UMASK"
"""Set for the processes that this one starts: the umask that the first of them was given."""


def keep_private() -> None:
    """From now on what this process and those it starts write is for its owner, unless it is shared."""
    given = os.umask(0o077)
    os.environ.setdefault(_UMASK, f"{given:03o}")


def given_umask() -> int:
    """The umask that the person or the service manager gave."""
    if given := os.environ.get(_UMASK):
        return int(given, 8)
    # Setting it is the only other way to ask, and threads would notice.
    status = Path("/proc/self/status")
    found = re.search(r"^Umask:\s*([0-7]+)$", status.read_text(), re.MULTILINE) if status.exists() else None
    return int(found[1], 8) if found else 0o077


def share(path: Path) -> None:
    """Give a file or folder that was just made the mode that the given umask leaves."""
    path.chmod((0o777 if path.is_dir() else 0o666) & ~given_umask())


def make_shared_folder(folder: Path) -> None:
    """Make a folder and those above it, where they are missing, with the mode that the given umask leaves."""
    if not folder.is_dir():
        make_shared_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        share(folder)


def make_private_folder(folder: Path) -> None:
    """Make a folder where it is missing; those above it are shared."""
    make_shared_folder(folder.parent)
    folder.mkdir(mode=OWNER_FOLDER, exist_ok=True)


def sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk: a rename then never shows half of it."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def on_disk(path: Path) -> Iterator[BinaryIO]:
    """A file to write: its content is on the disk when the block ends; its name is the caller's to keep."""
    with path.open("wb") as sink:
        yield sink
        sink.flush()
        os.fsync(sink.fileno())


def matching(folder: Path, pattern: str) -> list[Path]:
    """What a folder holds under names that match, as in a shell, in order; nothing where there is none.

    ``Path.glob`` gives nothing, too, where the system will not say what is there.

    :raises OSError: the system will not say.
    """
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        return []
    may_be_hidden = pattern.startswith(".")
    return [
        folder / name
        for name in sorted(names)
        if fnmatchcase(name, pattern) and (may_be_hidden or not name.startswith("."))
    ]


def below(folder: Path) -> list[Path]:
    """Every file below a folder, links and all else that is no folder, in order; none where there is none.

    :raises OSError: the system will not say what is there; ``Path.rglob`` leaves it out.
    """
    return sorted(
        Path(parent, name)
        for parent, folders, names in os.walk(folder, onerror=_raise)
        for name in (*names, *(name for name in folders if Path(parent, name).is_symlink()))
    )


def _raise(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error


def open_to_others(folders: Iterable[Path]) -> list[Path]:
    """Those that others may read or enter."""
    return [folder for folder in folders if folder.stat().st_mode & 0o077]


def tighten(folders: Iterable[Path]) -> None:
    """Take from others what they may do with folders and all that is in them.

    A folder's own mode is changed last: while it is open, the next call does it all again. Where the file
    system has no modes, or another user owns a file, it stays as it is.
    """
    for folder in open_to_others(folders):
        for path in _inside(folder):
            _close(path)
        _close(folder)


def _inside(folder: Path) -> Iterator[Path]:
    # What this process may not look into is not its to close.
    for parent, folders, names in os.walk(folder, topdown=False, onerror=None):
        yield from (Path(parent, name) for name in (*names, *folders))


def _close(path: Path) -> None:
    try:
        # A link's own mode means nothing, and what it leads to may be elsewhere.
        if not path.is_symlink():
            path.chmod(path.stat().st_mode & 0o700)
    except OSError:
        return
