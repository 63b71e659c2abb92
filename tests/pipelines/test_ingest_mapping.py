"""Foreign shapes through sources.yml: columns, paths, constants, units, ids, what lands in properties."""

import json
from decimal import Decimal

import polars as pl
import pytest
from ingest_homes import event, events, ingest, lines, put, reasons

from pipelines.home import Home


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path / "home").ensure()


USAGE = {
    "name": "usage",
    "files": "usage*",
    "timezone": "UTC",
    "event_id": "id",
    "fields": {
        "customer_id": "company_id",
        "event_type": "usage_type",
        "quantity": "amount",
        "occurred_at": "created_at",
        "properties": "metadata",
    },
}
HEADER = "id,company_id,usage_type,amount,created_at,metadata,region,customer_id"
ROW = '7,acme,call,2.5,2025-05-01 10:00:00,"{""a"": 1, ""region"": ""us""}",eu,other'


def put_usage(home, form):
    if form == "csv":
        put(home, "usage.csv", f"{HEADER}\n{ROW}\n")
        return
    record = dict(
        zip(
            HEADER.split(","),
            ["7", "acme", "call", "2.5", "2025-05-01 10:00:00", "", "eu", "other"],
            strict=True,
        )
    )
    record["metadata"] = '{"a": 1, "region": "us"}'
    if form == "jsonl":
        put(home, "usage.jsonl", lines(record))
    elif form == "jsonl object":
        put(home, "usage.jsonl", lines({**record, "id": 7, "metadata": {"a": 1, "region": "us"}}))
    else:
        pl.DataFrame([record]).write_parquet(home.inbox / "usage.parquet")


@pytest.mark.parametrize("form", ["csv", "jsonl", "jsonl object", "parquet"])
def test_a_mapped_source_gives_the_same_event_from_every_format(home, form):
    put_usage(home, form)
    assert ingest(home, [USAGE]).accepted_count == 1
    (row,) = events(home)
    assert [row[name] for name in ("event_id", "customer_id", "event_type", "quantity")] == [
        "7",
        "acme",
        "call",
        Decimal("2.5"),
    ]
    assert row["occurred_at"].isoformat() == "2025-05-01T10:00:00+00:00"
    # What is mapped is taken; the rest merges into properties, whose own keys win.
    assert json.loads(row["properties"]) == {"a": 1, "region": "us", "customer_id": "other"}


def test_the_first_fitting_source_wins_and_without_one_the_own_fields_count(home):
    put(home, "usage-1.jsonl", lines({**event("ignored"), "id": "from id"}))
    put(home, "deep/usage.jsonl", lines(event("own", note="x")))
    put(home, "other.jsonl", lines(event("plain")))
    narrow = {"name": "narrow", "files": "usage-*.jsonl", "event_id": "id"}
    assert ingest(home, [narrow, {"name": "by path", "files": "deep/*"}]).accepted_count == 3
    assert sorted(row["event_id"] for row in events(home)) == ["from id", "own", "plain"]


@pytest.mark.parametrize("name", ["a.jsonl", "a.csv", "a.parquet"])
def test_ids_from_rows_are_stable_and_tell_equal_rows_apart(home, tmp_path, name):
    record = event(...)
    source = {"name": "rows", "files": "*", "event_id": "from_row"}

    def fill(place):
        if name.endswith("jsonl"):
            put(place, name, lines(record, record))
        elif name.endswith("csv"):
            put(place, name, ",".join(record) + "\n" + 2 * (",".join(map(str, record.values())) + "\n"))
        else:
            pl.DataFrame([record, record]).write_parquet(place.inbox / name)

    fill(home)
    assert ingest(home, [source]).accepted_count == 2
    other = Home(tmp_path / "other").ensure()
    fill(other)
    ingest(other, [source])
    found = [row["event_id"] for row in events(home)]
    assert len(set(found)) == 2
    assert found == [row["event_id"] for row in events(other)]


def test_constants_and_units(home):
    source = {
        "name": "tokens",
        "files": "*.jsonl",
        "constants": {"event_type": "llm_request", "revision": 3, "is_void": False},
        "units": {
            "input_tokens": {"field": "kilo_tokens", "factor": "1000"},
            "quantity": {"field": "milliseconds", "factor": "0.001"},
        },
    }
    good = event("e1", event_type="own", kilo_tokens=1.234, milliseconds="1")
    put(
        home,
        "a.jsonl",
        lines(good, event("e2", kilo_tokens=0.0001), event("e3", kilo_tokens="x"), event("e4")),
    )
    ingest(home, [source])
    first, last = events(home)
    assert (first["input_tokens"], first["quantity"]) == (1234, Decimal("0.001"))
    assert (first["event_type"], first["revision"], first["is_void"]) == ("llm_request", 3, False)
    assert json.loads(first["properties"]) == {"event_type": "own"}
    assert (last["event_id"], last["input_tokens"], last["quantity"]) == ("e4", None, 1)
    assert reasons(home) == ["invalid_input_tokens", "invalid_input_tokens"]


def test_units_of_floats_are_rounded_after_the_product(home):
    fields = {key: [value] for key, value in event().items()}
    pl.DataFrame({**fields, "ms": [0.1]}).write_parquet(home.inbox / "a.parquet")
    ingest(home, [{"name": "s", "files": "*", "units": {"quantity": {"field": "ms", "factor": "0.00001"}}}])
    assert events(home)[0]["quantity"] == Decimal("0.000001")


@pytest.mark.parametrize("form", ["object", "text", "dotted key", "csv"])
def test_dotted_paths(home, form):
    source = {
        "name": "s",
        "files": "*",
        "fields": {"input_tokens": "usage.tokens.in", "model": "usage.model"},
    }
    usage = {"tokens": {"in": 12}, "model": "m"}
    match form:
        case "object":
            put(home, "a.jsonl", lines(event(usage=usage)))
        case "text":
            put(home, "a.jsonl", lines(event(usage=json.dumps(usage))))
        case "dotted key":
            put(home, "a.jsonl", lines(event(**{"usage.tokens.in": 12, "usage.model": "m"})))
        case _:
            text = json.dumps(usage).replace('"', '""')
            put(
                home,
                "a.csv",
                ",".join([*event(), "usage"]) + "\n" + ",".join(map(str, event().values())) + f',"{text}"\n',
            )
    assert ingest(home, [source]).accepted_count == 1
    (row,) = events(home)
    assert (row["input_tokens"], row["model"]) == (12, "m")
    # A column of which only a part was taken stays whole in properties.
    assert ("usage" in json.loads(row["properties"])) is (form != "dotted key")


def test_columns_named_as_no_identifier_would_be(home):
    source = {"name": "s", "files": "*", "fields": {"user_id": 'it\'s "odd"', "model": "Model"}}
    put(home, "a.jsonl", lines(event(**{'it\'s "odd"': "u", "Model": "big", "model": "small"})))
    ingest(home, [source])
    (row,) = events(home)
    assert (row["user_id"], row["model"], json.loads(row["properties"])) == ("u", "big", {"model": "small"})
