"""Trials by hand: commands that are killed or interrupted at any moment, and commands at once, with figures.

``make trials N=25`` tries everything 25 times; ``NAMES="kills_of_send signals_check"`` chooses. The tests of the suite call the same functions with small numbers. What a fault must leave is said here once:
what was there before or what is there after, and after one more undisturbed command the same as without any fault.
"""

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import sqlalchemy as sa
from fake_stripe import KEY, FakeStripe
from moving_home import KINDS, home_with_three_months, published_rows, without_checks
from payment_ledgers import (
    end_leases,
    invoice_row,
    issue_documents,
    issue_invoices,
    line_row,
    send,
    start_sender,
)
from warm_processes import Warm

from pipelines.home import Home
from pipelines.ledger import open_ledger
from pipelines.ledger.books import Documents, all_closings
from pipelines.ledger.books_schema import BOOKS, issued_lines
from pipelines.ledger.payments_schema import stripe_outbox

TESTS = Path(__file__).parents[1]
CLOCK = datetime(2026, 4, 4, 12, 30, tzinfo=UTC)
AS_OF = ("--as-of", CLOCK.isoformat())
START = "from pipelines.entry import main; main()"


@dataclass
class Figures:
    """What came of trials.

    :param hit: processes that the fault met while they ran.
    :param lost: events, lines or documents that are missing in the end.
    :param doubled: those that are there more than once.
    :param wrong: what else is not as it must be, in words.
    """

    tried: int = 0
    hit: int = 0
    lost: int = 0
    doubled: int = 0
    ends: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def compare(self, got: Counter[Any], wanted: Counter[Any]) -> None:
        self.lost += (wanted - got).total()
        self.doubled += (got - wanted).total()

    @property
    def is_clean(self) -> bool:
        return self.tried > 0 and not (self.lost or self.doubled or self.wrong)

    def __str__(self) -> str:
        ends = ", ".join(f"{count} x {end}" for end, count in sorted(self.ends.items()))
        words = f"{self.tried} tried, {self.hit} hit, {self.lost} lost, {self.doubled} doubled; {ends}"
        return "\n  ".join([words, *self.wrong])


# What processes run


def quick(*arguments: str) -> None:
    """``meterhouse`` without the marts' checks, which have tests of their own and take most of a build's time."""
    from pipelines.cli import main

    sys.argv = ["meterhouse", *arguments]
    with without_checks():
        main()


def dying(seconds: float, *arguments: str) -> None:
    """``quick``, killed so long after issuing began."""
    import threading

    from pipelines.books import closing

    issue = closing.issue

    def begin(*given: Any, **named: Any) -> Any:
        threading.Timer(seconds, os.kill, (os.getpid(), signal.SIGKILL)).start()
        return issue(*given, **named)

    closing.issue = begin
    quick(*arguments)


def issuing(home: str, count: int, seconds: float) -> None:
    """Issue documents of so many customers, as a closing does; killed after some seconds."""
    import threading

    with open_ledger(Home(Path(home)), "") as ledger:
        threading.Timer(seconds, os.kill, (os.getpid(), signal.SIGKILL)).start()
        issue_documents(ledger, many_documents(count))


def many_documents(count: int) -> Documents:
    invoices = [invoice_row(number, f"c-{number}", 700, 2) for number in range(1, count + 1)]
    lines = [line_row(n, place, f"c-{n}", 350) for n in range(1, count + 1) for place in (1, 2)]
    return Documents(invoices, lines)


def ended(process: Warm, figures: Figures, timeout: float = 600) -> int:
    code = process.end(timeout).returncode
    figures.ends[str(code)] += 1
    figures.hit += code < 0
    return code


def kill_after(process: Warm, seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end and process.is_running:
        time.sleep(0.002)
    process.kill()


# What is there


def ledger_lines(home: Home) -> Counter[str]:
    """Issued lines and outbox rows, by id."""
    with open_ledger(home, "") as ledger, ledger.reading() as connection:
        return Counter(
            [
                *connection.scalars(sa.select(issued_lines.c.invoice_line_id)),
                *connection.scalars(sa.select(stripe_outbox.c.subject_id)),
            ]
        )


def ledger_rows(home: Home) -> dict[str, list[str]]:
    """The books by table, without the wall clock of closings."""
    with open_ledger(home, "") as ledger, ledger.reading() as connection:
        return {
            table.name: sorted(
                map(
                    repr,
                    connection.execute(sa.select(*(c for c in table.c if c.name != "recorded_at"))).all(),
                )
            )
            for table in (*BOOKS, stripe_outbox)
        }


def billed_events(home: Home) -> Counter[Any]:
    """How many events each day of each customer and meter counts, as published."""
    with duckdb.connect(str(home.published_file), read_only=True) as tables:
        rows = tables.execute(
            "select customer_id, meter_id, usage_date, event_count from daily_usage"
        ).fetchall()
    return Counter({row[:3]: row[3] for row in rows})


def files_of(folder: Path) -> dict[str, bytes]:
    """Everything but what only saves time, and locks."""
    return {
        file.relative_to(folder).as_posix(): file.read_bytes()
        for file in sorted(folder.rglob("*"))
        if file.is_file() and not any(part.startswith(".") for part in file.relative_to(folder).parts)
    }


class Trials:
    """Homes that are made once, and the trials over copies of them."""

    def __init__(self, folder: Path, seed: int = 20260404) -> None:
        self.folder, self.chance = folder, random.Random(seed)
        self._built: Home | None = None
        self._numbers = iter(range(10**6))

    @property
    def built(self) -> Home:
        """Three months that were run and that nobody has closed."""
        if self._built is None:
            self._built = home_with_three_months(self.folder / "built", CLOCK)
        return self._built

    def copy(self, home: Home) -> Home:
        return Home(shutil.copytree(home.root, self.folder / f"copy-{next(self._numbers)}" / "home"))

    def forget(self, home: Home) -> None:
        shutil.rmtree(home.root.parent)

    def start(
        self, home: Home, *arguments: str, function: Callable[..., object] = quick, **settings: str
    ) -> Warm:
        where = [] if function in (issuing,) else ["--home", str(home.root)]
        return Warm(function, *arguments, *where, environment=settings)

    def undisturbed(self, home: Home, *arguments: str, **settings: str) -> float:
        begin = time.monotonic()
        result = self.start(home, *arguments, **settings).end(900)
        assert result.returncode == 0, result
        return time.monotonic() - begin

    def kills_of_run(self, count: int) -> Figures:
        """One new file for each; what a killed run left is found by the next, which is killed, too."""
        figures = Figures()
        home, other = self.copy(self.built), self.copy(self.built)
        duration = self.undisturbed(other, "run", *AS_OF)
        for number in range(count):
            self.put(home, number)
            self.put(other, number)
            process = self.start(home, "run", *AS_OF)
            kill_after(process, self.chance.uniform(0, duration))
            figures.tried += 1
            ended(process, figures)
            billed_events(home)  # What is published can be read at any moment.
        self.undisturbed(home, "run", *AS_OF)
        self.undisturbed(other, "run", *AS_OF)
        figures.compare(billed_events(home), billed_events(other))
        if published_rows(home) != published_rows(other):
            figures.wrong.append("other rows are published than without kills")
        return figures

    @staticmethod
    def put(home: Home, number: int) -> None:
        day = date(2026, 3, 1) + timedelta(days=number % 30)
        record = (
            '{{"event_id": "new-{}-{}", "customer_id": "{}", "event_type": "{}", "occurred_at": "{}T10:00:00Z",'
            ' "quantity": "3"}}\n'
        )
        rows = [
            record.format(number, kind, customer, kind, day)
            for customer, kinds in KINDS.items()
            for kind in kinds
        ]
        (home.inbox / f"new-{number:03}.jsonl").write_text("".join(rows))

    def kills_of_close(self, count: int) -> Figures:
        """Within issuing: from its first statement to a little after its last."""
        figures, close = Figures(), ("close", "2026-03", *AS_OF)
        control = self.copy(self.built)
        self.undisturbed(control, *close)
        wanted, rows = ledger_lines(control), ledger_rows(control)
        for _ in range(count):
            home = self.copy(self.built)
            process = self.start(home, self.chance.uniform(0, 0.15), *close, function=dying)
            figures.tried += 1
            ended(process, figures)
            if (found := ledger_lines(home)) not in (Counter(), wanted):
                figures.wrong.append(f"a part was issued: {found.total()} of {wanted.total()}")
            self.undisturbed(home, *close)
            figures.compare(ledger_lines(home), wanted)
            if ledger_rows(home) != rows or published_rows(home) != published_rows(control):
                figures.wrong.append("other rows than without a kill")
            self.forget(home)
        return figures

    def kills_of_issuing(self, count: int, documents: int = 300) -> Figures:
        """The ledger's part of a closing alone, larger, and killed more often for the same time."""
        figures = Figures()
        empty = Home(self.folder / "ledger")
        open_ledger(empty, "").close()
        control = self.copy(empty)
        begin = time.monotonic()
        with open_ledger(control, "") as ledger:
            issue_documents(ledger, many_documents(documents))
        duration = time.monotonic() - begin
        wanted = ledger_lines(control)
        for _ in range(count):
            home = self.copy(empty)
            seconds = self.chance.uniform(0, duration)
            process = self.start(home, str(home.root), documents, seconds, function=issuing)
            figures.tried += 1
            ended(process, figures)
            if (found := ledger_lines(home)) not in (Counter(), wanted):
                figures.wrong.append(f"a part was issued: {found.total()} of {wanted.total()}")
            with open_ledger(home, "") as ledger:
                if not all_closings(ledger):
                    issue_documents(ledger, many_documents(documents))
                ledger.export()
            figures.compare(ledger_lines(home), wanted)
            self.forget(home)
        return figures

    def kills_of_send(self, count: int) -> Figures:
        """One ledger; the next sender begins in what the last one left, once its leases are over."""
        figures = Figures()
        fake = FakeStripe(answer_seconds=0.01)
        customers = count + 10
        fake.customers |= {f"cus_c-{number}": 0 for number in range(1, customers + 1)}
        home = Home(self.folder / "send" / "home")
        try:
            with open_ledger(home, "") as ledger:
                issue_invoices(ledger, {f"c-{n}": [1000, 250, 7, 31] for n in range(1, customers + 1)})
                for _ in range(count):
                    process = start_sender(home, fake)
                    after = len(fake.requests) + self.chance.randint(1, 9)
                    while len(fake.requests) < after and process.is_running:
                        time.sleep(0.001)
                    time.sleep(self.chance.uniform(0, 0.02))
                    process.kill()
                    figures.tried += 1
                    ended(process, figures)
                    end_leases(ledger)
                report = send(ledger, fake)
                figures.wrong += [f"{one}" for one in report.troubles] + fake.violations
                lines = {f"line_{n}_{place}": 1 for n in range(1, customers + 1) for place in range(1, 5)}
                figures.compare(Counter(fake.items_of_lines()), Counter(lines))
        finally:
            fake.close()
        return figures

    def kills_of_backup(self, count: int) -> Figures:
        """A backup is there whole or not at all, and the next one is."""
        figures, home = Figures(), self.copy(self.built)
        target = home.root.parent / "b.tar"
        duration = self.undisturbed(home, "backup", str(target), *AS_OF)
        whole = target.read_bytes()
        for _ in range(count):
            target.unlink(missing_ok=True)
            process = self.start(home, "backup", str(target), *AS_OF)
            kill_after(process, self.chance.uniform(0.1, duration))
            figures.tried += 1
            ended(process, figures)
            if target.exists() and target.read_bytes() != whole:
                figures.wrong.append("a part of a backup bears its name")
            if not target.exists():
                figures.lost += 1
                self.undisturbed(home, "backup", str(target), *AS_OF)
                figures.lost -= target.read_bytes() == whole
        return figures

    def kills_of_restore(self, count: int) -> Figures:
        figures, home = Figures(), self.copy(self.built)
        target = home.root.parent / "b.tar"
        self.undisturbed(home, "backup", str(target), *AS_OF)
        first = Home(self.folder / "restored" / "home")
        duration = self.undisturbed(first, "restore", str(target))
        wanted, rows = files_of(first.root), ledger_rows(first)
        for number in range(count):
            other = Home(self.folder / f"restored-{number}" / "home")
            process = self.start(other, "restore", str(target))
            kill_after(process, self.chance.uniform(0.1, duration))
            figures.tried += 1
            ended(process, figures)
            if not (other.catalog / "plans.yml").exists():
                self.undisturbed(other, "restore", str(target))
            got = files_of(other.root)
            names = {name for name in wanted if not name.startswith(("ledger/", "lake/ledger/"))}
            figures.lost += sum(got.get(name) != wanted[name] for name in names)
            if ledger_rows(other) != rows:
                figures.wrong.append("the ledger has other rows")
            shutil.rmtree(other.root.parent)
        return figures

    # Pairs

    def pairs(self, count: int, first: tuple[str, ...], second: tuple[str, ...], **settings: str) -> Figures:
        """Both at once, in either order, one of them killed every other time; then both again."""
        figures = Figures()
        control = self.copy(self.built)
        self.put(control, 0)
        for arguments in (first, second, first, second):
            self.undisturbed(control, *arguments, *AS_OF, **settings)
        lines, events, rows = ledger_lines(control), billed_events(control), published_rows(control)
        for number in range(count):
            home = self.copy(self.built)
            self.put(home, 0)
            order = [first, second] if number % 2 else [second, first]
            processes = [self.start(home, *arguments, *AS_OF, **settings) for arguments in order]
            if number % 4 > 1:
                kill_after(processes[number % 2], self.chance.uniform(0, 20))
            figures.tried += 1
            for process in processes:
                ended(process, figures)
            for arguments in (first, second, first, second):
                self.undisturbed(home, *arguments, *AS_OF, **settings)
            figures.compare(ledger_lines(home), lines)
            figures.compare(billed_events(home), events)
            if published_rows(home).keys() != rows.keys():
                figures.wrong.append("other tables are published")
            self.forget(home)
        return figures

    def run_and_close(self, count: int) -> Figures:
        return self.pairs(count, ("run",), ("close", "2026-03"))

    def run_and_run(self, count: int) -> Figures:
        return self.pairs(count, ("run",), ("run",))

    def close_and_send(self, count: int) -> Figures:
        """A Stripe for each: every line that was issued is there once, whatever was killed."""
        figures, close, send = Figures(), ("close", "2026-03", *AS_OF), ("send",)
        for number in range(count):
            home, fake = self.copy(self.built), FakeStripe()
            fake.customers |= {f"cus_{customer}": 0 for customer in KINDS}
            settings = {"STRIPE_API_KEY": KEY, "METERHOUSE_STRIPE_API_BASE": fake.url}
            try:
                # What was issued before is what the sender has to do at first.
                self.undisturbed(home, "close", "2026-01", *AS_OF)
                order = [close, send] if number % 2 else [send, close]
                processes = [self.start(home, *arguments, **settings) for arguments in order]
                if number % 4 > 1:
                    kill_after(processes[number % 2], self.chance.uniform(0, 20))
                figures.tried += 1
                for process in processes:
                    ended(process, figures)
                with open_ledger(home, "") as ledger:
                    end_leases(ledger)
                self.undisturbed(home, *close)
                self.undisturbed(home, *send, **settings)
                with open_ledger(home, "") as ledger, ledger.reading() as connection:
                    lines: list[str] = list(connection.scalars(sa.select(issued_lines.c.invoice_line_id)))
                figures.compare(Counter(fake.items_of_lines()), Counter(lines))
                figures.wrong += fake.violations
            finally:
                fake.close()
            self.forget(home)
        return figures

    # Signals

    def signals(self, count: int, command: "Command") -> Figures:
        """SIGINT and SIGTERM in turn, from the interpreter's start to the command's end."""
        figures, duration = Figures(), 0.0
        for number in range(count + 1):
            place = command.prepare(self)
            before = command.state(place)
            begin = time.monotonic()
            process = subprocess.Popen(
                [sys.executable, "-c", command.code, *command.arguments(place)],
                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=TESTS.parent,
                env={name: value for name, value in os.environ.items() if not name.startswith(("METERHOUSE_", "STRIPE_"))}
                | {"TERM": "dumb"} | command.settings,
            )  # fmt: skip
            sent = signal.SIGINT if number % 2 else signal.SIGTERM
            if number:
                time.sleep(self.chance.uniform(0.15, max(duration, 0.2)))
                process.send_signal(sent)
            _, said = process.communicate(timeout=900)
            if not number:
                assert process.returncode == 0, said
                duration, done = time.monotonic() - begin, command.state(place)
                shutil.rmtree(place)
                continue
            figures.tried += 1
            figures.ends[str(process.returncode)] += 1
            figures.wrong += self.judge(command, place, process.returncode, sent, said, before, done)
            figures.hit += process.returncode == 128 + sent
            shutil.rmtree(place)
        return figures

    @staticmethod
    def judge(
        command: "Command", place: Path, code: int, sent: int, said: str, before: Any, done: Any
    ) -> list[str]:
        lines = [line for line in said.splitlines() if line.startswith("Interrupted")]
        state = command.state(place)
        wrong = []
        # A signal before the first line of Python, or after the last, finds nobody to answer it.
        if code not in {128 + sent, 0, -sent}:
            wrong.append(f"exit code {code}: {said}")
        if "Traceback" in said or "Exception ignored" in said or "not foreseen" in said:
            wrong.append(said)
        if len(lines) != (code == 128 + sent):
            wrong.append(f"{code}, and {len(lines)} lines: {said}")
        says_done = code == 0 or "but done" in said
        if says_done and state != done:
            wrong.append(f"{said} it says done, and is not")
        if not says_done and state not in (before, done) and not command.is_gradual:
            wrong.append(f"{said} neither as before nor done")
        again = subprocess.run(
            [sys.executable, "-c", command.code, *command.arguments(place)],
            capture_output=True, text=True, check=False, cwd=TESTS.parent, env=os.environ | command.settings,
        )  # fmt: skip
        if (again.returncode == 0) != (state != done or command.is_repeatable):
            wrong.append(f"again: {again.returncode}: {again.stderr}")
        if command.state(place) != done:
            wrong.append("done again, it is not what it is without a signal")
        return [f"{command.name}: {one}" for one in wrong]


@dataclass(frozen=True)
class Command:
    """A command that is interrupted.

    :param prepare: makes a folder for one attempt.
    :param state: what the command changes, in the folder.
    :param is_gradual: what it has done of its work before it was interrupted stays, and is told.
    :param is_repeatable: it succeeds again after it succeeded.
    """

    name: str
    prepare: Callable[[Trials], Path]
    arguments: Callable[[Path], Iterable[str]]
    state: Callable[[Path], Any]
    is_gradual: bool = False
    is_repeatable: bool = True
    code: str = START
    settings: dict[str, str] = field(default_factory=dict)


def with_home(trials: Trials) -> Path:
    return trials.copy(trials.built).root.parent


def with_nothing(trials: Trials) -> Path:
    folder = trials.folder / f"empty-{next(trials._numbers)}"
    folder.mkdir()
    return folder


def with_backup(trials: Trials) -> Path:
    file = trials.folder / "signals.tar"
    if not file.exists():
        trials.undisturbed(trials.built, "backup", str(file), *AS_OF)
    return with_nothing(trials)


def at_home(*arguments: str, clock: bool = True) -> Callable[[Path], list[str]]:
    def arguments_of(place: Path) -> list[str]:
        words = [word.format(place=place, folder=place.parent) for word in arguments]
        return [*words, *(AS_OF if clock else ()), "--home", str(place / "home")]

    return arguments_of


def nothing(_: Path) -> None:
    return None


def inbox(place: Path) -> dict[str, bytes]:
    return files_of(place / "home" / "inbox")


def documents(place: Path) -> dict[str, bytes]:
    home = place / "home"
    return {
        name: content for name in ("catalog", "accounts") for name, content in files_of(home / name).items()
    }


def restored(place: Path) -> Any:
    home = Home(place / "home")
    if not (home.catalog / "plans.yml").exists():
        return None
    return (ledger_rows(home), documents(place), sorted(files_of(home.lake / "batches")))


def books(place: Path) -> Any:
    home = Home(place / "home")
    return ledger_lines(home)


def published(place: Path) -> Any:
    return published_rows(Home(place / "home"))


QUICK = f"import sys; sys.path[:0] = {[str(TESTS / 'books')]!r}; from moving_home import without_checks\nwith without_checks():\n    {START.replace('; ', chr(10) + '    ')}"  # fmt: skip
COMMANDS = {
    one.name: one
    for one in (
        Command("check", with_home, at_home("check"), nothing),
        Command("usage", with_home, at_home("usage", "ada"), nothing),
        Command("alerts", with_home, at_home("alerts"), nothing),
        Command(
            "export", with_home, at_home("export", "--month", "2026-03", "--output", "{place}/out.csv", "--force"),
            lambda place: (place / "out.csv").read_bytes() if (place / "out.csv").exists() else None,
        ),
        Command("init", with_nothing, at_home("init", "--product", "coachos"), documents),
        Command(
            "simulate-usage", with_home,
            at_home("simulate-usage", "--events", "500", "--days", "5", "--until", "2026-03-20"), inbox,
        ),
        Command(
            "backup", with_home, at_home("backup", "{place}/b.tar"),
            lambda place: (place / "b.tar").read_bytes() if (place / "b.tar").exists() else None,
            is_repeatable=False,
        ),
        Command(
            "restore", with_backup, at_home("restore", "{folder}/signals.tar"), restored, is_repeatable=False
        ),
        Command("run", with_home, at_home("run"), published, code=QUICK),
        Command("close", with_home, at_home("close", "2026-03"), books, code=QUICK),
        Command("trace", with_home, at_home("trace", "--month", "2026-03", "--format", "csv"), nothing),
    )
}  # fmt: skip
KILLS = ("run", "close", "issuing", "send", "backup", "restore")
PAIRS = ("run_and_close", "close_and_send", "run_and_run")


def main() -> int:
    names = [*(f"kills_of_{name}" for name in KILLS), *PAIRS, *(f"signals_{name}" for name in COMMANDS)]
    parser = argparse.ArgumentParser(description=__doc__, epilog=f"Names: {', '.join(names)}")
    parser.add_argument("count", type=int)
    parser.add_argument("names", nargs="*", default=names, metavar="NAME")
    given = parser.parse_args()
    is_clean = True
    with tempfile.TemporaryDirectory(prefix="meterhouse-trials-") as folder:
        trials = Trials(Path(folder))
        for name in given.names:
            if name.startswith("signals_"):
                figures = trials.signals(given.count, COMMANDS[name.removeprefix("signals_")])
            else:
                figures = getattr(trials, name)(given.count)
            is_clean &= figures.is_clean
            print(f"{name}: {figures}", flush=True)
    return not is_clean


if __name__ == "__main__":
    sys.exit(main())
