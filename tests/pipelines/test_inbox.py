"""What of the inbox is read, when, and what is left alone: names, links, odd files, files that are being written."""

import gzip
import io
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest
from ingest_homes import AS_OF, event, events, lines, manifests, put
from rich.console import Console

from models.events import SourcesDocument
from pipelines.books.closing import close_books
from pipelines.catalog import copy_product
from pipelines.cli.show.run_summary import print_summary
from pipelines.errors import MeterhouseError
from pipelines.home import Home
from pipelines.ingest import BatchResult, IngestReport, batches, ingest_inbox, pending, pending_files
from pipelines.ingest.formats import READERS
from pipelines.ingest.formats.jsonl import JsonLinesReader
from pipelines.ingest.formats.parquet import ParquetReader
from pipelines.ingest.formats.reader import UnopenedError, opening
from pipelines.ingest.mapping import plan_for
from pipelines.ingest.sources import deliveries, inbox
from pipelines.session import Session
from pipelines.settings import QuietTime, Settings

YEAR = 365 * 86_400


class Machine:
    """A machine's clock that a test moves; waiting moves it too, and something may happen meanwhile."""

    def __init__(self, meanwhile: Callable[[], object] = lambda: None) -> None:
        self.ahead = 0.0
        self.waits: list[float] = []
        self.meanwhile = meanwhile
        self.quiet = QuietTime(2, 60, lambda: time.time_ns() + int(self.ahead * 1e9), self._wait)

    def _wait(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.ahead += seconds
        self.meanwhile()

    def ingest(self, home: Home, sources: list[dict[str, object]] | None = None) -> IngestReport:
        document = SourcesDocument.model_validate({"sources": sources or []})
        return ingest_inbox(home, document, AS_OF, quiet=self.quiet)


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path / "home").ensure()


@pytest.fixture
def machine():
    return Machine()


def row(event_id, quantity="1"):
    return f"{event_id},c1,call,2025-05-01T10:00:00Z,{quantity}"


HEADER = "event_id,customer_id,event_type,occurred_at,quantity"


def left(report):
    return {file.name: file.reason for file in report.left}


def watched(home, machine):
    """What starts a run by itself."""
    return [file.name for file in pending_files(home, None, machine.quiet, is_patient=False)]


def read(report):
    return [batch.source_file for batch in report.batches]


# --- quiet time


def test_a_file_that_just_came_is_waited_for_once(home, machine):
    put(home, "a.jsonl", lines(event("e1")))
    put(home, "b.jsonl", lines(event("e2")))
    assert read(machine.ingest(home)) == ["a.jsonl", "b.jsonl"]
    [waited] = machine.waits
    assert 1.5 < waited < 2.5


@pytest.mark.parametrize(("age", "is_waited_for"), [(1.5, True), (2.1, False)])
def test_a_file_is_quiet_by_its_times(home, machine, age, is_waited_for):
    path = put(home, "a.jsonl", lines(event()))
    # The time of the content came with a copy; that of the change is the machine's.
    os.utime(path, (0, 0))
    machine.ahead = age
    assert machine.ingest(home).accepted_count == 1
    assert len(machine.waits) == is_waited_for


def append(path):
    with path.open("a") as file:
        file.write(lines(event("e2")))


def replace_by_a_twin(path):
    """Other content with equal name, size and times of the content."""
    status = path.stat()
    twin = path.with_name(".twin")
    twin.write_text(path.read_text().replace("e1", "e9"))
    os.utime(twin, ns=(status.st_atime_ns, status.st_mtime_ns))
    twin.replace(path)


def rewrite_in_place(path):
    status = path.stat()
    path.write_text(path.read_text().replace("e1", "e9"))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


CHANGES = [append, replace_by_a_twin, rewrite_in_place]


@pytest.mark.parametrize("change", CHANGES)
def test_a_file_that_changes_meanwhile_is_left_and_the_others_are_read(home, change):
    path = put(home, "a.jsonl", lines(event("e1")))
    put(home, "b.jsonl", lines(event("e3")))
    # The clock that tests move is ahead of the one that stamps files: a change lies in the past of the first.
    machine = Machine(lambda: (change(path), os.utime(path, ns=(0, machine.quiet.clock() - 10**9))))
    report = machine.ingest(home)
    assert read(report) == ["b.jsonl"]
    assert "a.jsonl" in left(report)
    assert "the next run reads it" in left(report)["a.jsonl"]
    machine.ahead += 2
    machine.meanwhile = lambda: None
    assert read(machine.ingest(home)) == ["a.jsonl"]


def test_known_content_is_not_waited_for(home, machine):
    put(home, "a.jsonl", lines(event()))
    machine.ingest(home)
    put(home, "b.jsonl", lines(event()))
    machine.ingest(home)
    assert len(machine.waits) == 1


def test_a_file_whose_times_lie_in_the_future_is_waited_for_like_any_other(home, machine):
    path = put(home, "a.jsonl", lines(event()))
    os.utime(path, (time.time() + YEAR,) * 2)
    assert machine.ingest(home).accepted_count == 1
    assert len(machine.waits) == 1


def test_a_clock_that_is_set_back_makes_nothing_wait_for_ever(home, machine):
    put(home, "a.jsonl", lines(event()))
    machine.ahead = 0
    pending_files(home, None, machine.quiet)
    machine.ahead = -YEAR
    assert machine.ingest(home).accepted_count == 1
    assert len(machine.waits) == 1


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("is_future", [False, True])
def test_a_csv_whose_last_line_has_no_end_is_read_after_a_minute(home, machine, zipped, is_future):
    text = f"{HEADER}\n{row('e1', 5)}\n{row('e2', 12)}".encode()
    name = "a.csv.gz" if zipped else "a.csv"
    path = put(home, name, gzip.compress(text) if zipped else text)
    if is_future:
        os.utime(path, (time.time() + YEAR,) * 2)
    report = machine.ingest(home)
    assert read(report) == []
    assert "its last line has no end" in left(report)[name]
    assert [file.name for file in pending_files(home, None, machine.quiet)] == [name]
    assert watched(home, machine) == []
    machine.ahead += 50
    assert read(machine.ingest(home)) == []
    machine.ahead += 10
    assert len(watched(home, machine)) == 1
    assert machine.ingest(home).accepted_count == 2


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", f"{HEADER}\n{row('e1')}\n"),
        ("a.csv", f"{HEADER}\r\n{row('e1')}\r\n"),
        ("a.csv", f"{HEADER}\r{row('e1')}\r"),
        ("a.csv", ""),
        ("a.jsonl", lines(event()).rstrip()),
    ],
)
def test_other_files_need_no_minute(home, machine, name, content):
    put(home, name, content)
    assert read(machine.ingest(home)) == [name]


def test_a_cut_csv_that_is_written_to_its_end_counts_once(home, machine):
    cut = f"{HEADER}\n{row('e1', 5)}\n{row('e2', 12)}"
    path = put(home, "a.csv", cut)
    assert read(machine.ingest(home)) == []
    path.write_text(f"{cut}34\n")
    machine.ahead += 2
    machine.ingest(home)
    assert [(row["event_id"], int(row["quantity"])) for row in events(home)] == [("e1", 5), ("e2", 1234)]


def test_the_watch_for_new_files_leaves_them_until_they_are_quiet(home, machine):
    put(home, "a.jsonl", lines(event()))
    assert watched(home, machine) == []
    machine.ahead = 2.1
    assert watched(home, machine) == ["a.jsonl"]


# --- the cache of hashes


@pytest.mark.parametrize("change", CHANGES)
def test_other_content_under_a_known_name_is_read(home, machine, change):
    path = put(home, "a.jsonl", lines(event("e1")))
    machine.ahead = 10
    machine.ingest(home)
    change(path)
    machine.ahead = 20
    report = machine.ingest(home)
    assert read(report) == ["a.jsonl"]
    assert {row["event_id"] for row in events(home)} == {"e1", "e2" if change is append else "e9"}


def test_content_is_hashed_once_it_is_older_than_a_tick_and_then_no_more(home, machine, monkeypatch):
    put(home, "a.jsonl", lines(event()))
    hashed = []
    identify = inbox.identify
    monkeypatch.setattr(inbox, "identify", lambda path: (hashed.append(path.name), identify(path))[1])
    # Within a tick of its clock a file system gives another content the same times.
    for ahead, count in ((0, 1), (1, 2), (2.1, 3), (3, 3), (4, 3)):
        machine.ahead = ahead
        pending_files(home, None, machine.quiet)
        assert len(hashed) == count


@pytest.mark.parametrize("change", CHANGES)
def test_a_file_that_changes_between_hash_and_read_is_left(home, machine, monkeypatch, change):
    put(home, "a.jsonl", lines(event("e1")))
    reader_for = batches.reader_for

    def late(file, plan):
        change(home.inbox / "a.jsonl")
        return reader_for(file, plan)

    with monkeypatch.context() as patch:
        patch.setattr(batches, "reader_for", late)
        report = machine.ingest(home)
    assert left(report) == {"a.jsonl": "changed while it was read: the next run reads it"}
    assert not events(home)
    assert read(machine.ingest(home)) == ["a.jsonl"]


def cut(path):
    path.write_bytes(path.read_bytes()[:-30])


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz"])
@pytest.mark.parametrize("step", ["reader_for", "_reject_conflicts"])
def test_a_file_that_is_cut_while_it_is_read_is_left(home, machine, monkeypatch, name, step):
    content = lines(event("e1"), event("e1", quantity="2"), event("e2", note=os.urandom(99).hex())).encode()
    path = put(home, name, gzip.compress(content) if name.endswith("gz") else content)
    put(home, "b.jsonl", lines(event("e3")))
    function = getattr(batches, step)

    def late(*given):
        if path.stat().st_size and (step == "_reject_conflicts" or given[0].name == name):
            cut(path)
        return function(*given)

    with monkeypatch.context() as patch:
        patch.setattr(batches, step, late)
        report = machine.ingest(home)
    assert left(report) == {name: "changed while it was read: the next run reads it"}
    assert [row["event_id"] for row in events(home)] == ["e3"]


# --- what is no delivery


@pytest.mark.parametrize(
    "name",
    [
        ".a.jsonl", "_a.jsonl", ".hidden/a.jsonl", "_temporary/0/a.jsonl", "deep/_a.csv", "deep/.b/c.csv",
        "a.jsonl.tmp", "a.jsonl.part", "a.csv.crdownload", "a.jsonl.PART", "up.part/a.jsonl", "_SUCCESS", "a.tmp",
    ],
)  # fmt: skip
def test_names_that_are_no_delivery_are_listed_and_not_told(home, machine, name):
    put(home, name, lines(event()))
    report = machine.ingest(home)
    [file] = report.left
    assert report.batches == ()
    assert file.name in (name, name.split("/")[0], "deep/.b")
    assert file.reason.startswith("no delivery: its name ")
    assert not file.is_told
    assert not file.may_count


@pytest.mark.parametrize(
    "name", ["a_.jsonl", "a.part.jsonl", "tmp/a.jsonl", "part/_.x/../a.jsonl", "a..jsonl"]
)
def test_names_beside_them_are_deliveries(home, machine, name):
    put(home, os.path.normpath(name), lines(event()))
    assert machine.ingest(home).accepted_count == 1


def test_an_unknown_ending_is_told(home, machine):
    put(home, "notes.txt", "x")
    put(home, "a.parquet.gz", "x")
    report = machine.ingest(home)
    assert report.batches == ()
    assert left(report) == dict.fromkeys(["a.parquet.gz", "notes.txt"], "not a usage file by its ending")
    assert all(file.is_told and not file.may_count for file in report.left)


# --- what is no regular file, and links


def test_what_is_no_regular_file_or_leads_out_is_left_and_the_others_are_read(home, machine, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "usage.jsonl").write_text(lines(event("out")))
    put(home, "good.jsonl", lines(event("good")))
    os.mkfifo(home.inbox / "pipe.jsonl")
    with socket.socket(socket.AF_UNIX) as listening:
        # The path of a socket is short.
        where = os.getcwd()
        os.chdir(home.inbox)
        listening.bind("socket.csv")
        os.chdir(where)
    for name, target in {
        "out.jsonl": outside / "usage.jsonl",
        "out": outside,
        "null.jsonl": "/dev/null",
        "nowhere.jsonl": "gone.jsonl",
        "below.jsonl": "good.jsonl/below",
        "loop.jsonl": "loop.jsonl",
        "to-out.jsonl": "out/usage.jsonl",
        "to-pipe.jsonl": "pipe.jsonl",
    }.items():
        (home.inbox / name).symlink_to(target)
    report = machine.ingest(home)
    assert [row["event_id"] for row in events(home)] == ["good"]
    pipe, out, nowhere = (
        "a named pipe, not a regular file",
        "a link that leads out of the inbox",
        "a link that leads nowhere",
    )
    assert left(report) == {
        "pipe.jsonl": pipe,
        "to-pipe.jsonl": pipe,
        "socket.csv": "a socket, not a regular file",
        "out.jsonl": out,
        "out": out,
        "null.jsonl": out,
        "to-out.jsonl": out,
        "nowhere.jsonl": nowhere,
        "below.jsonl": nowhere,
        "loop.jsonl": "a link that leads back to itself",
    }
    assert all(file.is_told for file in report.left)
    # What is there later may count; what is refused for what it is does not keep books open.
    assert {file.name for file in report.left if file.may_count} == {"nowhere.jsonl", "below.jsonl"}


def test_links_inside_are_followed_and_content_counts_once(home, machine):
    put(home, "b/real.jsonl", lines(event("e1")))
    put(home, ".releases/2/usage.jsonl", lines(event("e2")))
    for name, target in {
        "a.jsonl": "b/real.jsonl",
        "current": ".releases/2",
        "here": ".",
        "b/up": "..",
        "b/side": "../c",
        "c": "b",
        "again": "b",
    }.items():
        (home.inbox / name).symlink_to(target)
    report = machine.ingest(home)
    assert read(report) == ["a.jsonl", "current/usage.jsonl"]
    assert (report.known_files, report.accepted_count) == (1, 2)
    assert set(left(report)) == {".releases"}


def test_the_inbox_may_be_a_link_itself(home, machine, tmp_path):
    put(home, "deep/a.jsonl", lines(event()))
    (home.inbox / "link.jsonl").symlink_to(home.inbox / "deep" / "a.jsonl")
    shutil.move(home.inbox, tmp_path / "elsewhere")
    home.inbox.symlink_to(tmp_path / "elsewhere")
    report = machine.ingest(home)
    assert read(report) == ["deep/a.jsonl"]
    assert (report.known_files, report.left) == (1, ())


def test_an_inbox_that_is_no_folder_is_an_error(home):
    home.inbox.rmdir()
    home.inbox.write_text("x")
    with pytest.raises(MeterhouseError, match="the inbox cannot be opened: Not a directory"):
        pending_files(home, None)
    home.inbox.unlink()
    assert pending_files(home, None) == []


LOOK = """
import sys
from pathlib import Path
from pipelines.errors import MeterhouseError
from pipelines.home import Home
from pipelines.ingest import pending
from pipelines.settings import QuietTime
try:
    found = pending(Home(Path(sys.argv[1])), None, QuietTime(0, 0))
except MeterhouseError as error:
    print(error.what)
else:
    print([file.name for file in found.files], sorted((file.name, file.reason, file.may_count) for file in found.left))
"""


def as_a_common_user(home):
    """What a look at the inbox finds in a process that no mode is waived for."""
    waived = "-dac_override,-dac_read_search"
    drop = ["setpriv", f"--bounding-set={waived}", f"--inh-caps={waived}"] if os.geteuid() == 0 else []
    result = subprocess.run(
        [*drop, sys.executable, "-c", LOOK, str(home.root)],
        cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


def test_what_may_not_be_opened_is_left_and_keeps_books_open(home):
    put(home, "good.jsonl", lines(event("good")))
    closed = [put(home, "file.jsonl", lines(event())), put(home, "folder/a.jsonl", lines(event())).parent]
    (home.inbox / "link.jsonl").symlink_to("folder/a.jsonl")
    for path in closed:
        path.chmod(0)
    try:
        told = as_a_common_user(home)
        home.inbox.chmod(0)
        inbox_told = as_a_common_user(home)
    finally:
        for path in (home.inbox, *closed):
            path.chmod(0o700)
    denied = ("cannot be opened: Permission denied", True)
    assert told == str(["good.jsonl"]) + " " + str(
        [("file.jsonl", *denied), ("folder", *denied), ("link.jsonl", *denied)]
    )
    assert inbox_told == "the inbox cannot be opened: Permission denied"


def test_a_file_that_the_system_stops_giving_is_left_and_the_others_are_read(home, machine, monkeypatch):
    put(home, "a.jsonl", lines(event("e1")))
    put(home, "b.jsonl", lines(event("e2")))

    class Failing(JsonLinesReader):
        def blocks(self):
            yield from super().blocks()
            if self.path.name == "a.jsonl":
                raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setitem(READERS, "jsonl", Failing)
        report = machine.ingest(home)
    assert left(report) == {"a.jsonl": "cannot be opened: Input/output error"}
    assert [row["event_id"] for row in events(home)] == ["e2"]
    assert read(machine.ingest(home)) == ["a.jsonl"]


@pytest.mark.parametrize("place", ["look into the folder", "look at the file", "hash", "read"])
def test_a_file_that_is_refused_for_a_moment_keeps_its_turn(home, machine, monkeypatch, place):
    put(home, "a/a.jsonl", lines(event("e1", quantity="1")))
    put(home, "b.jsonl", lines(event("e1", quantity="2")))
    refused = []

    def refuse(path):
        if not refused and Path(path).name in {"a", "a.jsonl"}:
            refused.append(path)
            raise OSError(5, "Input/output error")

    def refusing(function):
        def wrapped(path, *rest):
            refuse(path if isinstance(path, (str, Path)) else path.path)
            return function(path, *rest)

        return wrapped

    class Refusing(JsonLinesReader):
        def blocks(self):
            yield from super().blocks()
            refuse(self.path)

    match place:
        case "look into the folder":
            monkeypatch.setattr(deliveries, "_entries", refusing(deliveries._entries))
        case "look at the file":
            monkeypatch.setattr(deliveries, "_look_at", refusing(deliveries._look_at))
        case "hash":
            monkeypatch.setattr(inbox, "identify", refusing(inbox.identify))
        case "read":
            monkeypatch.setitem(READERS, "jsonl", Refusing)
    report = machine.ingest(home)
    assert refused
    assert left(report) == {}
    assert [row["quantity"] for row in events(home)] == [1]


def test_what_the_system_says_of_a_parquet_file_is_no_fault_of_the_file(home, tmp_path):
    put(home, "a.parquet", "x")
    with pytest.raises(UnopenedError), opening():
        list(ParquetReader(tmp_path / "gone.parquet", plan_for(None)).blocks())


# --- odd names


ODD = {
    b"\xff.jsonl": "\\xff.jsonl",
    b"caf\xe9/b.csv": "caf\\xe9/b.csv",
    b"c\xf0\x28.parquet": "c\\xf0(.parquet",
    b"d\n\x1b[31m.jsonl": "d\\n\\x1b[31m.jsonl",
    "e\u2028\x85.jsonl".encode(): "e\\u2028\\x85.jsonl",
    "größe ü €.jsonl".encode(): "größe ü €.jsonl",
    b"'\"; -- $x.jsonl": "'\"; -- $x.jsonl",
    b"[bold]\\.jsonl": "[bold]\\.jsonl",
}


def test_files_of_odd_names_are_read_by_the_name_that_is_shown(home, machine):
    for number, raw in enumerate(ODD):
        path = home.inbox / os.fsdecode(raw)
        path.parent.mkdir(exist_ok=True)
        record = event(f"e{number}", quantity="2", note="x")
        if path.suffix == ".parquet":
            with path.open("wb") as file:
                pl.DataFrame([record]).write_parquet(file)
        elif path.suffix == ".csv":
            path.write_text(",".join(record) + "\n" + ",".join(map(str, record.values())) + "\n")
        else:
            path.write_text(lines(record, "broken"))
    (home.inbox / os.fsdecode(b"\xfe.txt")).write_text("x")
    report = machine.ingest(home)
    assert sorted(read(report)) == sorted(ODD.values())
    assert report.accepted_count == len(ODD)
    assert {row["source_file"] for row in events(home)} == set(ODD.values())
    assert {batch["source_file"] for batch in manifests(home)} == set(ODD.values())
    assert left(report) == {"\\xfe.txt": "not a usage file by its ending"}
    machine.ahead += 10
    pending_files(home, None, machine.quiet)
    # The cache calls them as the system does.
    assert {os.fsencode(name) for name in json.loads((home.cache / "inbox.json").read_text())} == set(ODD)
    assert pending_files(home, None, machine.quiet) == []


def test_a_pattern_fits_the_name_that_is_shown(home, machine):
    (home.inbox / os.fsdecode(b"us\xe9.jsonl")).write_text(lines({**event("x"), "id": "own"}))
    machine.ingest(home, [{"name": "s", "files": "us\\\\xe9.jsonl".replace("\\\\", "\\"), "event_id": "id"}])
    assert [row["event_id"] for row in events(home)] == ["own"]


# --- ids made from rows


FROM_ROW = [{"name": "rows", "files": "*", "event_id": "from_row"}]
FIRST = "customer_id,event_type,occurred_at,quantity\nc1,call,2025-05-01T10:00:00Z,20\n"


def with_quantity(quantity):
    return FIRST.replace(",20\n", f",{quantity}\n")


def as_file(text, form):
    if form == "csv":
        return text.encode()
    header, *rows = [line.split(",") for line in text.split()]
    records = [dict(zip(header, cells, strict=True)) for cells in rows]
    if form == "jsonl":
        return lines(*records).replace("\n", "\r\n" if "\r" in text else "\n").encode()
    return gzip.compress(text.encode())


@pytest.mark.parametrize("form", ["csv", "jsonl", "csv.gz"])
@pytest.mark.parametrize(
    "later",
    [
        FIRST + "c1,call,2025-05-02T10:00:00Z,12\n",
        FIRST.replace("\n", "\r\n"),
        with_quantity(21),
    ],
    ids=["grown", "other ends of lines", "corrected"],
)
def test_other_content_under_a_path_whose_ids_come_from_rows_is_refused(home, machine, form, later):
    name = f"grown.{form}"
    put(home, name, as_file(FIRST, form))
    put(home, "z.jsonl", lines(event()))
    assert machine.ingest(home, FROM_ROW).accepted_count == 2
    put(home, name, as_file(later, form))
    put(home, "other.csv", with_quantity(1))
    report = machine.ingest(home, FROM_ROW)
    [refused] = report.unreadable
    assert refused.source_file == name
    for remedy in ("event_id: a column", "`meterhouse reread`", "another name"):
        assert remedy in refused.message
    # Others go on, and under another path other content counts.
    assert read(report) == [name, "other.csv"]
    assert sorted(int(row["quantity"]) for row in events(home)) == [1, 1, 20]


def test_a_path_of_which_nothing_counted_is_no_known_path(home, machine):
    put(home, "a.csv", with_quantity(-20))
    put(home, "b.csv", "customer_id,customer_id\n")
    machine.ingest(home, FROM_ROW)
    put(home, "a.csv", FIRST)
    put(home, "b.csv", with_quantity(7))
    assert machine.ingest(home, FROM_ROW).accepted_count == 2


def test_ids_of_records_may_come_again_under_their_path(home, machine):
    put(home, "a.jsonl", lines(event("e1")))
    machine.ingest(home)
    put(home, "a.jsonl", lines(event("e1"), event("e2")))
    report = machine.ingest(home)
    assert (report.accepted_count, report.duplicate_count) == (1, 1)


def test_pending_tells_what_is_left_too(home):
    put(home, "a.jsonl", lines(event()))
    put(home, "notes.txt", "x")
    found = pending(home, None)
    assert [file.name for file in found.files] == ["a.jsonl"]
    assert [file.name for file in found.left] == ["notes.txt"]


# --- what people are told


def test_books_are_not_closed_while_usage_may_be_unread(home):
    copy_product(home, "coachos")
    settings = Settings(home, datetime(2025, 6, 1, tzinfo=UTC), QuietTime(2, 60))
    put(home, "notes.txt", "x")
    os.mkfifo(home.inbox / "pipe.jsonl")
    put(home, "a.csv", f"{HEADER}\n{row('e1')}")
    put(home, "b.jsonl", lines(event()))
    (home.inbox / "c.csv").symlink_to("nowhere")
    with pytest.raises(MeterhouseError) as refused:
        close_books(Session(settings), date(2025, 5, 31))
    told = str(refused.value)
    assert "3 usage files (a.csv, b.jsonl, c.csv) in the inbox wait unread" in told
    assert "a.csv: its last line has no end" in told
    assert "c.csv: a link that leads nowhere" in told
    assert "make readable what cannot be opened, or take it out of the inbox" in told
    assert "`meterhouse run`" in told
    assert refused.value.exit_code == 1
    assert "pipe" not in told
    for name in ("a.csv", "b.jsonl", "c.csv"):
        (home.inbox / name).unlink()
    session = Session(settings)
    with pytest.raises(MeterhouseError, match="is not over"):
        close_books(session, date(2025, 6, 1))
    # What holds no usage that could come later is named and keeps nothing open.
    assert session.warnings == [
        "notes.txt: not a usage file by its ending; not read",
        "pipe.jsonl: a named pipe, not a regular file; not read",
    ]


def summary(report, warnings=()):
    console = Console(file=io.StringIO(), width=80)
    session = Session(Settings(Home(Path("nowhere"))), ingest=report, warnings=list(warnings))
    print_summary(session, console)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def batch(name, **reasons):
    count = sum(reasons.values())
    return BatchResult(name, name, "committed", count, 0, 0, count, reject_reasons=tuple(reasons.items()))


def test_a_run_tells_reasons_by_file():
    long_name = "exports/eu-central/2025/03/usage_tracking_2025-03-17_0123abcd_late.jsonl.gz"
    report = IngestReport(
        (
            batch("a.csv", missing_event_id=1, negative_quantity=1200),
            batch(long_name, invalid_occurred_at=3, malformed_record=3, conflicting_duplicate=7),
            batch("whole.csv"),
        )
    )
    told = summary(report)
    assert told[:2] == [
        "Read 3 files: 1,214 rows = 0 accepted + 0 duplicate + 1,214 rejected",
        "Rejected; the table rejected_events has every record:",
    ]
    assert all(len(line) <= 80 for line in told)
    # Names and reasons side by side, neither of them cut.
    width = told[2].index("1,200")
    names = "".join(line[:width].strip() for line in told[2:])
    reasons = " ".join(line[width:].strip() for line in told[2:]).split()
    assert names == f"a.csv{long_name}"
    assert " ".join(reasons) == (
        "1,200 negative_quantity, 1 missing_event_id"
        " 7 conflicting_duplicate, 3 invalid_occurred_at, 3 malformed_record"
    )
    assert summary(IngestReport((batch("whole.csv"),)))[1:] == []


def test_of_many_files_the_worst_are_named_and_no_reason_is_left_out():
    report = IngestReport(tuple(batch(f"{n:03}.csv", negative_quantity=n, x=1) for n in range(1, 101)))
    told = summary(report)
    assert len(told) == 13
    assert told[2].split() == ["100.csv", "100", "negative_quantity,", "1", "x"]
    assert told[-1].split() == ["90", "more", "files", "4,095", "negative_quantity,", "90", "x"]


def test_unreadable_files_and_warnings_are_told_by_reason_also_where_nothing_is_published():
    report = IngestReport(
        tuple(BatchResult(str(n), f"{n}.csv", "unreadable", message="no column [x]") for n in range(5))
    )
    assert summary(report, ["b.jsonl: changed"]) == [
        "Read 5 files: 0 rows = 0 accepted + 0 duplicate + 0 rejected",
        "Unreadable: 0.csv, 1.csv, 2.csv and 2 more: no column [x]",
        "Warning: b.jsonl: changed",
    ]
