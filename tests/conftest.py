"""What tests of several folders share: running the command line, and homes to run it on."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Cli = Callable[..., subprocess.CompletedProcess[str]]

NOW = "2026-04-01T00:00:00Z"
PROJECT = Path(__file__).parents[1] / "dbt_project"


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
        return subprocess.run(
            [sys.executable, "-c", code, *map(str, arguments)],
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            env={**environment, "COLUMNS": "200", "TERM": "dumb", **(settings or {})},
        )

    return run


@pytest.fixture(scope="session")
def _finished_home(tmp_path_factory: pytest.TempPathFactory, cli: Cli) -> Path:
    home = tmp_path_factory.mktemp("finished") / "home"
    simulation = ["--events", 2000, "--days", 45, "--seed", 7, "--until", "2026-04-01"]
    for command in (["init", "--product", "coachos"], ["simulate-usage", *simulation], ["run"]):
        result = cli(*command, "--home", home, "--as-of", NOW)
        assert result.returncode == 0, result.stdout + result.stderr
    (home / "last-run.txt").write_text(result.stdout, encoding="utf-8")
    return home


@pytest.fixture
def finished_home(_finished_home: Path, tmp_path: Path) -> Path:
    """A home after a run over 2,000 simulated records, as of NOW; each test has its own copy."""
    return shutil.copytree(_finished_home, tmp_path / "home")


@pytest.fixture(scope="session")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The parsed dbt project, for tests over its structure."""
    from dbt.cli.main import dbtRunner

    target = tmp_path_factory.mktemp("manifest")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("METERHOUSE_WAREHOUSE_FILE", str(target / "unused.duckdb"))
        result = dbtRunner().invoke(
            ["parse", "--project-dir", str(PROJECT), "--profiles-dir", str(PROJECT), "--target-path", str(target),
             "--log-path", str(target), "--quiet"]
        )  # fmt: skip
    assert result.success, result.exception
    return json.loads((target / "manifest.json").read_text())
