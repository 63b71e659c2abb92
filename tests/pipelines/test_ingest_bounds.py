"""Records that are too large: one reject each, whatever the format, and what stands around them is read as ever."""

import csv
import hashlib
import io
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ingest_homes import event, events, ingest, lines, manifests, put, reasons, rejects

from models.events import MAX_RECORD_BYTES, MAX_RECORD_VALUES, SHOWN_RECORD_BYTES
from pipelines.home import Home
from pipelines.ingest import exact
from pipelines.ingest.formats import csv as delimited
from pipelines.ingest.formats import jsonl
from pipelines.ingest.formats import reader as reading
from pipelines.ingest.formats.csv import CsvReader
from pipelines.ingest.formats.jsonl import JsonLinesReader
from pipelines.ingest.formats.reader import Oversized
from pipelines.ingest.mapping import plan_for

HEADER = "event_id,customer_id,event_type,occurred_at,note\n"
ROW = "{},c1,call,2025-05-01T10:00:00Z,{}\n"


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path / "home").ensure()


@pytest.fixture
def few_bytes(monkeypatch):
    """Records of more than 100 bytes are too large, and 20 of them are shown."""
    for module in (reading, jsonl, delimited):
        monkeypatch.setattr(module, "MAX_RECORD_BYTES", 100)
    monkeypatch.setattr(reading, "SHOWN_RECORD_BYTES", 20)
    monkeypatch.setattr(delimited, "_LINE_CHARACTERS", 102)


def stored(record: bytes, shown: int = SHOWN_RECORD_BYTES) -> dict[str, object]:
    """What is kept of a record of plain characters."""
    return {
        "length": len(record),
        "sha256": hashlib.sha256(record).hexdigest(),
        "first": record[:shown].decode(),
    }


def jsonl_record(size: int) -> str:
    record = json.dumps(event("big", note=""))
    return record.replace('"note": ""', f'"note": "{"x" * (size - len(record))}"')


def csv_record(size: int) -> str:
    record = ROW.format("big", "").rstrip("\n")
    return record + "x" * (size - len(record))


@pytest.mark.parametrize("line_end", ["\n", "\r\n", ""])
@pytest.mark.parametrize(
    ("name", "head", "make"), [("a.jsonl", "", jsonl_record), ("a.csv", HEADER, csv_record)]
)
def test_the_largest_record_is_read_and_one_byte_more_is_rejected(home, name, head, make, line_end):
    for extra in (0, 1):
        record = make(MAX_RECORD_BYTES + extra)
        put(home, f"{extra}/{name}", head + record + line_end)
    report = ingest(home)
    assert (report.accepted_count, report.rejected_count) == (1, 1)
    [reject] = rejects(home)
    assert (reject["reason"], reject["source_file"], reject["source_row"]) == (
        "malformed_record",
        f"1/{name}",
        1,
    )
    assert json.loads(reject["raw_record"]) == stored(record.encode())


def test_what_stands_around_a_large_record_keeps_its_row(home):
    big = "x" * (MAX_RECORD_BYTES + 5)
    put(home, "a.jsonl", lines(event("e1"), big, "", event("e2"), big + "y", event("e3")))
    inside = '""x"",\n' * (MAX_RECORD_BYTES // 7 + 5)
    quoted = f'big,c1,call,2025-05-01T10:00:00Z,"{inside}"'
    put(
        home,
        "b.csv",
        HEADER + ROW.format("f1", "") + quoted + "\n" + ROW.format("f2", "") + ROW.format("f3", ""),
    )
    ingest(home)
    assert [(row["event_id"], row["source_row"]) for row in events(home)] == [
        *(("e1", 1), ("e2", 3), ("e3", 5)),
        *(("f1", 1), ("f2", 3), ("f3", 4)),
    ]
    assert [(row["source_file"], row["source_row"]) for row in rejects(home)] == [
        ("a.jsonl", 2),
        ("a.jsonl", 4),
        ("b.csv", 2),
    ]
    assert json.loads(rejects(home)[2]["raw_record"]) == stored(quoted.encode())


def test_an_unclosed_quote_makes_one_record_of_the_rest_however_long(home):
    rest = 'big,c1,call,2025-05-01T10:00:00Z,"' + "a,b,c\n" * (MAX_RECORD_BYTES // 6 + 5)
    put(home, "a.csv", HEADER + ROW.format("e1", "") + rest)
    ingest(home)
    assert [row["event_id"] for row in events(home)] == ["e1"]
    assert json.loads(rejects(home)[0]["raw_record"]) == stored(rest.removesuffix("\n").encode())


def test_a_character_that_is_cut_through_is_left_out_and_bad_bytes_are_shown(home, few_bytes):
    record = b"\xff" + "é".encode() * 100
    put(home, "a.jsonl", record + b"\n")
    ingest(home)
    [reject] = rejects(home)
    assert json.loads(reject["raw_record"])["first"] == "\\xff" + "é" * 9
    assert json.loads(reject["raw_record"])["length"] == 201


def test_a_blank_line_is_no_record_however_long(home, few_bytes):
    put(home, "a.jsonl", " " * 500 + "\n" + "\t" * 3000 + "\n" + " " * 101)
    put(home, "b.csv", "event_id\n" + " " * 500 + "\n")
    ingest(home)
    assert [row["rows_read"] for row in manifests(home)] == [0, 0]


@pytest.mark.parametrize("name", ["a.csv", "b.csv"])
def test_a_header_that_is_no_header_makes_the_file_unreadable(home, name):
    columns = ",".join(map(str, range(10_001))) if name == "a.csv" else "x" * (1 << 20) + ",y"
    put(home, name, columns + "\n" + ROW.format("e1", ""))
    [unreadable] = ingest(home).unreadable
    assert "the header has more than 10,000 columns or" in unreadable.message


def test_a_record_of_too_many_values_is_malformed_and_text_does_not_count(home):
    def crowded(values: int) -> str:
        # The record itself, its five members and the array are values too.
        return json.dumps(event("e", note=[]), separators=(",", ":")).replace(
            "[]", f"[{'1,' * (values - 7)}1]"
        )

    assert not exact.has_too_many_values(crowded(MAX_RECORD_VALUES))
    assert exact.has_too_many_values(crowded(MAX_RECORD_VALUES + 1))
    put(home, "a.jsonl", lines(crowded(MAX_RECORD_VALUES + 1)))
    put(home, "b.jsonl", lines(event("text", note='[{,\\"' * MAX_RECORD_VALUES)))
    ingest(home)
    assert reasons(home) == ["malformed_record"]
    assert [row["event_id"] for row in events(home)] == ["text"]


def test_many_short_lines_are_read_in_blocks_of_few(tmp_path, monkeypatch):
    monkeypatch.setattr(jsonl, "_BLOCK_LINES", 3)
    path = tmp_path / "a.jsonl"
    path.write_text("\n" * 50 + "".join(f"{number}\n" * (number % 3) + "\n" for number in range(40)) + "41")
    reader = JsonLinesReader(path, plan_for(None))
    blocks = list(reader.blocks())
    assert all(block.count(b"\n") <= 3 for block in blocks)
    assert b"".join(blocks).split() == path.read_bytes().split()


FIELDS = st.text(alphabet='ab",;\n\r é', max_size=60)
FAST = settings(
    max_examples=300,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@FAST
@given(text=st.lists(st.one_of(FIELDS, st.just('"' * 3), st.just("x" * 99)), max_size=30))
def test_records_end_where_csv_says_so_whether_they_are_held_or_not(tmp_path_factory, few_bytes, text):
    """Any text: the rows of ``csv.reader``, of which those that are too large come by themselves."""
    content = "k,v\n" + "\n".join(text)
    taken: list[str] = []

    def remembered():
        for line in io.StringIO(content, newline=""):
            taken.append(line)
            yield line

    expected: list[tuple[bool, str]] = []
    for number, record in enumerate(csv.reader(remembered())):
        source = "".join(taken)
        taken.clear()
        raw = source.removesuffix("\n").removesuffix("\r")
        is_large = len(raw.encode()) > 100
        is_blank = (
            not source.strip() if is_large else not record or (len(record) == 1 and not record[0].strip())
        )
        if number and not is_blank:
            expected.append(
                (is_large, hashlib.sha256(raw.encode()).hexdigest() if is_large else source.rstrip("\r\n"))
            )
    path = tmp_path_factory.mktemp("csv") / "a.csv"
    path.write_bytes(content.encode())
    reader = CsvReader(path, plan_for(None))
    found: list[tuple[bool, str]] = []
    for block in reader.blocks():
        if isinstance(block, Oversized):
            found.append((True, json.loads(block.text)["sha256"]))
        else:
            found += [(False, raw) for raw in block.raw]
    assert found == expected


@FAST
@given(
    text=st.lists(st.one_of(st.text(alphabet="ab\r \t", max_size=150), st.just("x" * 100)), max_size=20),
    size=st.integers(1, 300),
)
def test_lines_are_the_same_whatever_they_are_read_in(tmp_path_factory, few_bytes, text, size):
    content = "\n".join(text).encode()
    path = tmp_path_factory.mktemp("jsonl") / "a.jsonl"
    path.write_bytes(content)
    expected = []
    for line in content.split(b"\n"):
        raw = line.removesuffix(b"\r")
        if raw.strip():
            is_large = len(raw) > 100
            expected.append(hashlib.sha256(raw).hexdigest() if is_large else raw.decode())
    found = []
    reader = JsonLinesReader(path, plan_for(None), block_bytes=size)
    for block in reader.blocks():
        if isinstance(block, Oversized):
            found.append(json.loads(block.text)["sha256"])
        else:
            found += reader.raw(block).series.to_list()
    assert found == expected
