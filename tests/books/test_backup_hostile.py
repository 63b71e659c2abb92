"""Archives that somebody made by hand: each is refused in words, and nothing of it is restored."""

import hashlib
import io
import json
import os
import re
import tarfile
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pipelines.errors import ConfigurationError, MeterhouseError
from pipelines.home import Home
from pipelines.ledger import URL_VARIABLE
from pipelines.maintenance.backup import back_up, restore

NOW = datetime(2026, 4, 4, tzinfo=UTC)
Made = Callable[["Archive"], None]


@dataclass
class Archive:
    """A backup to be spoiled: its members in order, and a list of them that fits."""

    members: list[tuple[tarfile.TarInfo, bytes]] = field(default_factory=list)
    manifest: dict = field(default_factory=dict)
    is_listed: bool = True
    listed_as: bytes | None = None

    def add(self, name: str, content: bytes = b"x", *, first: bool = False, **fields: object) -> None:
        entry = tarfile.TarInfo(name)
        entry.size = len(content)
        for key, value in fields.items():
            setattr(entry, key, value)
        self.members.insert(0 if first else len(self.members), (entry, content))

    def write(self, file: Path) -> None:
        listed = {
            entry.name: {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
            for entry, content in self.members
        }
        manifest = {"members": listed} | self.manifest
        with tarfile.open(file, "w", format=tarfile.PAX_FORMAT) as target:
            for entry, content in self.members:
                target.addfile(entry, io.BytesIO(content))
            if self.is_listed:
                entry = tarfile.TarInfo("backup.json")
                content = json.dumps(manifest).encode() if self.listed_as is None else self.listed_as
                entry.size = len(content)
                target.addfile(entry, io.BytesIO(content))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv(URL_VARIABLE, raising=False)
        home = Home(tmp_path_factory.mktemp("source")).ensure()
        (home.catalog / "plans.yml").write_text("plans: []")
        (home.lake / "x.parquet").write_bytes(b"x" * 500)
        file = home.root / "whole.tar"
        back_up(home, file, NOW)
    return file


def read(file: Path) -> Archive:
    archive = Archive()
    with tarfile.open(file) as source:
        for entry in source:
            content = source.extractfile(entry).read()
            if entry.name == "backup.json":
                archive.manifest = {
                    key: value for key, value in json.loads(content).items() if key != "members"
                }
            else:
                archive.members.append((entry, content))
    return archive


def ledger(name: str, content: bytes) -> Made:
    """Another content of a table, with a list that fits it."""

    def spoil(archive: Archive) -> None:
        archive.members = [
            (entry, old) for entry, old in archive.members if entry.name != f"ledger/{name}.jsonl"
        ]
        archive.add(f"ledger/{name}.jsonl", content)

    return spoil


def sparse(archive: Archive) -> None:
    """A few bytes that stand for a tebibyte."""
    archive.add("lake/bomb.parquet", b"", pax_headers={"GNU.sparse.major": "0", "GNU.sparse.minor": "1",
                "GNU.sparse.size": str(1 << 40), "GNU.sparse.map": f"{1 << 40},0", "GNU.sparse.name": "lake/bomb.parquet"})  # fmt: skip


ALERT = b'{"alert_id": "a", "customer_id": "c", "kind": "spike", "severity": "info", "message": "m", %s}\n'
SPOILED: dict[str, Made] = {
    "a symbolic link": lambda made: made.add("lake/l", b"", type=tarfile.SYMTYPE, linkname="x.parquet"),
    "a symbolic link out": lambda made: made.add("lake/l", b"", type=tarfile.SYMTYPE, linkname="/etc/passwd"),
    "a hard link": lambda made: made.add("lake/l", b"", type=tarfile.LNKTYPE, linkname="lake/x.parquet"),
    "a link to nothing": lambda made: made.add("lake/l", b"", type=tarfile.LNKTYPE, linkname="lake/none"),
    "a link first": lambda made: made.add("catalog", b"", first=True, type=tarfile.SYMTYPE, linkname="/tmp"),
    "a folder": lambda made: made.add("lake/f", b"", type=tarfile.DIRTYPE),
    "a character device": lambda made: made.add("lake/d", b"", type=tarfile.CHRTYPE, devmajor=1, devminor=3),
    "a block device": lambda made: made.add("lake/d", b"", type=tarfile.BLKTYPE, devmajor=8),
    "a pipe": lambda made: made.add("lake/d", b"", type=tarfile.FIFOTYPE),
    "an unknown type": lambda made: made.add("lake/d", b"", type=b"Z"),
    "an absolute path": lambda made: made.add("/lake/x"),
    "a path up": lambda made: made.add("lake/../../x"),
    "a path with dots": lambda made: made.add("lake/./y"),
    "a path with two slashes": lambda made: made.add("lake//y"),
    "an empty name": lambda made: made.add("lake/"),
    "another folder": lambda made: made.add("inbox/x"),
    "an export of the ledger": lambda made: made.add("lake/ledger/closings/9.parquet"),
    "a member twice": lambda made: made.add("lake/x.parquet", b"x" * 500),
    "a file that is a folder, too": lambda made: made.add("lake/x.parquet/y"),
    "a folder that is a file, too": lambda made: (made.add("lake/z/y"), made.add("lake/z")),
    "a name that no disk takes": lambda made: made.add("lake/" + "n" * 300),
    "a name that is not UTF-8": lambda made: made.add("lake/\udcff"),
    "a name that moves the cursor": lambda made: made.add("lake/\x1b[2J", type=tarfile.SYMTYPE),
    "a sparse file": sparse,
    "no list": lambda made: setattr(made, "is_listed", False),
    "a list twice": lambda made: made.add("backup.json", b"{}"),
    "a list that is none": lambda made: setattr(made, "listed_as", b"[]"),
    "a list that is text": lambda made: setattr(made, "listed_as", b'"x"'),
    "a list that is no JSON": lambda made: setattr(made, "listed_as", b"\xff\x00"),
    "a deep list": lambda made: setattr(made, "listed_as", b"[" * 200_000),
    "an empty list": lambda made: setattr(made, "listed_as", b"{}"),
    "a number as time": lambda made: made.manifest.update(made_at=17),
    "no time": lambda made: made.manifest.pop("made_at"),
    "a format in words": lambda made: made.manifest.update(format="1"),
    "a format of tomorrow": lambda made: made.manifest.update(format=2),
    "members in an array": lambda made: made.manifest.update(members=[]),
    "members that say nothing": lambda made: made.manifest.update(members={"lake/x.parquet": None}),
    "members with a size in words": lambda made: made.manifest.update(
        members={"lake/x": {"size": "1", "sha256": "0"}}
    ),
    "rows that are no JSON": ledger("alerts", b"{\n"),
    "rows that are no objects": ledger("alerts", b"[]\n17\n"),
    "rows of another table": ledger("alerts", b'{"sparrow": 1}\n'),
    "rows without a key": ledger("alerts", b"{}\n"),
    "rows that are not UTF-8": ledger("alerts", b"\xff\n"),
    "rows that are deep": ledger("alerts", b"[" * 100_000 + b"\n"),
    "a day that is none": ledger("alerts", ALERT % b'"triggered_on": "yesterday"'),
    "a day that is a number": ledger("alerts", ALERT % b'"triggered_on": 5'),
    "a decimal that is none": ledger("alerts", ALERT % b'"triggered_on": "2026-03-03", "threshold": "much"'),
    "a value that is an object": ledger("alerts", ALERT % b'"triggered_on": "2026-03-03", "meter_id": {}'),
    "a number beyond all": ledger("closings", b'{"closing_number": 1' + b"0" * 400 + b"}\n"),
    "a table less": lambda made: made.members.__delitem__(
        [entry.name for entry, _ in made.members].index("ledger/alerts.jsonl")
    ),
}


def assert_refused(file: Path, folder: Path) -> str:
    home = Home(folder / "empty")
    with pytest.raises(MeterhouseError) as caught:
        restore(home, file)
    assert not [path for path in home.root.rglob("*") if not path.is_dir()]
    assert caught.value.where
    assert caught.value.remedy
    told = str(caught.value)
    assert "\x1b" not in told
    told.encode()  # A terminal can show it.
    return told


@pytest.mark.filterwarnings("ignore:Column 'alerts.alert_id'")
@pytest.mark.parametrize("how", SPOILED)
def test_what_is_no_backup_is_refused(whole, tmp_path, monkeypatch, how):
    monkeypatch.delenv(URL_VARIABLE, raising=False)
    archive = read(whole)
    SPOILED[how](archive)
    archive.write(tmp_path / "spoiled.tar")
    told = assert_refused(tmp_path / "spoiled.tar", tmp_path)
    words = (
        "another version"
        if how == "a format of tomorrow"
        else "no backup|not whole|written out|SQLite ledger"
    )
    assert re.search(words, told), told
    assert not (tmp_path / "x").exists()


def test_the_archive_that_the_others_are_made_from_is_restored(whole, tmp_path, monkeypatch):
    """None of the refusals above is owed to how these archives are written."""
    monkeypatch.delenv(URL_VARIABLE, raising=False)
    archive = read(whole)
    archive.add("lake/y/z.parquet")
    archive.write(tmp_path / "rewritten.tar")
    made = restore(Home(tmp_path / "home"), tmp_path / "rewritten.tar")
    assert (tmp_path / "home" / "lake" / "y" / "z.parquet").read_bytes() == b"x"
    assert made.made_at == NOW


@pytest.mark.parametrize(
    "content", [b"", b"\x00" * 20_480, b"\xff" * 5_000, b"PK\x03\x04", b"\x1f\x8b\x08" + b"x" * 600]
)
def test_what_is_no_archive_is_refused(tmp_path, content):
    (tmp_path / "odd.tar").write_bytes(content)
    assert_refused(tmp_path / "odd.tar", tmp_path)


def test_a_backup_that_is_cut_anywhere_is_refused(whole, tmp_path):
    content = whole.read_bytes()
    for at in range(0, content.rindex(b'"members"'), max(1, len(content) // 40)):
        (tmp_path / "cut.tar").write_bytes(content[:at])
        assert_refused(tmp_path / "cut.tar", tmp_path)


def test_what_is_no_file_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for name in ("pipe", "none", "."):
        with pytest.raises(ConfigurationError, match="there is no file"):
            restore(Home(tmp_path / "empty"), tmp_path / name)
