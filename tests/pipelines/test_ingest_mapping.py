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


# --- columns that a source names and a file lacks


def table(home, name, **columns):
    """A file of one record in the format of its name."""
    if name.endswith("parquet"):
        pl.DataFrame({column: [value] for column, value in columns.items()}).write_parquet(home.inbox / name)
        return
    texts = [
        json.dumps(value) if isinstance(value, dict) else "" if value is None else str(value)
        for value in columns.values()
    ]
    cells = ",".join('"' + text.replace('"', '""') + '"' for text in texts)
    put(home, name, ",".join(columns) + f"\n{cells}\n")


TYPOS = [
    ({"event_id": "idd"}, "'idd' for event_id (is 'id' meant?)"),
    ({"fields": {"quantity": "amuont"}}, "'amuont' for quantity (is 'amount' meant?)"),
    ({"units": {"quantity": {"field": "amuont", "factor": "10"}}}, "'amuont' for quantity"),
    ({"fields": {"user_id": "who", "model": "who"}}, "'who' for user_id, model"),
    ({"fields": {"model": "mtea.model"}}, "'mtea.model' for model"),
    ({"fields": {"quantity": "x", "user_id": "y"}}, "'x' for quantity; 'y' for user_id"),
]


@pytest.mark.parametrize("form", ["csv", "parquet"])
@pytest.mark.parametrize(("typo", "named"), TYPOS)
def test_a_column_that_a_source_names_and_a_table_lacks_makes_it_unreadable(home, form, typo, named):
    table(home, f"a.{form}", **event(..., id="e1", amount=5, meta={"model": "m"}))
    report = ingest(home, [{"name": "s", "files": "*", "event_id": "id", **typo}])
    [batch] = report.unreadable
    assert (batch.rows_read, events(home)) == (0, [])
    assert named in batch.message
    assert "source 's'" in batch.message
    assert "There are: customer_id, event_type, occurred_at, id, amount, meta" in batch.message


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_columns_that_nobody_names_stay_optional(home, form):
    table(home, f"a.{form}", **event(..., id="e1", meta={"model": "m"}))
    source = {"name": "s", "files": "*", "event_id": "id", "fields": {"model": "meta.model"}}
    assert ingest(home, [source]).batches[0].message is None
    assert (events(home)[0]["quantity"], events(home)[0]["model"]) == (1, "m")


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_a_column_of_the_whole_dotted_name_is_the_one_that_is_named(home, form):
    table(home, f"a.{form}", **event(**{"meta.model": None}))
    [batch] = ingest(home, [{"name": "s", "files": "*", "fields": {"model": "meta.model"}}]).batches
    assert (batch.status, batch.message) == ("committed", None)


@pytest.mark.parametrize("content", ["", "\n\n"])
def test_a_file_without_a_header_lacks_nothing(home, content):
    put(home, "a.csv", content)
    assert ingest(home, [{"name": "s", "files": "*", "event_id": "id"}]).unreadable == ()


@pytest.mark.parametrize(("path", "is_there"), [("meta.use.model", True), ("meta.use.modle", False)])
def test_a_struct_says_what_it_holds(home, path, is_there):
    table(home, "a.parquet", **event(meta={"use": {"model": "m"}}))
    report = ingest(home, [{"name": "s", "files": "*", "fields": {"model": path}}])
    assert report.accepted_count == is_there
    if not is_there:
        assert "'meta.use.modle' for model" in report.unreadable[0].message


def test_wide_tables_are_not_listed_whole(home):
    table(home, "a.csv", **event(**{f"c{number}": 1 for number in range(100)}))
    [batch] = ingest(home, [{"name": "s", "files": "*", "event_id": "id"}]).unreadable
    assert "c15 and 84 more" in batch.message


SAYS = "no record has '{}', which source 's' takes {} from"


@pytest.mark.parametrize(
    ("column", "is_there"),
    [
        ("amuont", False),
        ("late", True),
        ("nothing", True),
        ("meta.model", True),
        ("meta.none", True),
        ("meta.modle", False),
        ("text.model", True),
        ("text.modle", False),
        ("dotted.key", True),
        ("odd", True),
        ("inner", False),
        ('q"uote', False),
    ],
)
@pytest.mark.parametrize("event_field", ["user_id", "units"])
def test_a_field_that_no_record_of_a_json_file_has_is_a_warning(home, column, is_there, event_field):
    inner = {"model": "1", "none": None, "inner": 1}
    put(
        home,
        "a.jsonl",
        lines(
            event("e1", nothing=None, meta=inner, text=json.dumps(inner), **{"dotted.key": None}),
            "broken",
            # Digits that only the exact reader keeps.
            event("e2", late="2", odd=None, n=0.1000000000000000055),
        ),
    )
    source = {"name": "s", "files": "*"}
    given = {"quantity": {"field": column, "factor": "2"}} if event_field == "units" else {"user_id": column}
    field = "quantity" if event_field == "units" else "user_id"
    source["units" if event_field == "units" else "fields"] = given
    report = ingest(home, [source])
    assert report.accepted_count == 2
    assert report.batches[0].message == (None if is_there else SAYS.format(column, field))


@pytest.mark.parametrize(("path", "is_there"), [("meta.model", True), ("meta.modle", False)])
@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_so_is_one_that_no_text_of_a_table_holds(home, form, path, is_there):
    table(home, f"a.{form}", **event(meta=json.dumps({"model": "m"})))
    [batch] = ingest(home, [{"name": "s", "files": "*", "fields": {"model": path}}]).batches
    assert (batch.status, batch.accepted_count) == ("committed", 1)
    assert batch.message == (None if is_there else SAYS.format(path, "model"))


def test_a_field_is_looked_for_in_every_block(home, monkeypatch):
    from pipelines.ingest.formats import jsonl

    monkeypatch.setattr(
        jsonl.JsonLinesReader.__init__, "__kwdefaults__", {"block_bytes": 200, "only_exact": False}
    )
    put(home, "a.jsonl", lines(*(event(f"e{n}") for n in range(50)), event("last", kind=None)))
    report = ingest(home, [{"name": "s", "files": "*", "fields": {"user_id": "kind", "model": "modle"}}])
    assert report.batches[0].message == SAYS.format("modle", "model")


def test_reasons_are_counted_by_file(home):
    put(home, "a.jsonl", lines(event("e1"), event("e1", quantity="2"), event("e2", quantity="-1"), "x", "y"))
    put(home, "b.jsonl", lines(event("e3", quantity="-1")))
    report = ingest(home)
    assert [dict(batch.reject_reasons) for batch in report.batches] == [
        {"conflicting_duplicate": 1, "malformed_record": 2, "negative_quantity": 1},
        {"negative_quantity": 1},
    ]
    assert report.reject_reasons == {
        "malformed_record": 2,
        "negative_quantity": 2,
        "conflicting_duplicate": 1,
    }
