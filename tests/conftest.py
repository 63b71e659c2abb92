"""What tests of several folders share: running the command line, and homes to run it on."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from parsed import KEPT, give_parsed, parsed_home

from pipelines.home import Home
from pipelines.settings import QuietTime
from pipelines.warehouse import builds, project
from pipelines.warehouse.project import target_dir

Cli = Callable[..., subprocess.CompletedProcess[str]]

NOW = "2026-04-01T00:00:00Z"


@pytest.fixture(scope="session")
def cli() -> Cli:
    """``cli("run", "--home", home)``: the command as a person runs it."""

    def run(
        *arguments: object,
        code: str = "from pipelines.cli import main; main()",
        timeout: float = 240,
        settings: dict[str, str] | None = None,
    ):
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith("METERHOUSE_")
        }
        result = subprocess.run(
            [sys.executable, "-c", code, *map(str, arguments)],
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            env={**environment, "COLUMNS": "200", "TERM": "dumb", **(settings or {})},
        )
        if arguments[:1] in (("init",), ("restore",)) and result.returncode == 0 and "--home" in arguments:
            give_parsed(Path(arguments[arguments.index("--home") + 1]))
        return result

    return run


@pytest.fixture(scope="session", autouse=True)
def _parsed_once() -> Iterator[None]:
    """Homes of tests get the project as it was parsed for all of them; a project that a test brings is parsed anew."""
    parse, ours = builds._parse, project.PROJECT_DIR

    def take(home: Home, kept: Path) -> None:
        if ours == project.PROJECT_DIR and home != KEPT:
            give_parsed(home.root)
        else:
            parse(home, kept)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(builds, "_parse", take)
        yield


@pytest.fixture(scope="session", autouse=True)
def _read_at_once() -> Iterator[None]:
    """Files that tests of this process write are read at once, but where a test says how long they are quiet."""
    with pytest.MonkeyPatch.context() as patch:
        given = QuietTime.__init__.__defaults__
        assert given is not None
        patch.setattr(QuietTime.__init__, "__defaults__", (0, 0, *given[2:]))
        yield


_UMASK = os.umask(0o022)
os.umask(_UMASK)


@pytest.fixture(autouse=True)
def _umask_as_given(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands that run in this process keep what they write private from then on; the next test begins anew."""
    monkeypatch.delenv("METERHOUSE_UMASK", raising=False)
    os.umask(_UMASK)


def shared_home(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """A home that is made once, for all workers of a test run; who changes it copies it first."""
    base = factory.getbasetemp()
    place = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / name
    with FileLock(f"{place}.lock"):
        if not (place / "made").exists():
            shutil.rmtree(place, ignore_errors=True)
            make(place / "home")
            (place / "made").touch()
    return place / "home"


@pytest.fixture(scope="session")
def _finished_home(tmp_path_factory: pytest.TempPathFactory, cli: Cli) -> Path:
    def make(home: Path) -> None:
        simulation = ["--events", 2000, "--days", 45, "--seed", 7, "--until", "2026-04-01"]
        for command in (["init", "--product", "coachos"], ["simulate-usage", *simulation], ["run"]):
            result = cli(*command, "--home", home, "--as-of", NOW)
            assert result.returncode == 0, result.stdout + result.stderr
        (home / "last-run.txt").write_text(result.stdout, encoding="utf-8")

    return shared_home(tmp_path_factory, "finished", make)


@pytest.fixture
def finished_home(_finished_home: Path, tmp_path: Path) -> Path:
    """A home after a run over 2,000 simulated records, as of NOW; each test has its own copy."""
    return shutil.copytree(_finished_home, tmp_path / "home")


@pytest.fixture(scope="session")
def manifest() -> dict[str, Any]:
    """The parsed dbt project, for tests over its structure."""
    [file] = target_dir(parsed_home()).glob("manifest-*.json")
    return json.loads(file.read_text())
