"""How long it takes to close a month: 10,000 invoices with five lines each, from the copy to publishing.

The warehouse is built beforehand, as the hourly run does, so that the figure is what finance waits for.
"""

import json
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

from benchmarks.rating import generate
from pipelines.books.closing import close_books
from pipelines.home import Home
from pipelines.progress import Quiet, Step
from pipelines.session import Session
from pipelines.settings import Settings
from pipelines.warehouse import aside, builds

THROUGH = date(2024, 1, 31)
CLOCK = datetime(2024, 2, 4, tzinfo=UTC)
CYCLES = 1


@dataclass(frozen=True)
class Result:
    """Seconds of closing, in all and by step, and of closing again; MiB at the peak."""

    customers: int
    invoices: int
    lines: int
    seconds: float
    seconds_by_step: dict[str, float]
    again_seconds: float
    peak_mib: int


class Timed(Quiet):
    """Keeps how long each step took."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def step(self, name: str) -> Iterator[Step]:
        """Time a step."""
        started = time.perf_counter()
        with super().step(name) as step:
            yield step
        self.seconds[name] = round(time.perf_counter() - started, 1)


def measure(home: Home, customers: int) -> Result:
    """Build the home's warehouse, then close January, twice."""
    session = Session(Settings(home, CLOCK))
    settings = session.dbt_settings({})
    aside.begin_build(home, from_nothing=True)
    result = builds.build(home, settings, builds.load_manifest(home))
    if result.failures:
        raise RuntimeError("\n".join(map(str, result.failures)))
    aside.promote_build(home)

    steps = Timed()
    started = time.perf_counter()
    outcome = close_books(Session(Settings(home, CLOCK), steps), THROUGH)
    seconds = time.perf_counter() - started
    started = time.perf_counter()
    again = close_books(Session(Settings(home, CLOCK)), THROUGH)
    again_seconds = time.perf_counter() - started
    if again.closing is not None:
        raise RuntimeError("closing again issued something")
    documents = outcome.plan.documents
    return Result(
        customers,
        len(documents.invoices),
        len(documents.invoice_lines),
        round(seconds, 1),
        steps.seconds,
        round(again_seconds, 1),
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    )


def main() -> None:
    """Print one measurement: ``python -m benchmarks.books [CUSTOMERS LINES]``."""
    customers, lines = [int(word) for word in sys.argv[1:3]] or [10_000, 5]
    with tempfile.TemporaryDirectory(prefix="meterhouse-books-") as folder:
        # The price is a line, too.
        home = generate(Path(folder), customers, lines - 1, CYCLES, bills_all=True)
        result = measure(home, customers)
    print(json.dumps(result.__dict__))


if __name__ == "__main__":
    main()
