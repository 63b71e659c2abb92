"""The built wheel in an environment of its own: everything comes with it, and it writes nothing beside itself.

Guards against data that only a checkout has. What it depends on is taken from the environment of the tests.
"""

import os
import re
import signal
import subprocess
import sys
import sysconfig
import time
import urllib.request
from pathlib import Path

import duckdb
import pytest
from servers import free_port

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

ROOT = Path(__file__).parents[2]
AS_OF = ("--as-of", "2026-04-05T00:00:00Z")


@pytest.fixture(scope="module")
def command(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``meterhouse`` of a wheel, installed read-only."""
    place = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", place], cwd=ROOT, check=True
    )
    environment = place / "environment"
    subprocess.run([sys.executable, "-m", "venv", environment], check=True)
    [packages] = environment.glob("lib/python*/site-packages")
    # Without the .pth of the checkout, which is read only in a place of packages of its own.
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    [wheel] = place.glob("*.whl")
    pip = [environment / "bin/python", "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*pip, "--force-reinstall", wheel], check=True)
    subprocess.run(["chmod", "-R", "a-w", packages], check=True)
    return environment / "bin/meterhouse"


@pytest.fixture
def elsewhere(tmp_path) -> Path:
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    return folder


def run(command: Path, folder: Path, *arguments: str) -> str:
    told = {
        name: value for name, value in os.environ.items() if not name.startswith(("METERHOUSE", "PYTHON"))
    }
    ended = subprocess.run(
        [command, *arguments], cwd=folder, env=told, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def installed(command: Path) -> dict[Path, tuple[int, int]]:
    packages = next(command.parents[1].glob("lib/python*/site-packages"))
    return {
        path: (path.stat().st_size, path.stat().st_mtime_ns)
        for name in ("pipelines", "models")
        for path in (packages / name).rglob("*")
        if path.is_file()
    }


def test_a_wheel_runs_from_any_folder_and_leaves_itself_as_it_was(command, elsewhere):
    before = installed(command)
    assert re.fullmatch(r"meterhouse \d+\.\d+\.\d+\n", run(command, elsewhere, "--version"))
    where = subprocess.run(
        [command.with_name("python"), "-c", "import pipelines; print(pipelines.__file__)"],
        cwd=elsewhere, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert where.startswith(str(command.parents[1]))
    run(command, elsewhere, "init", "--product", "coachos", "--home", "home")
    run(
        command,
        elsewhere,
        "simulate-usage",
        "--events",
        "400",
        "--days",
        "35",
        "--until",
        "2026-04-03",
        "--home",
        "home",
        *AS_OF,
    )
    assert "Read " in run(command, elsewhere, "run", "--home", "home", *AS_OF)
    assert "Closing 1 through 2026-03-31" in run(
        command, elsewhere, "close", "2026-03", "--home", "home", *AS_OF
    )
    with duckdb.connect(str(elsewhere / "home/serving/meterhouse.duckdb"), read_only=True) as published:
        assert published.execute("select count(*) > 0 from invoices where status = 'issued'").fetchall() == [
            (True,)
        ]
    interface_answers(command, elsewhere)
    assert installed(command) == before


def interface_answers(command: Path, folder: Path) -> None:
    port = free_port()
    with subprocess.Popen(
        [command, "ui", "--port", str(port), "--home", "home"], cwd=folder, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    ) as process:  # fmt: skip
        try:
            until = time.monotonic() + 120
            while True:
                assert process.poll() is None, process.stdout.read()
                try:
                    with urllib.request.urlopen(f"http://127.0.0.1:{port}/server_info", timeout=5) as answer:
                        assert answer.status == 200
                    break
                except OSError:
                    assert time.monotonic() < until
                    time.sleep(0.5)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)
