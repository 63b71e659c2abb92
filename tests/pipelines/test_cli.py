"""The command line's promises that need no run: exit codes, help, and that wrong input changes nothing."""

import os
import socket
from pathlib import Path

import pytest

from pipelines import cli as command_line
from pipelines.times import parse_instant

COMMANDS = ["init", "simulate-usage", "run", "check", "alerts", "usage", "export", "ui"]


@pytest.fixture
def home(tmp_path: Path, cli) -> Path:
    assert cli("init", "--product", "coachos", "--home", tmp_path / "home").returncode == 0
    return tmp_path / "home"


def files_of(home: Path) -> dict[str, bytes]:
    return {str(file.relative_to(home)): file.read_bytes() for file in home.rglob("*") if file.is_file()}


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_an_example(cli, command):
    result = cli(command, "--help")
    assert result.returncode == 0
    assert f"meterhouse {command}" in result.stdout.split("Example")[-1]
    assert "--home" in result.stdout
    assert "--as-of" in result.stdout


def test_help_does_not_wait_for_dagster(cli):
    listing = cli(
        "--help", code="import sys, pipelines.cli; print([m for m in sys.modules if 'dagster' in m])"
    )
    assert listing.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["run", "--as-of", "yesterday"], "2026-03-31T23:59:59Z"),
        (["run", "--as-of", "0001-01-01T00:00:00+14:00"], "out of range"),
        (["run", "--sideways"], "No such option"),
        (["simulate-usage", "--events", "0"], "--events"),
        (["simulate-usage", "--until", "April"], "2026-04-01"),
        (["init", "--product", "nothing"], "coachos"),
        (["init", "--product", "coachs"], "did you mean coachos?"),
        (["init"], "write ai_pair_orchestrator, coachos"),
        (["ui", "--as-of", "2026-03-31T23:59:59Z"], "wall clock"),
        (["usage"], "CUSTOMER"),
        (["export", "tundra"], "--month 2026-03"),
        (["nonsense"], "No such command"),
    ],
)
def test_wrong_arguments_exit_2_and_change_nothing(cli, home, arguments, says):
    before = files_of(home)
    result = cli(*arguments, *(["--home", home] if arguments != ["nonsense"] else []))
    assert result.returncode == 2, result.stderr
    assert says in result.stderr
    assert "Traceback" not in result.stderr
    assert files_of(home) == before


@pytest.mark.parametrize("command", ["run", "check", "simulate-usage", "ui"])
def test_no_home_is_exit_2_and_says_how_to_start_one(cli, tmp_path, command):
    result = cli(command, "--home", tmp_path / "nowhere")
    assert result.returncode == 2
    assert "meterhouse init --product" in result.stderr
    assert not (tmp_path / "nowhere").exists()


def test_init_again_keeps_equal_documents_and_refuses_to_replace_others(cli, home):
    assert cli("init", "--product", "coachos", "--home", home).returncode == 0
    plans = home / "catalog" / "plans.yml"
    plans.write_text(plans.read_text() + "\n# ours\n")
    before = files_of(home)
    result = cli("init", "--product", "coachos", "--home", home)
    assert result.returncode == 2
    assert "catalog/plans.yml" in result.stderr
    assert files_of(home) == before


def test_run_reports_every_fault_of_the_configuration_and_changes_nothing(cli, home):
    meters = home / "catalog" / "meters.yml"
    meters.write_text(meters.read_text().replace("aggregation: ", "aggregation: wrong_", 1))
    customers = home / "accounts" / "customers.csv"
    customers.write_text(customers.read_text() + "\nnew_customer,Name,mail@example.com,Mars/Olympus,,\n")
    before = files_of(home)
    result = cli("run", "--home", home)
    assert result.returncode == 2
    assert "catalog/meters.yml" in result.stderr
    assert "accounts/customers.csv" in result.stderr
    after = files_of(home)
    after.pop(".lock", None)
    assert after == before


def test_check_lists_what_waits_and_which_source_takes_it(cli, home):
    (home / "inbox" / "usage_event_1.jsonl").write_text("{}\n")
    (home / "inbox" / "other.jsonl").write_text("{}\n{}\n")
    result = cli("check", "--home", home)
    assert result.returncode == 0, result.stderr
    assert "usage_event_1.jsonl: source usage_event" in result.stdout
    assert "other.jsonl: no source fits" in result.stdout
    assert "Left alone" not in result.stdout
    assert not (home / "lake" / "events").exists()


def test_check_lists_what_is_left_alone_with_the_reason(cli, home):
    for name in ("notes.txt", "a.txt", "b.txt", "c.txt", ".DS_Store", "usage.csv.part"):
        (home / "inbox" / name).touch()
    (home / "inbox" / os.fsdecode(b"caf\xe9.csv")).write_text("a,b\n1,2")
    os.mkfifo(home / "inbox" / "pipe.jsonl")
    result = cli("check", "--home", home)
    assert result.returncode == 0, result.stderr
    told = result.stdout.splitlines()
    start = told.index("Inbox: 1 new file to read.")
    assert told[start + 1 : start + 8] == [
        "  caf\\xe9.csv: no source fits; plain events; not yet: its last line has no end, so its writer may be at work:"
        " it is read once unchanged for 60 seconds",
        "Left alone in the inbox: 7.",
        "  .DS_Store: no delivery: its name begins with .",
        "  a.txt, b.txt, c.txt, notes.txt: not a usage file by its ending",
        "  pipe.jsonl: a named pipe, not a regular file",
        "  usage.csv.part: no delivery: its name ends in .part",
        "Lake: every row read is accepted, duplicate or rejected.",
    ]


def test_ui_says_when_its_port_is_taken(cli, home):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        result = cli("ui", "--port", taken.getsockname()[1], "--home", home)
    assert result.returncode == 2
    assert "not free" in result.stderr


def test_the_unforeseen_is_exit_1_without_a_traceback(monkeypatch, capsys):
    def broken(prog_name: str) -> None:
        raise ZeroDivisionError("boom")

    monkeypatch.setattr(command_line, "_commands", lambda: broken)
    monkeypatch.setattr("sys.argv", ["meterhouse", "run"])
    with pytest.raises(SystemExit) as exit_:
        command_line.main()
    assert exit_.value.code == 1
    told = capsys.readouterr().err
    assert "ZeroDivisionError: boom" in told
    assert "the command is safe to repeat" in told
    assert "Traceback" not in told


def test_an_instant_without_offset_is_one_in_utc() -> None:
    assert parse_instant("2026-03-31T23:59:59") == parse_instant("2026-03-31T23:59:59Z")
    assert parse_instant("2026-03-31") == parse_instant("2026-03-31T00:00:00+00:00")
    assert parse_instant("2026-03-31T02:00:00+02:00") == parse_instant("2026-03-31")
