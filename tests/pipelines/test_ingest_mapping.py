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


WHERE = {
    "name": "where",
    "files": "*",
    "fields": {
        "input_tokens": [
            "input_tokens",
            {
                "field": "quantity",
                "where": {"unit": ["tokens", "token"], "input_tokens": None, "output_tokens": None},
            },
        ],
        "model": {"field": "name", "where": {"kind": ["ai", 7], "beta": False}},
    },
}
COLUMNS = ["event_id", "quantity", "unit", "kind", "beta", "name", "input_tokens", "output_tokens"]
# Each record, what it gives (input_tokens, output_tokens, quantity, model), and what of `name` is a property.
WHERE_CASES = [
    (["tokens", "2000000", "tokens", "ai", "false", "gpt"], (2_000_000, None, 2_000_000, "gpt"), None),
    (["another unit", "3", "calls", "web", "false", "/v1"], (None, None, 3, None), "/v1"),
    (["own input", "1", "tokens", "7", "false", "gpt", "5"], (5, None, 1, "gpt"), None),
    (["own output", "1", "token", "ai", "true", "gpt", "", "6"], (None, 6, 1, None), "gpt"),
    (["no unit", "4", "", "ai", "", "gpt"], (None, None, 4, None), "gpt"),
]


@pytest.mark.parametrize("form", ["jsonl", "csv", "parquet"])
def test_a_field_takes_a_column_where_others_say_so(home, form):
    rows = [
        event() | dict(zip(COLUMNS, [*values, *[""] * 8][:8], strict=True)) for values, _, _ in WHERE_CASES
    ]
    if form == "jsonl":
        put(home, "a.jsonl", lines(*({key: value for key, value in row.items() if value} for row in rows)))
    elif form == "csv":
        put(
            home,
            "a.csv",
            "\n".join(",".join(map(str, row)) for row in [rows[0], *(r.values() for r in rows)]),
        )
    else:
        typed = {"quantity": pl.Float64, "input_tokens": pl.Int64, "beta": pl.Boolean}
        frame = pl.DataFrame([{key: value or None for key, value in row.items()} for row in rows])
        frame.with_columns(
            pl.col("beta").replace_strict({"true": True, "false": False}, default=None),
            **{name: pl.col(name).cast(kind) for name, kind in typed.items() if name != "beta"},
        ).write_parquet(home.inbox / "a.parquet")
    assert ingest(home, [WHERE]).accepted_count == len(WHERE_CASES)
    found = {row["event_id"]: row for row in events(home)}
    for (name, *_), expected, left in WHERE_CASES:
        row = found[name]
        assert (row["input_tokens"], row["output_tokens"], row["quantity"], row["model"]) == expected
        properties = json.loads(row["properties"])
        # What is only compared stays, and so does what is not taken.
        assert ("unit" in properties, properties.get("name")) == (name != "no unit", left), name
        assert "quantity" not in properties


def test_a_list_is_the_exact_sum_of_what_is_there(home):
    source = {"name": "s", "files": "*", "fields": {"quantity": ["a", "b.c"], "input_tokens": ["i", "j"]}}
    put(
        home,
        "a.jsonl",
        lines(
            event("both", a=0.1, b={"c": "0.2"}, i=1, j=2),
            event("one", a="7.5", b={}, i="", j=3),
            event("none"),
            event("text", a="1", b={"c": "x"}),
            event("fraction", i="1", j="0.5"),
            event("tiny", i="1", j="1e-5000"),
        ),
    )
    ingest(home, [source])
    assert [(row["event_id"], row["quantity"], row["input_tokens"]) for row in events(home)] == [
        ("both", Decimal("0.3"), 3),
        ("one", Decimal("7.5"), 3),
        ("none", 1, None),
    ]
    assert reasons(home) == ["invalid_quantity", "invalid_input_tokens", "invalid_input_tokens"]


def test_a_float_is_rounded_to_the_scale_of_each_field_that_takes_it(home):
    fields = {key: [value] for key, value in event().items()}
    pl.DataFrame({**fields, "q": [2.1234567], "unit": ["s"]}).write_parquet(home.inbox / "a.parquet")
    ingest(
        home,
        [
            {
                "name": "s",
                "files": "*",
                "fields": {"quantity": "q", "cost_usd": {"field": "q", "where": {"unit": "s"}}},
            }
        ],
    )
    (row,) = events(home)
    assert (row["quantity"], row["cost_usd"]) == (Decimal("2.123457"), Decimal("2.1234567"))
