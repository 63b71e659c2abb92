"""Closing as a process among others, on SQLite and PostgreSQL: killed, twice at once, and from two machines."""

import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
import servers
import sqlalchemy as sa
from conftest import Cli
from moving_home import home_with_three_months, published_rows

from pipelines.home import Home
from pipelines.ledger import open_ledger
from pipelines.ledger.books_schema import BOOKS, issued_invoices
from pipelines.ledger.payments_schema import stripe_outbox
from pipelines.ledger.schema import notifications

postgres_server = servers.postgres_server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

CLOCK = datetime(2026, 4, 4, 12, 30, tzinfo=UTC)
CLOSING = """
import os, signal, sys, time
sys.path[:0] = [{tests!r}]
from pathlib import Path
from moving_home import without_checks
from pipelines.books import closing
from pipelines.cli import main

def wait_for(file, seconds=240):
    end = time.monotonic() + seconds
    while not Path(file).exists():
        assert time.monotonic() < end, file
        time.sleep(0.05)

{before}
with without_checks():
    main()
"""
KILLED = """
follows = closing._what_follows
closing._what_follows = lambda *given: [*follows(*given), lambda *_: os.kill(os.getpid(), signal.SIGKILL)]
"""
# The first holds its transaction open until the second asks for one, and a moment longer.
FIRST = """
def hold(*_):
    Path({folder!r}, "inside").touch()
    wait_for(Path({folder!r}, "asking"))
    time.sleep(1)

follows = closing._what_follows
closing._what_follows = lambda *given: [*follows(*given), hold]
"""
SECOND = """
issue = closing.issue

def ask(*given, **named):
    wait_for(Path({folder!r}, "inside"))
    Path({folder!r}, "asking").touch()
    return issue(*given, **named)

closing.issue = ask
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return home_with_three_months(tmp_path_factory.mktemp("built") / "home", CLOCK)


@dataclass
class Machine:
    """A copy of the home, and the ledger that it writes."""

    home: Home
    url: str
    cli: Cli

    def close(self, before: str = ""):
        code = CLOSING.format(tests=str(Path(__file__).parent), before=before)
        arguments = ("close", "2026-03", "--home", self.home.root, "--as-of", CLOCK.isoformat())
        settings = {"METERHOUSE_LEDGER_URL": self.url, "METERHOUSE_ALERT_URL": "http://127.0.0.1:9/nobody"}
        return self.cli(*arguments, code=code, timeout=600, settings=settings)

    def close_twice(self):
        with ThreadPoolExecutor() as both:
            return [attempt.result() for attempt in [both.submit(self.close) for _ in range(2)]]

    def counts(self) -> dict[str, int]:
        """Rows of all that a closing writes."""
        with open_ledger(self.home, self.url) as ledger, ledger.reading() as connection:
            return {
                table.name: connection.scalar(sa.select(sa.func.count()).select_from(table)) or 0
                for table in (*BOOKS, stripe_outbox, notifications)
            }

    def numbers(self) -> list[str]:
        """Those of invoices, in order."""
        numbers = sa.select(issued_invoices.c.invoice_number).order_by(issued_invoices.c.sequence_number)
        with open_ledger(self.home, self.url) as ledger, ledger.reading() as connection:
            return list(connection.scalars(numbers))


def machine(built: Home, folder: Path, url: str, cli: Cli) -> Machine:
    return Machine(Home(shutil.copytree(built.root, folder / "home")), url, cli)


@pytest.fixture(scope="module")
def ends(built, tmp_path_factory, cli, request) -> dict:
    """Killed on either engine, then closed: on SQLite once, on PostgreSQL by two commands at once."""
    found = {}
    for engine in ("sqlite", "postgresql"):
        url = request.getfixturevalue("postgres_server").new_database() if engine == "postgresql" else ""
        one = machine(built, tmp_path_factory.mktemp(engine), url, cli)
        before = one.counts()
        killed = one.close(KILLED)
        after = one.counts()
        closed = one.close_twice() if engine == "postgresql" else [one.close()]
        found[engine] = (before, killed, after, closed, one)
    return found


@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
def test_a_killed_closing_leaves_nothing_and_the_next_succeeds(ends, engine):
    before, killed, after, closed, one = ends[engine]
    assert killed.returncode == -9, killed.stdout + killed.stderr
    assert after == before
    assert before["closings"] == 0
    for result in closed:
        assert result.returncode == 0, result.stdout + result.stderr
    counts = one.counts()
    assert counts["closings"] == 1
    assert min(counts[name] for name in ("issued_invoices", "stripe_outbox", "notifications")) > 5
    assert one.numbers() == [f"INV-{number:06}" for number in range(1, counts["issued_invoices"] + 1)]


def test_of_two_commands_at_once_one_waits_and_finds_nothing_left(ends):
    *_, closed, _ = ends["postgresql"]
    assert sum("Closing 1 through 2026-03-31 by " in result.stdout for result in closed) == 1
    assert sum("Nothing to issue through 2026-03-31" in result.stdout for result in closed) == 1
    assert sum("Another command holds this home" in result.stderr for result in closed) == 1


def test_the_marts_are_the_same_on_either_engine(ends):
    sqlite, postgresql = (published_rows(ends[engine][-1].home) for engine in ("sqlite", "postgresql"))
    assert list(sqlite) == list(postgresql)
    assert {name: rows for name, rows in postgresql.items() if rows != sqlite[name]} == {}
    assert sqlite["invoices"]


def test_of_two_machines_at_once_one_is_refused_and_no_number_is_lost(built, tmp_path, cli, postgres_server):
    """Two copies of a home on one ledger: the second asks for its transaction while the first has one open."""
    url = postgres_server.new_database()
    machines = [machine(built, tmp_path / name, url, cli) for name in ("first", "second")]
    codes = [text.format(folder=str(tmp_path)) for text in (FIRST, SECOND)]
    with ThreadPoolExecutor() as both:
        attempts = [both.submit(one.close, code) for one, code in zip(machines, codes, strict=True)]
        first, second = (attempt.result() for attempt in attempts)
    assert first.returncode == 0, first.stdout + first.stderr
    assert second.returncode == 1, second.stdout + second.stderr
    assert "closing 1 was made while this one was being computed" in second.stderr
    assert "run the command again; nothing was issued" in second.stderr
    counts = machines[0].counts()
    assert counts["closings"] == 1
    assert machines[0].numbers() == [f"INV-{number:06}" for number in range(1, counts["issued_invoices"] + 1)]
    assert counts["stripe_outbox"] == counts["issued_lines"] + counts["issued_invoices"]
