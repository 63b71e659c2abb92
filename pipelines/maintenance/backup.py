"""A home's backup in one file, and a home from it: lake, ledger, catalog and accounts; never a secret.

The file is a tar archive. Its last member, ``backup.json``, lists every other one with its size and SHA-256,
so that a backup which is not whole shows. What can be computed again (warehouse, published file, exports of
the ledger) and the inbox, whose content the lake has, are left out.
"""

import hashlib
import io
import json
import os
import shutil
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from importlib.metadata import version
from pathlib import Path, PurePosixPath
from typing import IO, Any

from filelock import FileLock, Timeout
from pydantic import BaseModel, ConfigDict, ValidationError

from pipelines import interruption
from pipelines.errors import ConfigurationError, MeterhouseError
from pipelines.files import OWNER_FILE, below, make_private_folder, matching, share, sync
from pipelines.home import Home
from pipelines.lake.links import RefusedLink, is_of_lake, links_out_of_lake
from pipelines.lake.proof import need_whole
from pipelines.ledger import open_ledger
from pipelines.ledger.dump import dump_ledger, load_ledger
from pipelines.ledger.schema import HEAD_REVISION

FORMAT = 1
_MANIFEST = "backup.json"
_FOLDERS = ("catalog", "accounts", "lake")
# Written by the ledger whenever it is opened; the ledger's own rows are in the backup.
_EXPORTS = PurePosixPath("lake/ledger")
_LEDGER = PurePosixPath("ledger")
_ASIDE = ".restoring"
_DECIDED = ".restored"
_WORKPLACE = ".meterhouse-backup-"
_WORK_LOCK = "lock"
_BLOCK = 1 << 20
# A hundred bytes for each of millions of files.
_LARGEST_MANIFEST = 1 << 29
_STRANGE = (
    tarfile.TarError,
    EOFError,
    LookupError,
    TypeError,
    ValueError,
    ArithmeticError,
    AttributeError,
    RecursionError,
)
"""What reading something that is no backup may end in."""

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Backup:
    """What a backup holds.

    :param made_at: by the clock of the command that made it.
    :param files: of the lake and the documents.
    :param rows: of the ledger, by table.
    :param refused: links inside the lake that were left out; known to the command that makes it.
    """

    made_at: datetime
    files: int
    rows: dict[str, int]
    refused: tuple[RefusedLink, ...] = field(default=(), compare=False)


def back_up(home: Home, file: Path, made_at: datetime, on_progress: Progress | None = None) -> Backup:
    """Write a backup and read it once more to check it. The caller holds the home's lock.

    :param file: must not exist; it appears whole or not at all.
    :raises ConfigurationError: it exists, or its folder does not.
    :raises LedgerError: the ledger is out of reach.
    :raises LakeError: the lake is damaged; a backup of it would pass for a whole one.
    """
    if file.exists():
        raise ConfigurationError(
            f"{file} exists", where="backup", remedy="choose another name; none is replaced"
        )
    if not file.parent.is_dir():
        raise ConfigurationError(f"there is no folder {file.parent}", where="backup", remedy="make it first")
    need_whole(home)
    with _workplace(file.parent) as folder:
        aside, dumped = folder / file.name, folder / "ledger"
        dumped.mkdir()
        with open_ledger(home) as ledger:
            revision = dump_ledger(ledger, dumped)
        members = [*_home_files(home), *_ledger_files(dumped)]
        _write(aside, members, made_at, revision, on_progress)
        aside.chmod(OWNER_FILE)
        with _opened(aside) as archive:
            backup = _read(archive, None)
        sync(aside)
        with interruption.held():
            aside.replace(file)
            interruption.has_done(f"{file} is written, read back and whole")
        sync(file.parent)
    return replace(backup, refused=tuple(links_out_of_lake(home)))


@contextmanager
def _workplace(beside: Path) -> Iterator[Path]:
    """A folder of its owner only, in which a backup is made; what killed ones left beside it is removed.

    Whoever works in one holds its lock, which the system releases when the process ends.
    """
    for left in matching(beside, f"{_WORKPLACE}*"):
        with suppress(Timeout), FileLock(left / _WORK_LOCK, timeout=0):
            shutil.rmtree(left, ignore_errors=True)
    while True:
        folder = Path(tempfile.mkdtemp(dir=beside, prefix=_WORKPLACE))
        with suppress(FileNotFoundError), FileLock(folder / _WORK_LOCK):
            # Between the two steps another backup may have taken it for one that was left.
            if not (folder / _WORK_LOCK).exists():
                continue
            try:
                yield folder
            finally:
                shutil.rmtree(folder, ignore_errors=True)
            return


def restore(home: Home, file: Path, on_progress: Progress | None = None) -> Backup:
    """Make a home from a backup: whole or not at all, whenever it is cut off. The caller holds the lock.

    Everything is made aside, the ledger too; one rename then decides that it counts. What that rename left to
    do, moving four folders into their places, the next restore of the same backup does, if this one dies.
    The ledger goes where METERHOUSE_LEDGER_URL says, SQLite in the home without it, whichever it came from.

    :raises ConfigurationError: there is no such file, or the home has something already; nothing is changed.
    :raises MeterhouseError: the backup is not whole, or of another version; nothing is changed.
    """
    if not file.is_file():
        raise ConfigurationError(f"there is no file {file}", where="restore", remedy="name a backup")
    if (home.root / _DECIDED).exists():
        return _finish(home, file)
    aside = home.root / _ASIDE
    try:
        _need_empty(home)
    except ConfigurationError:
        # What a restore that was done could not clear away.
        shutil.rmtree(aside, ignore_errors=True)
        raise
    # A ledger on a server may be loaded already: by a restore that died before it was decided.
    was_cut_off = aside.exists()
    shutil.rmtree(aside, ignore_errors=True)
    is_loaded = False
    try:
        make_private_folder(aside)
        made = Home(aside / "home").ensure()
        with _opened(file) as archive:
            backup = _read(archive, aside, on_progress)
        for name in _FOLDERS:
            _move(aside / name, made.root / name)
        for folder in (made.catalog, made.accounts):
            for path in below(folder):
                share(path)
                share(path.parent)
        (aside / _MANIFEST).replace(made.root / _MANIFEST)
        with open_ledger(made) as ledger:
            try:
                load_ledger(ledger, aside / _LEDGER, may_hold_it=was_cut_off)
            except (*_STRANGE, OSError) as error:
                raise _no_backup(file, f"its rows of the ledger cannot be read: {_text(error)}") from None
            is_loaded = True
            ledger.export()
        sync(made.root)
        with interruption.held():
            made.root.replace(home.root / _DECIDED)
            _move_in(home)
    except BaseException:
        if not is_loaded:
            shutil.rmtree(aside, ignore_errors=True)
        raise
    return backup


def _finish(home: Home, file: Path) -> Backup:
    """Bring a restore to its end that died after it was decided; nobody has used the home since."""
    decided = home.root / _DECIDED
    with _opened(file) as archive:
        backup = _read(archive, None)
        manifest = _manifest_of(archive)
    known = decided / _MANIFEST
    if known.exists() and known.read_bytes() != manifest:
        try:
            made_at = _read_manifest(known.read_bytes()).made_at.isoformat()
        except ValueError:
            made_at = "a time that nobody can read any more"
        raise ConfigurationError(
            f"restoring another backup, made at {made_at}, was cut off here; nothing was changed",
            where=str(home.root),
            remedy="give that backup again, which finishes it, or restore into a new folder with --home",
        )
    with interruption.held():
        _move_in(home)
    return backup


def _move_in(home: Home) -> None:
    """Put what was decided into its places, the catalog last: without one, no command takes it for a home."""
    decided = home.root / _DECIDED
    for name in ("ledger", "lake", "accounts", "catalog"):
        if (decided / name).exists():
            # Folders without any file may be there; ``_need_empty`` has found no others.
            shutil.rmtree(home.root / name, ignore_errors=True)
            (decided / name).replace(home.root / name)
            sync(home.root)
    home.ensure()
    interruption.has_done(f"{home.root} is restored")
    shutil.rmtree(decided)
    shutil.rmtree(home.root / _ASIDE, ignore_errors=True)


def _need_empty(home: Home) -> None:
    """No file that a backup holds is here. Whether a ledger on a server is empty, loading it finds out."""
    for folder in (home.catalog, home.accounts, home.lake, home.ledger):
        inside = next((path for path in below(folder) if path.is_file()), None)
        if inside is not None:
            raise ConfigurationError(
                f"the home is not empty: {inside.relative_to(home.root)} is there; nothing was changed",
                where=str(home.root),
                remedy="restore into a new folder with --home; nothing is ever restored over a home",
            )


def _home_files(home: Home) -> Iterator[tuple[PurePosixPath, Path]]:
    for name in _FOLDERS:
        for path in below(home.root / name):
            inside = PurePosixPath(path.relative_to(home.root).as_posix())
            is_hidden = any(part.startswith(".") for part in inside.parts)
            if name == home.lake.name and not is_of_lake(home, path):
                continue
            if path.is_file() and not is_hidden and not inside.is_relative_to(_EXPORTS):
                yield inside, path


def _ledger_files(dumped: Path) -> Iterator[tuple[PurePosixPath, Path]]:
    for path in matching(dumped, "*.jsonl"):
        yield _LEDGER / path.name, path


def _write(
    target: Path,
    members: list[tuple[PurePosixPath, Path]],
    made_at: datetime,
    revision: str,
    on_progress: Progress | None,
) -> None:
    listed: dict[str, dict[str, Any]] = {}
    with tarfile.open(target, "x", format=tarfile.PAX_FORMAT) as archive:
        for number, (name, path) in enumerate(members):
            with path.open("rb") as source:
                hashing = _Hashing(source)
                entry = tarfile.TarInfo(str(name))
                entry.size = os.fstat(source.fileno()).st_size
                archive.addfile(entry, hashing)
            listed[str(name)] = {"size": entry.size, "sha256": hashing.hexdigest()}
            if on_progress:
                on_progress(number + 1, len(members), str(name))
        manifest = {
            "format": FORMAT,
            "made_at": made_at.isoformat(),
            "meterhouse": version("meterhouse"),
            "ledger_revision": revision,
            "members": listed,
        }
        content = json.dumps(manifest, indent=1).encode()
        entry = tarfile.TarInfo(_MANIFEST)
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))


def _read(archive: tarfile.TarFile, into: Path | None, on_progress: Progress | None = None) -> Backup:
    """Read a backup to its end and compare it with its own list; ``into``: also write its files there."""
    found: dict[str, _Member] = {}
    rows: dict[str, int] = {}
    manifest: _Manifest | None = None
    for entry in archive:
        # A link would be read as what it leads to; a sparse file is a few bytes that stand for any number.
        source = archive.extractfile(entry) if entry.isreg() and not entry.issparse() else None
        is_odd = source is None or entry.name in found or not _is_plain(entry.name)
        if source is None or is_odd or manifest is not None:
            raise _not_whole(archive, f"{_shown(entry.name)} does not belong into a backup")
        if entry.name == _MANIFEST:
            if entry.size > _LARGEST_MANIFEST:
                raise _not_whole(archive, f"its list of {entry.size:,} bytes is none that was written here")
            content = source.read()
            manifest = _read_manifest(content)
            if into:
                (into / _MANIFEST).write_bytes(content)
            continue
        hashing = _Hashing(source)
        line_count = _copy(hashing, into / entry.name if into else None)
        found[entry.name] = _Member(size=entry.size, sha256=hashing.hexdigest())
        if PurePosixPath(entry.name).parent == _LEDGER:
            rows[PurePosixPath(entry.name).stem] = line_count
        if on_progress:
            on_progress(len(found), 0, entry.name)
    if manifest is None:
        raise _not_whole(archive, "its end is missing")
    if manifest.format != FORMAT or manifest.ledger_revision != HEAD_REVISION:
        raise MeterhouseError(
            f"the backup is of another version of Meterhouse ({_shown(manifest.meterhouse)}), with a ledger"
            f" at revision {_shown(manifest.ledger_revision)} instead of {HEAD_REVISION}",
            where=str(archive.name),
            remedy="restore it with the version that made it, then use this one on the restored home",
        )
    for name in sorted(manifest.members.keys() | found.keys()):
        if manifest.members.get(name) != found.get(name):
            raise _not_whole(archive, f"{_shown(name)} is not what it was when the backup was made")
    return Backup(manifest.made_at, len(found) - len(rows), rows)


def _read_manifest(content: bytes) -> "_Manifest":
    """:raises ValueError: it is none."""
    return _Manifest.model_validate_json(content)


def _manifest_of(archive: tarfile.TarFile) -> bytes:
    source = archive.extractfile(_MANIFEST)
    if source is None:
        raise _not_whole(archive, "its end is missing")
    return source.read()


def _is_plain(name: str) -> bool:
    """Whether it can only mean a file below the home's own folders, and one that a backup holds."""
    path = PurePosixPath(name)
    if name == _MANIFEST:
        return True
    is_ours = len(path.parts) > 1 and path.parts[0] in (*_FOLDERS, str(_LEDGER)) and ".." not in path.parts
    return is_ours and str(path) == name and not path.is_relative_to(_EXPORTS)


def _shown(text: str) -> str:
    """Text of a stranger, as it may go to a terminal."""
    return text[:200] if text.isprintable() else ascii(text[:200])


def _copy(source: "_Hashing", target: Path | None) -> int:
    """Read to the end, into the target if there is one; the number of line ends."""
    lines = 0
    if target:
        target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("xb") if target else open(os.devnull, "wb") as sink:
        while block := source.read(_BLOCK):
            sink.write(block)
            lines += block.count(b"\n")
    if target:
        sync(target)
    return lines


@contextmanager
def _opened(file: Path) -> Iterator[tarfile.TarFile]:
    try:
        with tarfile.open(file, "r:") as archive:
            yield archive
    except OSError as error:
        raise MeterhouseError(
            f"it could not be read, or not be written out: {error.strerror or error}; nothing was changed",
            where=str(file),
            remedy="see that it is readable and that there is room, then run it again",
        ) from None
    except _STRANGE as error:
        raise _no_backup(file, _text(error)) from None


def _no_backup(file: Path, why: str) -> MeterhouseError:
    what = f"this is no backup, or not a whole one: {why}; nothing was changed"
    return MeterhouseError(what, where=str(file), remedy=_ANOTHER)


def _text(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(_shown(str(part)) for part in first["loc"])
        return f"its list: {where}: {first['msg']}" if where else f"its list: {first['msg']}"
    return _shown(" ".join(str(error).split())) or type(error).__name__


def _not_whole(archive: tarfile.TarFile, why: str) -> MeterhouseError:
    return MeterhouseError(
        f"the backup is not whole: {why}; nothing was changed", where=str(archive.name), remedy=_ANOTHER
    )


def _move(source: Path, target: Path) -> None:
    """Put what is in a folder into another, empty one, each entry in one rename."""
    for path in sorted(source.iterdir()) if source.exists() else ():
        path.replace(target / path.name)
    sync(target)


class _Member(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True)

    size: int
    sha256: str


class _Manifest(BaseModel):
    """What ``backup.json`` says."""

    model_config = ConfigDict(strict=True, frozen=True)

    format: int
    made_at: datetime
    meterhouse: str
    ledger_revision: str
    members: dict[str, _Member]


class _Hashing:
    """Hashes what is read through it."""

    def __init__(self, source: IO[bytes]) -> None:
        self._source, self._digest = source, hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        block = self._source.read(size)
        self._digest.update(block)
        return block

    def hexdigest(self) -> str:
        return self._digest.hexdigest()


_ANOTHER = "use another backup; this one was damaged, or its writing was cut off"
