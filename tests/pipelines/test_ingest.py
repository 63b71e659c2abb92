"""Files in, lake out: formats, identity, batches, and what may be wrong with a file."""

import gzip
import json
import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import duckdb
import polars as pl
import pytest
from ingest_homes import AS_OF, event, events, ingest, lines, manifests, put, reasons, rejects

from models.frames import COMMITS, EVENTS, REJECTS, empty_frame
from pipelines.home import Home
from pipelines.ingest import pending_files
from pipelines.ingest.formats import READERS, format_of
from pipelines.lake.commits import read_lake


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path / "home").ensure()


def counts(report):
    return report.rows_read, report.accepted_count, report.duplicate_count, report.rejected_count


def ids(home):
    return [row["event_id"] for row in events(home)]


# --- the lake


def test_an_empty_inbox_gives_the_empty_lake(home):
    report = ingest(home)
    assert report.batches == ()
    for name, schema in (("events", EVENTS), ("rejects", REJECTS), ("commits", COMMITS)):
        assert pl.read_parquet(home.lake / "schema" / f"{name}.parquet").equals(empty_frame(schema))


def test_arrival_fields(home):
    put(
        home,
        "sub/a.jsonl",
        "\n" + lines(event("e1"), "  ", event("e2", occurred_at="2025-05-02T00:00:00+02:00")),
    )
    ingest(home)
    rows = events(home)
    assert [(row["source_file"], row["source_row"], row["ingested_at"]) for row in rows] == [
        ("sub/a.jsonl", 1, AS_OF),
        ("sub/a.jsonl", 2, AS_OF),
    ]
    (batch,) = manifests(home)
    assert [
        path.relative_to(home.lake / "events").as_posix() for path in sorted(home.lake.glob("events/*/*"))
    ] == [file.path.removeprefix("events/") for file in read_lake(home).files.values()]
    assert batch["event_dates"] == [{"event_date": date(2025, 5, 1), "event_count": 2}]
    assert not list((home.lake / ".staging").iterdir())


def test_duckdb_sees_the_types_of_the_contract(home):
    put(home, "a.jsonl", lines(event(quantity="2.5", cost_usd="0.1")))
    ingest(home)
    with duckdb.connect() as connection:
        types = dict(
            connection.execute(
                """select column_name, column_type
                from (describe from read_parquet($files, hive_partitioning = false))""",
                {"files": str(home.lake / "events" / "*" / "*.parquet")},
            ).fetchall()
        )
    assert types["quantity"] == "DECIMAL(28,6)"
    assert types["cost_usd"] == "DECIMAL(28,12)"
    assert types["occurred_at"] == types["ingested_at"] == "TIMESTAMP WITH TIME ZONE"
    assert types["revision"] == types["source_row"] == "BIGINT"
    assert list(types) == list(EVENTS.columns)


def test_conservation_holds_for_every_batch(home):
    put(
        home,
        "a.jsonl",
        lines(event("e1"), event("e1"), event("e1", quantity="2"), "x", event("e2", customer_id="")),
    )
    put(home, "b.jsonl", lines(event("e1"), event("e3")))
    assert counts(ingest(home)) == (7, 2, 2, 3)
    for batch in manifests(home):
        assert batch["rows_read"] == sum(
            batch[name] for name in ("accepted_count", "duplicate_count", "rejected_count")
        )


# --- formats


def test_every_format_has_a_name_that_is_documented():
    page = (Path(__file__).parents[2] / "docs" / "usage-files.md").read_text()
    [table] = re.findall(r"\| ending \|.*?\n\n", page, flags=re.DOTALL)
    endings = [
        name for line in table.strip().splitlines() for name in re.findall(r"`(\.\w+)`", line.split("|")[1])
    ]
    assert {format_of(f"a{ending}") for ending in endings} == set(READERS)


@pytest.mark.parametrize("name", ["a.jsonl", "a.ndjson", "a.JSONL", "a.jsonl.gz"])
def test_json_lines(home, name):
    content = lines(event("e1", input_tokens=5), event("e2")).encode()
    put(home, name, gzip.compress(content) if name.endswith("gz") else content)
    assert counts(ingest(home)) == (2, 2, 0, 0)


@pytest.mark.parametrize("separator", [",", ";"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_csv(home, separator, mark, newline):
    rows = [
        ["event_id", "customer_id", "event_type", "occurred_at", "quantity", "note", "user_id"],
        ["e1", "c1", "call", "2025-05-01T10:00:00Z", "2.5", f'"a{separator} ""b""{newline}c"', ""],
        [],
        ["17", "c1", "call", "2025-05-01T10:00:00Z", "", "", "u1"],
    ]
    put(home, "a.csv", mark + newline.join(separator.join(row) for row in rows).encode())
    assert counts(ingest(home)) == (2, 2, 0, 0)
    first, second = events(home)
    assert (first["quantity"], first["user_id"]) == (Decimal("2.5"), None)
    assert json.loads(first["properties"]) == {"note": f'a{separator} "b"{newline}c'}
    assert (second["event_id"], second["quantity"], second["properties"]) == ("17", Decimal(1), "{}")


def test_csv_rows_of_another_width_are_malformed(home):
    put(
        home,
        "a.csv",
        "event_id,customer_id,event_type,occurred_at\ne1,c1,call,2025-05-01T10:00:00Z\ne2,c1,call\n"
        "e3,c1,call,2025-05-01T10:00:00Z,more\n,,,\n",
    )
    assert counts(ingest(home)) == (4, 1, 0, 3)
    assert [(row["source_row"], row["reason"], row["raw_record"]) for row in rejects(home)] == [
        (2, "malformed_record", "e2,c1,call"),
        (3, "malformed_record", "e3,c1,call,2025-05-01T10:00:00Z,more"),
        (4, "missing_event_id", ",,,"),
    ]


@pytest.mark.parametrize("content", ["", "\n\n", "event_id,customer_id,event_type,occurred_at\n"])
def test_a_csv_without_rows(home, content):
    put(home, "a.csv", content)
    assert counts(ingest(home)) == (0, 0, 0, 0)
    assert manifests(home)[0]["status"] == "committed"


def test_a_csv_with_a_column_twice_is_unreadable(home):
    put(home, "a.csv", "event_id,event_id\n1,2\n")
    (batch,) = ingest(home).batches
    assert batch.status == "unreadable"
    assert "'event_id'" in batch.message


def parquet(home, name, **columns):
    frame = pl.DataFrame(columns)
    frame.write_parquet(home.inbox / name)


def test_parquet_types(home):
    parquet(
        home,
        "a.parquet",
        event_id=pl.Series([1, 2], dtype=pl.Int64),
        customer_id=["c1", "c2"],
        event_type=pl.Series(["call", "call"], dtype=pl.Categorical),
        occurred_at=pl.Series([datetime(2025, 5, 1, 10)] * 2).dt.replace_time_zone("Europe/Berlin"),
        quantity=[0.1, 2.0000005],
        input_tokens=pl.Series([12.0, None], dtype=pl.Float64),
        output_tokens=pl.Series([2**62, 1], dtype=pl.UInt64),
        cost_usd=pl.Series([Decimal("0.000000000001"), None], dtype=pl.Decimal(38, 18)),
        is_void=[False, None],
        big=[12345678901234567, None],
        at=[date(2025, 1, 1), None],
        ratio=[0.5, float("nan")],
    )
    assert counts(ingest(home)) == (2, 2, 0, 0)
    first, second = events(home)
    assert first["event_id"] == "1"
    assert first["occurred_at"] == datetime(2025, 5, 1, 8, tzinfo=UTC)
    assert (first["quantity"], second["quantity"]) == (Decimal("0.1"), Decimal("2.000001"))
    assert (first["input_tokens"], first["output_tokens"]) == (12, 2**62)
    assert first["cost_usd"] == Decimal("0.000000000001")
    assert json.loads(first["properties"]) == {"big": 12345678901234567, "at": "2025-01-01", "ratio": 0.5}
    assert json.loads(second["properties"]) == {"ratio": "NaN"}


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("customer_id", [{"a": 1}]),
        ("customer_id", [[1]]),
        ("customer_id", [True]),
        ("customer_id", [1.5]),
        ("customer_id", [b"x"]),
        ("quantity", [float("nan")]),
        ("quantity", [float("inf")]),
        ("quantity", [True]),
        ("quantity", [1e15]),
        ("input_tokens", [1.5]),
        ("occurred_at", [datetime(2025, 5, 1)]),
        ("occurred_at", [date(2025, 5, 1)]),
        ("occurred_at", [1746093600]),
        ("is_void", [1]),
        ("properties", [[1]]),
    ],
)
def test_parquet_of_wrong_types(home, column, values):
    fields = {key: [value] for key, value in event().items()} | {column: values}
    parquet(home, "a.parquet", **fields)
    assert counts(ingest(home)) == (1, 0, 0, 1)
    assert reasons(home) == [f"invalid_{column}"]
    assert "event_id" in json.loads(rejects(home)[0]["raw_record"])


def test_parquet_properties_may_be_a_struct_or_text(home):
    fields = {key: [value] for key, value in event().items()}
    parquet(home, "a.parquet", **fields, properties=[{"a": 1, "b": {"c": "x"}}])
    parquet(home, "b.parquet", **fields | {"event_id": ["e2"]}, properties=['{"a": 1}'])
    ingest(home)
    assert [json.loads(row["properties"]) for row in events(home)] == [{"a": 1, "b": {"c": "x"}}, {"a": 1}]


def test_nanoseconds_are_cut_off(home):
    fields = {key: [value] for key, value in event().items()}
    at = pl.Series([1_746_093_600_123_456_789], dtype=pl.Datetime("ns", "UTC"))
    parquet(home, "a.parquet", **fields | {"occurred_at": at})
    ingest(home)
    assert events(home)[0]["occurred_at"].microsecond == 123_456


# --- files that are not as they should be


def test_a_truncated_gzip_is_one_unreadable_batch_and_the_others_go_on(home):
    whole = gzip.compress(lines(*(event(f"e{i}") for i in range(1000))).encode())
    put(home, "a.jsonl.gz", whole[:-20])
    put(home, "b.jsonl", lines(event("e1")))
    report = ingest(home)
    first, second = report.batches
    assert (first.status, first.rows_read, first.accepted_count) == ("unreadable", 0, 0)
    assert "gzip" in first.message
    assert second.accepted_count == 1
    assert pending_files(home, None) == []
    assert ingest(home).known_files == 2


def test_a_broken_parquet_is_unreadable_even_if_its_end_is_whole(home, tmp_path):
    frame = pl.DataFrame({"event_id": [f"e{i}-{i * 7919}" for i in range(200_000)]})
    frame.write_parquet(tmp_path / "whole.parquet", row_group_size=50_000)
    content = bytearray((tmp_path / "whole.parquet").read_bytes())
    content[len(content) // 2 : len(content) // 2 + 2000] = b"\0" * 2000
    put(home, "middle.parquet", bytes(content))
    put(home, "text.parquet", "no parquet")
    put(home, "z.jsonl", lines(event()))
    report = ingest(home)
    assert [batch.status for batch in report.batches] == ["unreadable", "unreadable", "committed"]
    assert ids(home) == ["e1"]
    assert not rejects(home)


def test_an_empty_file_is_a_batch_without_records(home):
    put(home, "a.jsonl", "")
    assert counts(ingest(home)) == (0, 0, 0, 0)
    assert manifests(home)[0]["status"] == "committed"


def test_a_line_of_ten_megabytes(home):
    put(home, "a.jsonl", lines(event("e1", note="x" * 10_000_000), "y" * 10_000_000, event("e2")))
    assert counts(ingest(home)) == (3, 2, 0, 1)
    assert len(events(home)[0]["properties"]) > 10_000_000
    assert len(rejects(home)[0]["raw_record"]) == 10_000_000


def test_a_field_of_ten_megabytes_in_csv(home):
    text = (
        "event_id,customer_id,event_type,occurred_at,note\ne1,c1,call,2025-05-01T10:00:00Z,"
        + "x" * 10_000_000
    )
    put(home, "a.csv", text)
    assert counts(ingest(home)) == (1, 1, 0, 0)


@pytest.mark.parametrize("name", ["a.jsonl", "a.csv"])
def test_invalid_utf8_is_shown_and_nothing_else_is_lost(home, name):
    if name == "a.jsonl":
        bad = lines(event("bad")).encode().replace(b"call", b"c\xff\xe9l")
        content = lines(event("e1")).encode() + bad + lines(event("e2", user_id="Jörg")).encode()
    else:
        row = b"%s,c1,%s,2025-05-01T10:00:00Z\n"
        content = b"event_id,customer_id,event_type,occurred_at\n"
        content += row % (b"e1", b"call") + row % (b"bad", b"c\xff\xe9l") + row % (b"e2", "ä".encode())
    put(home, name, content)
    assert counts(ingest(home)) == (3, 2, 0, 1)
    (reject,) = rejects(home)
    assert (reject["source_row"], reject["reason"]) == (2, "malformed_record")
    assert r"c\xff\xe9l" in reject["raw_record"]


def test_a_byte_order_mark_is_no_part_of_the_first_record(home):
    put(home, "a.jsonl", b"\xef\xbb\xbf" + lines(event()).encode())
    assert counts(ingest(home)) == (1, 1, 0, 0)


# --- identity


def test_the_same_payload_is_a_duplicate_in_any_spelling(home):
    put(
        home,
        "a.jsonl",
        lines(event("e1", quantity="2.50", x=1.5, properties={"a": 1, "b": [1, {"c": 2, "d": 3}]})),
    )
    same = '{"properties": {"b": [1.0, {"d": 3, "c": 2e0}], "a": 1, "x": 15e-1}, "quantity": 2.5,'
    put(home, "b.jsonl", same + lines(event("e1", occurred_at="2025-05-01T12:00:00+02:00"))[1:])
    assert counts(ingest(home)) == (2, 1, 1, 0)


@pytest.mark.parametrize("files", [1, 2])
@pytest.mark.parametrize(
    "change",
    [{"quantity": "2"}, {"customer_id": "c2"}, {"user_id": "u"}, {"x": 1}, {"is_void": True},
     {"occurred_at": "2025-05-01T10:00:01Z"},
     {"properties": {"n": 0.1000000000000000055}}],
)  # fmt: skip
def test_another_payload_is_a_conflict_and_the_first_wins(home, files, change):
    first, second = event("e1", properties={"n": 0.1}), event("e1", **{"properties": {"n": 0.1}, **change})
    if "properties" in change:
        second = lines(second).replace("0.1", "0.1000000000000000055").strip()
    if files == 1:
        put(home, "a.jsonl", lines(first, second))
    else:
        put(home, "a.jsonl", lines(first))
        put(home, "b.jsonl", lines(second))
    assert counts(ingest(home)) == (2, 1, 0, 1)
    (reject,) = rejects(home)
    assert reject["reason"] == "conflicting_duplicate"
    assert reject["raw_record"] == lines(second).strip()
    assert events(home)[0]["quantity"] == 1


@pytest.mark.parametrize("mark", ["|", "\x1f", "\x1e", "\x1e1"])
def test_separators_inside_texts_do_not_make_payloads_equal(home, mark):
    put(
        home,
        "a.jsonl",
        lines(event(user_id=f"a{mark}b", resource="c"), event(user_id="a", resource=f"b{mark}c")),
    )
    put(
        home,
        "b.jsonl",
        lines(event(user_id="a\x1fb", resource="c"), event(user_id=f"a{mark}b", resource="c")),
    )
    assert counts(ingest(home))[1] == 1
    assert {row["raw_record"] for row in rejects(home)} >= {
        lines(event(user_id="a", resource=f"b{mark}c")).strip()
    }


def test_revisions_are_records_of_their_own_in_any_order(home):
    put(
        home,
        "a.jsonl",
        lines(
            event(revision=2, quantity="5"), event(revision=1, quantity="4"), event(revision=2, quantity="5")
        ),
    )
    put(home, "b.jsonl", lines(event(quantity="3"), event(revision=7, is_void=True)))
    assert counts(ingest(home)) == (5, 4, 1, 0)
    assert sorted(row["revision"] for row in events(home)) == [0, 1, 2, 7]
    assert [batch["max_revision"] for batch in manifests(home)] == [2, 7]


@pytest.mark.parametrize("files", [1, 2])
@pytest.mark.parametrize(
    ("apart", "is_same"), [(timedelta(days=35), True), (timedelta(days=35, microseconds=1), False)]
)
def test_ids_used_again_after_35_days_are_separate_events(home, files, apart, is_same):
    first = datetime(2025, 3, 1, 12, tzinfo=UTC)
    records = [event(occurred_at=first.isoformat()), event(occurred_at=(first + apart).isoformat())]
    for number in range(files):
        put(home, f"{number}.jsonl", lines(*(records if files == 1 else [records[number]])))
    report = ingest(home)
    assert counts(report) == ((2, 1, 0, 1) if is_same else (2, 2, 0, 0))
    assert report.separate_event_count == (0 if is_same else 1)


def test_order_is_file_name_then_row(home):
    put(home, "b.jsonl", lines(event(quantity="2")))
    put(home, "a.jsonl", lines(event(quantity="1"), event(quantity="3")))
    ingest(home)
    assert events(home)[0]["quantity"] == 1
    assert [(row["source_file"], row["source_row"]) for row in rejects(home)] == [
        ("a.jsonl", 2),
        ("b.jsonl", 1),
    ]


def test_a_rejected_record_claims_no_id(home):
    put(home, "a.jsonl", lines(event(quantity="-1"), event(quantity="1")))
    assert counts(ingest(home)) == (2, 1, 0, 1)
    assert reasons(home) == ["negative_quantity"]


# --- files are known by content


def test_known_content_is_not_read_again_under_any_name_or_compression(home):
    content = lines(event()).encode()
    put(home, "a.jsonl", content)
    assert [file.name for file in pending_files(home, None)] == ["a.jsonl"]
    ingest(home)
    put(home, "b.jsonl", content)
    put(home, "c.jsonl.gz", gzip.compress(content))
    assert pending_files(home, None) == []
    report = ingest(home)
    assert (report.batches, report.known_files) == ((), 3)


def test_the_cache_of_hashes_may_vanish_or_be_damaged(home):
    put(home, "a.jsonl", lines(event()))
    ingest(home)
    for content in ("", "{", "[]", '{"a.jsonl": 1}'):
        (home.cache / "inbox.json").write_text(content)
        assert pending_files(home, None) == []


def test_changed_content_under_a_known_name_is_a_new_batch(home):
    put(home, "a.jsonl", lines(event("e1")))
    ingest(home)
    put(home, "a.jsonl", lines(event("e1"), event("e2")))
    assert counts(ingest(home)) == (2, 1, 1, 0)


def test_the_inbox_is_never_changed(home):
    path = put(home, "a.jsonl", lines(event(), "x"))
    before = path.read_bytes(), path.stat().st_mtime_ns
    ingest(home)
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before


def test_progress_is_told_in_records(home):
    from pipelines.ingest import ingest_inbox

    put(home, "a.jsonl", lines(event("e1"), event("e2")))
    calls = []
    ingest_inbox(home, None, AS_OF, lambda **call: calls.append(call))
    assert calls == [{"source_file": "a.jsonl", "file_number": 1, "file_count": 1, "rows_read": 2}]


# --- many blocks


@pytest.fixture
def small_blocks(monkeypatch):
    """Blocks, parts and row groups so small that every seam is crossed."""
    from pipelines.ingest.formats import csv as delimited
    from pipelines.ingest.formats import jsonl
    from pipelines.lake import batches as lake

    monkeypatch.setattr(
        jsonl.JsonLinesReader.__init__, "__kwdefaults__", {"block_bytes": 300, "only_exact": False}
    )
    monkeypatch.setattr(delimited.CsvReader.__init__, "__kwdefaults__", {"block_rows": 3})
    monkeypatch.setattr(lake, "_PART_ROWS", 4)
    monkeypatch.setattr(lake, "_HELD_ROWS", 10)
    monkeypatch.setattr(lake, "_ROW_GROUP", 3)


def test_blocks_and_parts_make_no_difference(home, tmp_path, small_blocks, monkeypatch):
    records = [
        event(f"e{i % 70}", occurred_at=f"2025-05-{i % 7 + 1:02}T10:00:00Z", n=i // 140) for i in range(200)
    ]
    for number in range(0, 200, 17):
        records[number] = "broken " * number + "\n\n"
    content = lines(*records)
    put(home, "a.jsonl", content)
    small = ingest(home)
    monkeypatch.undo()
    other = Home(tmp_path / "other").ensure()
    put(other, "a.jsonl", content)
    assert small.batches == ingest(other).batches
    assert events(home) == events(other)
    assert rejects(home) == rejects(other)
    assert small.duplicate_count
    assert small.rejected_count > 12
