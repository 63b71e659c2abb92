"""Who may read: what a home remembers is its owner's alone, whatever the umask; what it gives away is not."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import NOW

from pipelines.files import below, given_umask, matching, open_to_others, tighten
from pipelines.home import Home

PRIVATE = ("lake", "ledger", "warehouse", ".dagster")
UNDER = "import os; os.umask({umask}); from pipelines.cli import main; main()"


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def readable(folder: Path) -> list[Path]:
    """What others may read or enter."""
    return [path for path in (folder, *folder.rglob("*")) if not path.is_symlink() and mode(path) & 0o077]


@pytest.mark.slow
def test_a_home_after_a_run(finished_home):
    """Made by `init`, `simulate-usage` and `run` under the umask of the tests."""
    umask = given_umask()
    for name in PRIVATE:
        assert any((finished_home / name).rglob("*"))
        assert readable(finished_home / name) == []
    assert mode(finished_home / ".cache") == 0o700
    home = Home(finished_home)
    files = [home.published_file, *(path for path in home.inbox.rglob("*") if path.is_file())]
    for file in (*files, *home.catalog.iterdir(), *home.accounts.iterdir()):
        assert mode(file) == 0o666 & ~umask
    for folder in (home.root, home.serving, home.inbox, home.catalog, home.accounts):
        assert mode(folder) == 0o777 & ~umask


@pytest.mark.slow
def test_an_open_home_is_told_by_check_and_closed_by_the_next_writing_command(cli, finished_home, tmp_path):
    for name in (*PRIVATE, ".cache"):
        for path in (finished_home / name, *(finished_home / name).rglob("*")):
            path.chmod(mode(path) | 0o044 | 0o011 * path.is_dir())
    (tmp_path / "outside").write_text("x")
    (tmp_path / "outside").chmod(0o644)
    (finished_home / "lake" / "link").symlink_to(tmp_path / "outside")
    code = UNDER.format(umask="0o000")

    def run(*arguments):
        done = cli(*arguments, "--home", finished_home, "--as-of", NOW, code=code)
        assert done.returncode == 0, done.stderr
        return done.stdout

    told = run("check")
    for name in ("lake", "ledger", "warehouse", ".dagster", ".cache"):
        assert f"others may read {name}/" in told
    assert "lake/link is a link to" in told
    assert readable(finished_home / "lake")
    assert "lake/link is a link to" in run("backup", tmp_path / "b.tar")
    for name in (*PRIVATE, ".cache"):
        assert readable(finished_home / name) == []
    assert mode(tmp_path / "outside") == 0o644
    assert mode(tmp_path / "b.tar") == 0o600
    assert "others may read" not in run("check")
    # What is written for people has the mode that the umask gives.
    run("export", "--month", "2026-03", "--output", tmp_path / "new" / "march.csv")
    assert (mode(tmp_path / "new"), mode(tmp_path / "new" / "march.csv")) == (0o777, 0o666)


def test_what_an_owner_may_do_stays(tmp_path):
    home = Home(tmp_path).ensure()
    file = home.lake / "a" / "b"
    file.parent.mkdir()
    file.write_text("")
    file.chmod(0o555)
    home.lake.chmod(0o755)
    tighten(home.private_folders)
    assert (mode(file), mode(file.parent), mode(home.lake)) == (0o500, 0o700, 0o700)
    # Closed folders are not walked again.
    file.chmod(0o644)
    tighten(home.private_folders)
    assert mode(file) == 0o644
    assert open_to_others(home.private_folders) == []


def test_processes_that_are_started_know_the_umask_that_was_given():
    code = """
import os, subprocess, sys
from pipelines.files import given_umask, keep_private
if len(sys.argv) > 1:
    os.umask(int(sys.argv[1], 8))
keep_private()
print(f"{given_umask():03o} {os.umask(0o077):03o}", flush=True)
if len(sys.argv) > 1:
    subprocess.run([sys.executable, "-c", sys.orig_argv[2]], check=True)
"""
    environment = {name: value for name, value in os.environ.items() if name != "METERHOUSE_UMASK"}
    done = subprocess.run(
        [sys.executable, "-c", code, "027"],
        capture_output=True,
        text=True,
        check=True,
        env=environment,
        cwd=Path(__file__).parents[2],
    )
    assert done.stdout.split() == ["027", "077"] * 2


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("b.txt", "a.txt", ".hidden.txt", "inner/c.txt", "inner/.d"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "link").symlink_to("inner")
    return tmp_path


def test_what_a_folder_holds_is_listed_in_order(folder):
    names = [path.name for path in matching(folder, "*.txt")]
    assert names == ["a.txt", "b.txt"]
    assert [path.name for path in matching(folder, ".*")] == [".hidden.txt"]
    inside = [path.relative_to(folder).as_posix() for path in below(folder)]
    assert inside == [".hidden.txt", "a.txt", "b.txt", "inner/.d", "inner/c.txt", "link"]


def test_a_folder_that_is_not_there_holds_nothing(folder):
    assert matching(folder / "none", "*") == below(folder / "none") == []


@pytest.mark.parametrize("closed", [".", "inner"])
def test_a_folder_that_cannot_be_opened_is_no_empty_one(folder, closed, monkeypatch):
    def refuse(look):
        def looked(path):
            if Path(path) == folder / closed:
                raise PermissionError(13, "Permission denied", str(path))
            return look(path)

        return looked

    monkeypatch.setattr(os, "scandir", refuse(os.scandir))
    monkeypatch.setattr(os, "listdir", refuse(os.listdir))
    with pytest.raises(PermissionError):
        below(folder)
    with pytest.raises(PermissionError):
        matching(folder / closed, "*")
