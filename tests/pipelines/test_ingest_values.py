"""Typing of single values: every rule of contracts section 2 from both sides, through both paths."""

import json
from datetime import UTC, datetime
from decimal import Decimal

import polars as pl
import pytest

from pipelines.ingest.formats.jsonl import JsonLinesReader
from pipelines.ingest.mapping import Plan, plan_for
from pipelines.ingest.values import type_cells

AS_OF = datetime(2025, 6, 1, tzinfo=UTC)
GOOD = {"event_id": "e1", "customer_id": "c1", "event_type": "call", "occurred_at": "2025-05-01T10:00:00Z"}


def typed_lines(tmp_path, lines, plan=None, *, only_exact=False) -> pl.DataFrame:
    path = tmp_path / "x.jsonl"
    path.write_bytes(b"\n".join(line if isinstance(line, bytes) else line.encode() for line in lines))
    plan = plan or plan_for(None)
    reader = JsonLinesReader(path, plan, only_exact=only_exact)
    frames = [
        type_cells(reader.cells(block), AS_OF, plan.timezone, only_exact=only_exact)
        for block in reader.blocks()
    ]
    return pl.concat(frames)


@pytest.fixture(params=[False, True], ids=["vectorised", "exact"])
def typed(request, tmp_path):
    """Types one record given as JSON members added to a good one; the row, with its reason."""

    def type_one(members: str = "", plan: Plan | None = None, **fields: object) -> dict[str, object]:
        base = {key: value for key, value in {**GOOD, **fields}.items() if value is not ...}
        line = json.dumps(base)[:-1] + (", " if base and members else "") + members + "}"
        frame = typed_lines(tmp_path, [line], plan, only_exact=request.param)
        assert frame.height == 1
        return frame.row(0, named=True)

    return type_one


def test_defaults_of_absent_fields(typed):
    row = typed()
    assert row["reason"] is None
    assert (row["revision"], row["is_void"], row["quantity"], row["properties"]) == (
        0,
        False,
        Decimal(1),
        "{}",
    )
    assert [row[name] for name in ("user_id", "resource", "model", "input_tokens", "cost_usd")] == [None] * 5
    assert row["occurred_at"] == datetime(2025, 5, 1, 10, tzinfo=UTC)


@pytest.mark.parametrize("value", ["null", '""', '"  "', r'"\t\n"'])
def test_null_and_blank_are_absent(typed, value):
    row = typed(f'"user_id": {value}, "quantity": {value}, "properties": {value}')
    assert (row["reason"], row["user_id"], row["quantity"], row["properties"]) == (
        None,
        None,
        Decimal(1),
        "{}",
    )


@pytest.mark.parametrize("field", ["event_id", "customer_id", "event_type", "occurred_at"])
@pytest.mark.parametrize("value", [..., None, "", "   "])
def test_required_fields(typed, field, value):
    assert typed(**{field: value})["reason"] == f"missing_{field}"


@pytest.mark.parametrize("value", ["true", "1.5", "1e3", "{}", "[]", '{"a": 1}'])
@pytest.mark.parametrize("field", ["event_id", "customer_id", "user_id", "model"])
def test_what_is_no_text(typed, field, value):
    assert (
        typed(f'"{field}": {value}', **({field: ...} if field in GOOD else {}))["reason"]
        == f"invalid_{field}"
    )


@pytest.mark.parametrize("digits", ["0", "-7", "42", "12345678901234567890123456789012345678901234567890"])
def test_integers_in_text_fields_keep_their_digits(typed, digits):
    row = typed(f'"customer_id": {digits}, "user_id": {digits}', customer_id=...)
    assert (row["reason"], row["customer_id"], row["user_id"]) == (None, digits, digits)


def test_event_id_length_counts_characters(typed):
    assert typed(event_id="é" * 255)["reason"] is None
    assert typed(event_id="e" * 256)["reason"] == "invalid_event_id"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", "0"),
        ("-0", "0"),
        ("12.5", "12.5"),
        ("0.123456", "0.123456"),
        ("0.1234560", "0.123456"),
        ("999999999999999.999999", "999999999999999.999999"),
        ("123456789012345.123456", "123456789012345.123456"),
        ("1e3", "1000"),
        ("25e-1", "2.5"),
        (".5", "0.5"),
        ("+5", "5"),
    ],
)
def test_decimal_texts(typed, text, expected):
    row = typed(quantity=text)
    assert (row["reason"], row["quantity"]) == (None, Decimal(expected))


@pytest.mark.parametrize(
    "text",
    ["1000000000000000", "1e15", "1e999999999", "0.1234567", "1e-7", "NaN", "Infinity", "-inf", "1,5", "0x10",
     "1_000", " 1", "abc", "١", "--1", "-0.1234567"],
)  # fmt: skip
def test_texts_that_are_no_quantity(typed, text):
    assert typed(quantity=text)["reason"] == "invalid_quantity"


@pytest.mark.parametrize(
    "number", ["0.1", "123456789.123456", "1e-5", "2E2", "100000000000000", "0.50000000000000000000"]
)
def test_json_numbers_are_exact(typed, number):
    row = typed(f'"quantity": {number}')
    assert (row["reason"], row["quantity"]) == (None, Decimal(number))


@pytest.mark.parametrize(
    "number", ["0.1000000000000000055", "123456789012.3456", "1234567890.123456", "true", "[1]"]
)
def test_json_numbers_of_too_many_digits(typed, number):
    assert typed(f'"quantity": {number}')["reason"] == "invalid_quantity"


def test_fifteen_digits_are_the_limit_of_json_numbers(typed):
    assert typed('"cost_usd": 123.456789012345')["reason"] is None
    assert typed('"cost_usd": 1234.456789012345')["reason"] == "invalid_cost_usd"
    assert typed('"cost_usd": "1234.456789012345"')["reason"] is None
    assert typed('"input_tokens": 123456789012345')["reason"] is None
    assert typed('"input_tokens": 1234567890123456')["reason"] == "invalid_input_tokens"
    assert typed('"input_tokens": "1234567890123456"')["input_tokens"] == 1234567890123456


def test_cost_has_twelve_digits_after_the_point(typed):
    assert typed(cost_usd="0.000000000001")["cost_usd"] == Decimal("0.000000000001")
    assert typed(cost_usd="0.0000000000001")["reason"] == "invalid_cost_usd"


@pytest.mark.parametrize(
    ("field", "value"),
    [("quantity", "-0.000001"), ("cost_usd", "-1"), ("input_tokens", "-1"), ("revision", "-1")],
)
def test_negatives(typed, field, value):
    assert typed(**{field: value})["reason"] == f"negative_{field}"
    assert typed(f'"{field}": {value}')["reason"] == f"negative_{field}"


@pytest.mark.parametrize(
    ("value", "expected"),
    [("12", 12), ('"12"', 12), ("12.0", 12), ("1e2", 100), ('"9223372036854775807"', 2**63 - 1)],
)
def test_integers(typed, value, expected):
    assert typed(f'"input_tokens": {value}')["input_tokens"] == expected


@pytest.mark.parametrize("value", ["1.5", '"9223372036854775808"', "true", '"x"', '"1 "'])
def test_what_is_no_integer(typed, value):
    assert typed(f'"input_tokens": {value}')["reason"] == "invalid_input_tokens"


@pytest.mark.parametrize(
    ("value", "expected"), [("true", True), ('"True"', True), ('"false"', False), ("null", False)]
)
def test_booleans(typed, value, expected):
    assert typed(f'"is_void": {value}')["is_void"] is expected


@pytest.mark.parametrize("value", ["1", "0", '"yes"', "[]"])
def test_what_is_no_boolean(typed, value):
    assert typed(f'"is_void": {value}')["reason"] == "invalid_is_void"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2025-05-01T10:00:00Z", datetime(2025, 5, 1, 10)),
        ("2025-05-01 10:00:00.5Z", datetime(2025, 5, 1, 10, 0, 0, 500_000)),
        ("2025-05-01T10:00:00+02:00", datetime(2025, 5, 1, 8)),
        ("2025-05-01T10:00:00-0330", datetime(2025, 5, 1, 13, 30)),
        ("2025-05-01T10:00:00+05", datetime(2025, 5, 1, 5)),
        ("2025-05-01T10:00Z", datetime(2025, 5, 1, 10)),
        ("2025-05-01T00:30:00+01:00", datetime(2025, 4, 30, 23, 30)),
        ("1969-12-31T23:59:59.9999999Z", datetime(1969, 12, 31, 23, 59, 59, 999_999)),
        ("1905-01-01T00:00:00-00:30", datetime(1905, 1, 1, 0, 30)),
        ("2025-05-01T10:00:00.123456789123Z", datetime(2025, 5, 1, 10, 0, 0, 123_456)),
        ("0001-01-01T00:00:00Z", datetime(1, 1, 1)),
    ],
)
def test_instants(typed, text, expected):
    row = typed(occurred_at=text)
    assert (row["reason"], row["occurred_at"]) == (None, expected.replace(tzinfo=UTC))


@pytest.mark.parametrize(
    "text",
    ["2025-05-01T10:00:00", "2025-05-01", "2025-02-30T00:00:00Z", "2025-05-01T24:00:00Z",
     "2025-05-01T10:00:60Z",
     "yesterday", "1746093600", "2025-05-01T10:00:00+24:00", "2025-05-01T10:00:00+02:60",
     "0001-01-01T00:00:00+14:00",
     "2025-05-01T10:00:00 Z", "2025-5-1T10:00:00Z"],
)  # fmt: skip
def test_what_is_no_instant(typed, text):
    assert typed(occurred_at=text)["reason"] == "invalid_occurred_at"


def test_numbers_are_no_instants(typed):
    assert typed('"occurred_at": 1746093600', occurred_at=...)["reason"] == "invalid_occurred_at"


def test_instants_without_offset_take_the_time_zone_of_the_source(typed):
    plan = Plan(plan_for(None).columns, timezone="Europe/Berlin")
    assert typed(plan=plan, occurred_at="2025-05-01T10:00:00")["occurred_at"] == datetime(
        2025, 5, 1, 8, tzinfo=UTC
    )
    assert typed(plan=plan, occurred_at="2025-05-01T10:00:00Z")["occurred_at"] == datetime(
        2025, 5, 1, 10, tzinfo=UTC
    )


def test_gap_and_doubled_hour_of_daylight_saving(typed):
    plan = Plan(plan_for(None).columns, timezone="Europe/Berlin")
    assert typed(plan=plan, occurred_at="2025-03-30T01:59:59.999999")["reason"] is None
    assert typed(plan=plan, occurred_at="2025-03-30T02:00:00")["reason"] == "invalid_occurred_at"
    assert typed(plan=plan, occurred_at="2025-03-30T03:00:00")["reason"] is None
    doubled = typed(plan=plan, occurred_at="2024-10-27T02:30:00")
    assert doubled["occurred_at"] == datetime(2024, 10, 27, 0, 30, tzinfo=UTC)


def test_future_begins_a_day_after_as_of(typed):
    assert typed(occurred_at="2025-06-02T00:00:00Z")["reason"] is None
    assert typed(occurred_at="2025-06-02T00:00:00.000001Z")["reason"] == "occurred_at_in_future"


def test_the_first_fault_in_the_order_of_fields_is_the_reason(typed):
    assert typed('"quantity": "x", "cost_usd": "-1"', customer_id="")["reason"] == "missing_customer_id"
    assert typed('"quantity": "x", "cost_usd": "-1"')["reason"] == "invalid_quantity"
    assert typed('"quantity": "-1"', occurred_at="2030-01-01T00:00:00Z")["reason"] == "occurred_at_in_future"


def test_other_fields_land_in_properties(typed):
    row = typed('"region": "eu", "n": 1, "gone": null, "nested": {"a": [1, 2]}')
    assert json.loads(row["properties"]) == {"region": "eu", "n": 1, "gone": None, "nested": {"a": [1, 2]}}


def test_keys_of_properties_win_over_other_fields(typed):
    row = typed('"properties": {"region": "us", "x": 1}, "region": "eu", "y": {"z": 2}')
    assert json.loads(row["properties"]) == {"region": "us", "x": 1, "y": {"z": 2}}


def test_properties_may_be_text_that_holds_json(typed):
    assert json.loads(typed(properties='{"a": {"b": 1}}')["properties"]) == {"a": {"b": 1}}


@pytest.mark.parametrize(
    "value", ["[]", "1", "true", '"x"', '"[1]"', r'"{\"a\": NaN}"', r'"{\"a\": 1, \"a\": 2}"']
)
def test_what_is_no_object(typed, value):
    assert typed(f'"properties": {value}')["reason"] == "invalid_properties"


@pytest.mark.parametrize(
    "number", ["0.1000000000000000055", "123456789012345678.123456", "1E-400", "12345678901234567890123"]
)
def test_numbers_in_properties_are_kept_exactly(typed, number):
    text = typed(f'"properties": {{"n": {number}}}')["properties"]
    assert json.loads(text, parse_float=Decimal, parse_int=Decimal)["n"] == Decimal(number)


@pytest.mark.parametrize(
    "line",
    ["", "null", "1", '"text"', "[1]", "{", '{"a": 1,}', '{"a": NaN}', '{"a": -Infinity}', '{"a": [1,]}', 
     "{'a': 1}",
     '{"a": 01}', '{"a": 1} {"b": 2}',
     '{"a": "\\ud800"}', '{"a": 1, "a": 1}', '{"properties": {"x": 1, "x": 2}}',
     "event_id,customer_id", '{"a": "\x01"}', "[" * 200_000, '{"a":' * 5000 + "1" + "}" * 5000],
)  # fmt: skip
@pytest.mark.parametrize("only_exact", [False, True])
def test_malformed_lines(tmp_path, line, only_exact):
    frame = typed_lines(tmp_path, ["x" if line == "" else line, json.dumps(GOOD)], only_exact=only_exact)
    assert frame["reason"].to_list() == ["malformed_record", None]
