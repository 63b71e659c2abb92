"""Ctrl-C and SIGTERM: one line that is true, exit 130 or 143, and a home as before or done.

``METERHOUSE_TRIALS`` says how often each command is interrupted at a moment of chance; ``trials.py`` does more.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import Cli
from moving_home import published_rows
from servers import free_port
from trials import AS_OF, COMMANDS, QUICK, Trials, books

from pipelines.home import Home

ROOT = Path(__file__).parents[2]
COUNT = int(os.environ.get("METERHOUSE_TRIALS", "1"))
CHEAP = ["check", "export", "init", "simulate-usage", "backup", "restore"]


# The mechanism alone


def ran(program: str, *signals: int, wait: float = 0.1) -> subprocess.CompletedProcess[str]:
    """A program that says ``ready`` and then gets the signals; what it ended with."""
    code = f"import os, signal, time\nfrom pipelines import interruption\n{program}"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT
    ) as process:
        assert process.stdout.readline() == "ready\n"
        for number in signals:
            process.send_signal(number)
            time.sleep(wait)
        out, said = process.communicate(timeout=30)
    return subprocess.CompletedProcess([], process.returncode, out, said)


WORK = """
with interruption.told(is_last=True):
    {body}
"""
BEFORE = "Interrupted: everything is as before; the command may be run again.\n"
HANG = "print('ready', flush=True); time.sleep(20)"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(
    ("body", "says"),
    [
        (HANG, BEFORE),
        (f"interruption.expect('half of it is as before'); {HANG}", "Interrupted: half of it is as before.\n"),
        (
            f"interruption.has_done('it is written'); {HANG}",
            "Interrupted, but done: it is written.\n",
        ),
        # What libraries make of it: another error, an exit, nothing at all.
        (f"\n    try:\n        {HANG}\n    except BaseException: raise RuntimeError('Query interrupted')", BEFORE),
        (f"\n    try:\n        {HANG}\n    except BaseException: raise SystemExit(1)", BEFORE),
        (f"\n    try:\n        {HANG}\n    except BaseException: pass", "Interrupted, but done: all of it.\n"),
        (f"\n    try:\n        {HANG}\n    except BaseException: pass\n    interruption.check()", BEFORE),
        # Words that a library has for an error of its own are not the command's.
        (f"\n    import logging\n    try:\n        {HANG}\n    except BaseException:\n"
         "        logging.getLogger('library').error('closing failed'); raise", BEFORE),
        # It waits for the end of what must not be left open.
        (
            "\n    with interruption.held():\n        print('ready', flush=True); time.sleep(1)\n"
            "        interruption.has_done('one of two')\n    raise AssertionError('it went on')",
            "Interrupted, but done: one of two.\n",
        ),
        ("\n    class Odd:\n        def __del__(self): time.sleep(20)\n    one = Odd(); print('ready', flush=True)\n"
         "    del one\n    time.sleep(1); interruption.check()", BEFORE),
    ],
)  # fmt: skip
def test_one_line_says_what_is(body, says, number):
    ended = ran(WORK.format(body=body), number)
    assert (ended.returncode, ended.stderr) == (128 + number, says)


def test_one_signal_may_come_twice_and_is_one():
    cleaning = f"\n    try:\n        {HANG}\n    finally:\n        time.sleep(0.5); interruption.expect('it is cleaned')"
    ended = ran(WORK.format(body=cleaning), signal.SIGINT, signal.SIGINT)
    assert (ended.returncode, ended.stderr) == (130, "Interrupted: it is cleaned.\n")


def test_who_asks_twice_waits_for_nothing():
    begin = time.monotonic()
    cleaning = f"\n    try:\n        {HANG}\n    finally:\n        time.sleep(25)"
    ended = ran(WORK.format(body=cleaning), signal.SIGTERM, signal.SIGTERM, wait=1.2)
    assert (ended.returncode, ended.stderr) == (143, BEFORE)
    assert time.monotonic() - begin < 20


def test_a_signal_that_was_ignored_stays_so():
    """As with nohup, and in the background of a script."""
    before = "signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
    body = "print('ready', flush=True); time.sleep(1); print('done')"
    ended = ran(before + WORK.format(body=body), signal.SIGINT)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "done\n", "")
    assert ran(before + WORK.format(body=HANG), signal.SIGTERM).returncode == 143


def test_without_a_signal_nothing_is_said():
    ended = ran(WORK.format(body="print('ready', flush=True); raise SystemExit(2)"))
    assert (ended.returncode, ended.stderr) == (2, "")


# Commands


@pytest.fixture(scope="module")
def trials(tmp_path_factory: pytest.TempPathFactory) -> Trials:
    return Trials(tmp_path_factory.mktemp("trials"))


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", CHEAP)
def test_a_command_is_interrupted_at_any_moment(trials, name):
    figures = trials.signals(COUNT, COMMANDS[name])
    assert figures.is_clean, figures


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", ["kills_of_issuing", "kills_of_send", "kills_of_backup", "kills_of_restore"])
def test_a_killed_command_loses_nothing_and_doubles_nothing(trials, name):
    figures = getattr(trials, name)(COUNT + 1)
    assert figures.is_clean, figures


AT = f"""
import os, signal, sys
sys.path[:0] = [{str(ROOT / "tests" / "books")!r}]
from moving_home import without_checks
from pipelines.cli import main
from pipelines{{module}} import {{name}} as holder

function = holder.{{function}}

def interrupted(*given, **named):
    holder.{{function}} = function
    os.kill(os.getpid(), signal.{{signal}})
    return function(*given, **named)

holder.{{function}} = interrupted
with without_checks():
    main()
"""
CLOSE, RUN = ("close", "2026-03"), ("run",)
MOMENTS = {
    "before issuing": (CLOSE, ".books", "closing", "read_plan", "SIGINT", "everything is as before", 0),
    "within issuing": (CLOSE, ".books", "closing", "issue", "SIGTERM", "closing 1 is issued and in the ledger; do", 1),
    "before publishing": (RUN, ".serving", "publish", "_copy", "SIGTERM", "what is published is as before", 0),
    "after publishing": (RUN, ".orchestration.assets", "serving", "measure", "SIGINT", "done: what was read is published", 0),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("moment", MOMENTS)
def test_the_line_is_true_at_the_moments_that_matter(trials, cli: Cli, tmp_path, moment):
    arguments, module, name, function, number, says, closings = MOMENTS[moment]
    home = Home(shutil.copytree(trials.built.root, tmp_path / "home"))
    Trials.put(home, 0)
    if arguments == CLOSE:
        (home.inbox / "new-000.jsonl").unlink()
    before = published_rows(home)
    code = AT.format(module=module, name=name, function=function, signal=number)
    where = [*AS_OF, "--home", home.root]
    ended = cli(*arguments, *where, code=code, timeout=600)
    assert ended.returncode == 128 + getattr(signal, number), ended.stderr
    [line] = [line for line in ended.stderr.splitlines() if line.startswith("Interrupted")]
    assert says in line
    assert "Traceback" not in ended.stderr
    assert bool(books(tmp_path)) == bool(closings)
    is_new = published_rows(home) != before
    assert is_new == (moment == "after publishing")
    if moment == "within issuing":
        # The remedy of the line: a run publishes what was issued.
        again = cli("run", *where, code=QUICK, timeout=600)
        assert again.returncode == 0, again.stderr
        assert len([one for one in published_rows(home)["invoices"] if "INV-000001" in one]) == 1


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_listening_ends_when_it_is_told_to(trials, tmp_path, number):
    """That is how it ends; what does not say anything is not waited for."""
    home = Home(shutil.copytree(trials.built.root, tmp_path / "home"))
    port = free_port()
    with subprocess.Popen(
        [sys.executable, "-c", "from pipelines.entry import main; main()", "webhooks", "--port", str(port), "--home", home.root],
        env=os.environ | {"STRIPE_WEBHOOK_SECRET": "whsec_x"},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT,
    ) as process:  # fmt: skip
        assert "Listening at" in process.stdout.readline()
        for _ in range(200):
            try:
                slow = socket.create_connection(("127.0.0.1", port))
                break
            except ConnectionRefusedError:
                time.sleep(0.05)
        with slow:
            slow.sendall(b"POST /webhooks/stripe HTTP/1.1\r\n")
            time.sleep(0.2)
            begin = time.monotonic()
            process.send_signal(number)
            _, said = process.communicate(timeout=30)
    assert process.returncode == 128 + number
    assert said == "Interrupted, but done: listening has ended, and every event that was answered is kept.\n"
    assert time.monotonic() - begin < 10


# A history that cannot be written


SMALL = """
import sqlalchemy as sa
from pipelines.orchestration import run_history as history

def full(self, shard, made=history.KeptOpenEventLogStorage._open):
    engine = made(self, shard)
    with engine.connect() as connection:
        connection.execute(sa.text("pragma max_page_count = 1"))
    return engine

history.KeptOpenEventLogStorage._open = full
"""


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize(("how", "says"), [("full", "disk is full"), ("damaged", "not a database")])
def test_a_run_publishes_without_its_history(trials, cli: Cli, tmp_path, how, says):
    """SQLite says that the disk is full as soon as a file would grow; Dagster's own files may be damaged."""
    home = Home(shutil.copytree(trials.built.root, tmp_path / "home"))
    Trials.put(home, 0)
    before = published_rows(home)
    shutil.rmtree(home.root / ".dagster", ignore_errors=True)
    if how == "damaged":
        (home.root / ".dagster" / "history").mkdir(parents=True)
        (home.root / ".dagster" / "history" / "runs.db").write_bytes(b"\xffjunk" * 1000)
    code = (SMALL if how == "full" else "") + QUICK
    ended = cli("run", *AS_OF, "--home", home.root, code=code, timeout=600)
    assert ended.returncode == 0, ended.stderr
    assert published_rows(home) != before
    assert "Read 1 file" in ended.stdout
    said = " ".join(ended.stdout.split())
    assert "Warning: the run's history is not whole:" in said
    assert says in said
    assert str(home.root / ".dagster") in said
