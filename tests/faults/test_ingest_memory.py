"""Guards against files that take all memory: the process tree of an ingest stays under 1 GiB, whatever comes."""

import gzip
import json
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from ingest_homes import events, manifests, rejects

from pipelines.home import Home

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

LIMIT = 1 << 30
MEGABYTE = 1_000_000
HEADER = "event_id,customer_id,event_type,occurred_at,note\n"
ROW = "{},c,call,2025-05-01T10:00:00Z,{}\n"

# Peak memory of the process and of the largest one that it started and waited for, in bytes.
INGEST = """
import resource, sys
from datetime import UTC, datetime
from pathlib import Path
from pipelines.home import Home
from pipelines.ingest import ingest_inbox

ingest_inbox(Home(Path(sys.argv[1])), None, datetime(2025, 6, 1, tzinfo=UTC))
status = Path("/proc/self/status").read_text()
own = int(status.partition("VmHWM:")[2].split()[0])
print((own + resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss) * 1024)
"""


def record(event_id: str, more: str = "") -> str:
    return (
        f'{{"event_id":"{event_id}","customer_id":"c","event_type":"call",'
        f'"occurred_at":"2025-05-01T10:00:00Z"{more}}}\n'
    )


def repeated(text: str, size: int) -> Iterator[bytes]:
    """The text again and again, about as many bytes."""
    piece = (text * (MEGABYTE // len(text) + 1)).encode()
    for _ in range(size // len(piece)):
        yield piece


def deep(opening: str, closing: str = "") -> str:
    return opening * 100_000 + "1" + closing * 100_000


def newlines() -> Iterable[str | bytes]:
    yield record("first")
    yield from repeated("\n", 300 * MEGABYTE)
    yield record("last")


def long_line() -> Iterable[str | bytes]:
    yield record("first") + '{"event_id": "'
    yield from repeated("x", 200 * MEGABYTE)
    yield '"}\n' + record("last")


def long_cell() -> Iterable[str | bytes]:
    yield HEADER + ROW.format("first", "") + "big,c,call,2025-05-01T10:00:00Z,"
    yield from repeated("x", 400 * MEGABYTE)
    yield "\n" + ROW.format("last", "")


def unclosed_quote() -> Iterable[str | bytes]:
    yield HEADER + ROW.format("first", "") + 'big,c,call,2025-05-01T10:00:00Z,"'
    yield from repeated('a,"",b\n', 200 * MEGABYTE)


def deep_values() -> Iterable[str | bytes]:
    yield record("first")
    yield deep("[", "]") + "\n" + deep('{"a":', "}") + "\n" + deep("[") + "\n"
    yield record("inside", ',"properties":' + deep('{"a":', "}"))
    yield record("text", ',"properties":"' + deep("[") + '"')
    yield record("last")


def one_line_that_expands() -> Iterable[str | bytes]:
    yield record("first") + '{"'
    yield from repeated("x", 600 * MEGABYTE)


def records_that_expand() -> Iterable[str | bytes]:
    yield from repeated(record("same"), 200 * MEGABYTE)


def large_records_that_conflict() -> Iterable[str | bytes]:
    for number in range(120):
        yield record(f"e{number % 3}", f',"note":"{number}{"x" * 2 * MEGABYTE}"')


def crowded_records() -> Iterable[str | bytes]:
    for number in range(3):
        yield record(f"e{number}", f',"note":[{"{}," * 5_000_000}1]')


CASES = {
    # File, content, and how many records are read, accepted and rejected; the rest are duplicates.
    "newlines": ("a.jsonl.gz", newlines, (2, 2, 0)),
    "line": ("a.jsonl", long_line, (3, 2, 1)),
    "cell": ("a.csv", long_cell, (3, 2, 1)),
    "quote": ("a.csv", unclosed_quote, (2, 1, 1)),
    "deep": ("a.jsonl", deep_values, (7, 2, 5)),
    "line that expands": ("a.jsonl.gz", one_line_that_expands, (2, 1, 1)),
    "records that expand": ("a.jsonl.gz", records_that_expand, None),
    "conflicts": ("a.jsonl", large_records_that_conflict, (120, 3, 117)),
    "crowded": ("a.jsonl", crowded_records, (3, 0, 3)),
}


def ingest_measured(home: Home) -> int:
    done = subprocess.run(
        [sys.executable, "-c", INGEST, str(home.root)],
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return int(done.stdout)


@pytest.mark.parametrize("case", CASES)
def test_memory_stays_bounded(tmp_path, case):
    name, content, counts = CASES[case]
    home = Home(tmp_path).ensure()
    path = home.inbox / name
    with gzip.open(path, "wb", compresslevel=1) if name.endswith(".gz") else path.open("wb") as file:
        for piece in content():
            file.write(piece.encode() if isinstance(piece, str) else piece)
    peak = ingest_measured(home)
    path.unlink()
    print(f"{case}: {peak >> 20} MiB")
    assert peak < LIMIT
    [batch] = manifests(home)
    assert batch["status"] == "committed"
    if counts is not None:
        assert (batch["rows_read"], batch["accepted_count"], batch["rejected_count"]) == counts
        assert batch["duplicate_count"] == counts[0] - counts[1] - counts[2]
    else:
        assert (batch["accepted_count"], batch["duplicate_count"]) == (1, batch["rows_read"] - 1)
    for reject in rejects(home):
        if case in {"line", "cell", "quote", "line that expands"}:
            kept = json.loads(str(reject["raw_record"]))
            assert (reject["reason"], len(kept["first"]) <= 1 << 16) == ("malformed_record", True)
            assert kept["length"] > 190 * MEGABYTE
    assert len(events(home)) == batch["accepted_count"]
