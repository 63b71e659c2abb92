"""Every command on homes in which one thing is damaged: it works, or says what, where and what to do; never more."""

import io
import os
import shutil
import sys
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

from pipelines import cli
from pipelines.api import stripe_events

AS_OF = "2026-04-01T00:00:00Z"
PLACES = [
    "catalog", "catalog/plans.yml", "catalog/sources.yml", "catalog/alerts.yml", "accounts", "accounts/customers.csv",
    "inbox", "inbox/*", "lake", "lake/commits", "lake/commits/*", "lake/events/*/*", "lake/rejects/*", "lake/ledger",
    "lake/ledger/alerts.parquet", "lake/schema", "lake/catalog", "lake/accounts", "lake/uses",
    "lake/prices", "warehouse", "warehouse/meterhouse.duckdb", "ledger", "ledger/ledger.sqlite", "serving",
    "serving/meterhouse.duckdb", ".cache", ".cache/inbox.json", ".lock", "ledger/.export.lock",
]  # fmt: skip
COMMANDS: dict[str, list[str]] = {
    "check": [],
    "usage": ["org_elbe"],
    "alerts": [],
    "recommendations": [],
    "dismiss": ["rec_x"],
    "export": ["--month", "2026-03"],
    "export-focus": ["--month", "2026-02", "--output", "{out}/focus.csv"],
    "invoice": ["--month", "2026-02", "--with-drafts", "--output", "{out}", "--format", "csv"],
    "send": [],
    "backup": ["{out}/b.tar"],
    "simulate-usage": ["--events", "20", "--days", "2", "--until", "2026-03-01"],
    "webhooks": ["--port", "18411"],
    "trace": ["line_x"],
    "rebuild": ["INV-000001"],
    "close": ["2026-02"],
}
ABOUT = {
    "catalog": ["check", "send", "simulate-usage", "webhooks", "close"],
    "accounts": ["check", "send", "simulate-usage", "close"],
    "inbox": ["check", "simulate-usage", "close"],
    "lake": ["check", "alerts", "backup", "rebuild", "close"],
    "warehouse": ["trace", "close"],
    "ledger": ["alerts", "recommendations", "send", "backup", "webhooks", "rebuild", "close"],
    "serving": ["usage", "recommendations", "dismiss", "export", "export-focus", "invoice"],
    ".cache": ["check", "close"],
    ".lock": ["backup", "close"],
}
"""Who looks at what; with METERHOUSE_TRIALS every command meets every damage, which takes an hour."""
WITHOUT_CLOCK = {"export-focus", "invoice"}


def remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def empty(path: Path) -> None:
    is_folder = path.is_dir()
    remove(path)
    path.mkdir() if is_folder else path.write_bytes(b"")


def garbage(path: Path) -> None:
    if path.is_dir():
        for name in ("x", "x.parquet", "1.parquet"):
            (path / name).write_bytes(b"\xff\x00junk")
    else:
        remove(path)
        path.write_bytes(b"\xff\x00\xfejunk" * 50)


def cut(path: Path) -> None:
    if path.is_file():
        content = path.read_bytes()
        remove(path)
        path.write_bytes(content[: len(content) // 2])


def turned(path: Path) -> None:
    """A file for a folder, a folder for a file."""
    is_folder = path.is_dir()
    remove(path)
    path.write_bytes(b"file") if is_folder else path.mkdir()


def closed(path: Path) -> None:
    """A link to itself: no one can open it, not even root, whom no permission stops."""
    remove(path)
    path.symlink_to(path)


DAMAGES: list[Callable[[Path], None]] = [remove, empty, garbage, cut, turned, closed]


@pytest.fixture(scope="module")
def small_home(_finished_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Without what only saves time, and big."""
    home = tmp_path_factory.mktemp("small") / "home"
    shutil.copytree(_finished_home, home, ignore=shutil.ignore_patterns(".dagster", "dbt"))
    (home / ".cache").mkdir(exist_ok=True)
    return home


@pytest.fixture(autouse=True)
def _quietly(monkeypatch: pytest.MonkeyPatch) -> None:
    """No server that stays, no build that takes its time, and nobody's settings."""
    for name in [name for name in os.environ if name.startswith(("METERHOUSE_", "STRIPE_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("STRIPE_WEBHOOK_SECRET", "whsec_x")
    monkeypatch.setattr(stripe_events, "serve", lambda *_: None)
    monkeypatch.setattr("pipelines.warehouse.builds._invoke", no_build)


class BuildError(Exception):
    """So far all went well: the build has tests of its own."""


def no_build(*_: object, **named: object) -> None:
    raise BuildError


def run(home: Path, command: str, monkeypatch: pytest.MonkeyPatch) -> tuple[int, str]:
    """Exit code, and what it complains of."""
    out = home.parent / "out"
    out.mkdir(exist_ok=True)
    arguments = [one.format(out=out) for one in COMMANDS[command]]
    clock = [] if command in WITHOUT_CLOCK else ["--as-of", AS_OF]
    monkeypatch.setattr(sys, "argv", ["meterhouse", command, *arguments, *clock, "--home", str(home)])
    complaints = io.StringIO()
    try:
        with redirect_stdout(io.StringIO()), redirect_stderr(complaints):
            cli.main()
    except SystemExit as ended:
        return int(ended.code or 0), complaints.getvalue()
    return 0, complaints.getvalue()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("place", PLACES)
def test_no_damage_is_unforeseen(small_home, tmp_path, monkeypatch, place):
    commands = COMMANDS if "METERHOUSE_TRIALS" in os.environ else ABOUT[place.split("/")[0]]
    unforeseen, worked, refused = [], 0, 0
    for damage in DAMAGES:
        for command in commands:
            home = tmp_path / "case" / "home"
            # Links: every damage makes what it changes anew, and nothing else writes into a file that is there.
            shutil.copytree(small_home, home, copy_function=link_or_copy)
            found = sorted(home.glob(place)) or ([home / place] if "*" not in place else [])
            damage(found[0])
            code, said = run(home, command, monkeypatch)
            worked += code == 0
            refused += code in {1, 2}
            if (
                code not in {0, 1, 2}
                or "Traceback" in said
                or ("not foreseen" in said and "BuildError" not in said)
            ):
                unforeseen.append(f"{damage.__name__} {place}, {command}: {code} {said.strip()[:300]}")
            elif code and "BuildError" not in said and "->" not in said:
                unforeseen.append(f"{damage.__name__} {place}, {command}: no remedy: {said.strip()[:300]}")
            shutil.rmtree(tmp_path / "case")
    assert not unforeseen, "\n".join([f"{len(unforeseen)} of {worked + refused}", *unforeseen])
    assert worked + refused == len(DAMAGES) * len(commands)


def link_or_copy(source: str, target: str) -> str:
    """SQLite writes into its file."""
    if source.endswith((".sqlite", ".sqlite-wal", ".sqlite-shm")):
        return str(shutil.copy2(source, target))
    os.link(source, target)
    return target
