"""Guards against half-read batches: ingest killed at any moment, then run again, gives the same lake."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from ingest_homes import lake_rows

from pipelines.home import Home
from pipelines.lake.proof import find_damages, strangers

KILLS = 12
ROWS = 30_000

INGEST = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from pipelines.home import Home
from pipelines.ingest import ingest_inbox
from pipelines.settings import QuietTime

home = Home(Path(sys.argv[1]))
print("started", flush=True)
ingest_inbox(home, None, datetime(2025, 6, 1, tzinfo=UTC), quiet=QuietTime(0, 0))
print("done", flush=True)
"""


def fill(home: Home) -> None:
    """Two files that share ids: duplicates, conflicts and bad records within and across them."""
    home.ensure()
    for number in range(2):
        rows = (
            f'{{"event_id": "e{(i * (7 + number)) % (ROWS - 500)}", "customer_id": "c{i % 11}", '
            f'"event_type": "call", '
            f'"occurred_at": "2025-0{i % 4 + 1}-{i % 28 + 1:02}T10:00:00Z", "quantity": "{i % 3}"}}'
            if i % 997
            else "broken"
            for i in range(ROWS)
        )
        (home.inbox / f"{number}.jsonl").write_text("\n".join(rows))


@contextmanager
def ingesting(home: Home) -> Iterator[subprocess.Popen[str]]:
    """An ingest in a process of its own, past its imports; waited for at the end."""
    with subprocess.Popen(
        [sys.executable, "-c", INGEST, str(home.root)],
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "started\n"
        yield process


def lake(home: Home) -> dict[str, list[dict[str, object]]]:
    """What the commits of a whole lake say; nothing else lies there."""
    assert find_damages(home) == []
    assert strangers(home) == []
    assert not list((home.lake / ".staging").iterdir())
    return lake_rows(home)


@pytest.mark.slow
def test_a_killed_ingest_is_made_good_by_the_next(tmp_path):
    undisturbed = Home(tmp_path / "undisturbed")
    fill(undisturbed)
    with ingesting(undisturbed) as process:
        begin = time.monotonic()
        assert process.wait() == 0
        duration = time.monotonic() - begin

    killed = Home(tmp_path / "killed")
    fill(killed)
    chance = random.Random(20250601)
    kills = 0
    while kills < KILLS:
        with ingesting(killed) as process:
            # Later and later, so that every step of both batches is reached.
            time.sleep(duration * chance.uniform(0, (kills + 1) / KILLS))
            if process.poll() is not None:
                break
            os.kill(process.pid, signal.SIGKILL)
        kills += 1
    assert kills >= 3
    with ingesting(killed) as process:
        assert process.wait() == 0

    wanted, got = lake(undisturbed), lake(killed)
    assert got == wanted
    assert len(got["batches"]) == 2
    assert len(got["events"]) > ROWS // 2


STEPS = ["write_events", "reject", "sync", "replace", "_link", "rmtree"]


@pytest.mark.parametrize("step", STEPS)
def test_a_kill_at_every_call_of_a_step(tmp_path, step):
    """Kills where chance hardly ever hits: just before the n-th call of a step, for every n."""
    program = f"""
import os, shutil, signal, sys
from pathlib import Path
from datetime import UTC, datetime
from pipelines.home import Home
from pipelines.ingest import ingest_inbox
from pipelines.lake import batches, commits
from pipelines.settings import QuietTime

left = int(sys.argv[2])

def killing(function):
    def wrapper(*args, **kwargs):
        global left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*args, **kwargs)
    return wrapper

steps = [
    (batches.Batch, "write_events"), (batches.Batch, "reject"), (commits, "sync"), (Path, "replace"),
    (commits, "_link"), (shutil, "rmtree"),
]
for holder, name in steps:
    if name == {step!r}:
        setattr(holder, name, killing(getattr(holder, name)))
ingest_inbox(Home(Path(sys.argv[1])), None, datetime(2025, 6, 1, tzinfo=UTC), quiet=QuietTime(0, 0))
"""

    def small(home: Home) -> Home:
        home.ensure()
        record = (
            '{{"event_id": "{}", "customer_id": "c", "event_type": "t", '
            '"occurred_at": "2025-05-0{}T10:00:00Z"}}\n'
        )
        for number in range(2):
            rows = [record.format(f"e{i + number}", i % 2 + 1) for i in range(4)]
            (home.inbox / f"{number}.jsonl").write_text("".join([*rows, "broken\n", rows[0]]))
        return home

    def run(home: Home, calls: int) -> int:
        return subprocess.run(
            [sys.executable, "-c", program, str(home.root), str(calls)],
            cwd=Path(__file__).parents[2],
            check=False,
        ).returncode

    undisturbed = small(Home(tmp_path / "undisturbed"))
    assert run(undisturbed, 0) == 0
    wanted = lake(undisturbed)
    home = small(Home(tmp_path / "killed"))
    calls = 0
    for calls in range(1, 100):
        if run(home, calls) == 0:
            break
        # The next run starts in what this one left behind, and is killed one call later.
    assert calls > 1
    assert lake(home) == wanted
