"""The vectorised path and the exact one give the same on any line: the property that lets one be fast."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from models.events import EVENT_FIELDS, REJECT_REASONS, SourceMapping
from pipelines.ingest.formats.csv import CsvReader
from pipelines.ingest.formats.jsonl import JsonLinesReader
from pipelines.ingest.formats.parquet import ParquetReader
from pipelines.ingest.identity import canonical
from pipelines.ingest.mapping import Plan, plan_for
from pipelines.ingest.values import type_cells

AS_OF = datetime(2025, 6, 1, tzinfo=UTC)
NAMES = [field.name for field in EVENT_FIELDS]
MAPPED = plan_for(
    SourceMapping.model_validate(
        {
            "name": "mapped",
            "files": "*",
            "timezone": "America/St_Johns",
            "event_id": "ID",
            "fields": {
                "customer_id": "x",
                "model": "a.b",
                "output_tokens": "usage.out",
                "properties": "usage",
            },
            "constants": {"provider": "p"},
            "units": {"quantity": {"field": "b", "factor": "0.5"}},
        }
    )
)
# Columns and paths under conditions, sums, and the same column taken by one field and compared for another.
CHOSEN = plan_for(
    SourceMapping.model_validate(
        {
            "name": "chosen",
            "files": "*",
            "timezone": "UTC",
            "fields": {
                "input_tokens": [
                    "input_tokens",
                    {"field": "x", "where": {"a": ["tokens", 7, None], "input_tokens": None}},
                ],
                "model": {"field": "a.b", "where": {"usage.out": [True, "1.5", "7", None]}},
                "quantity": ["b", "a.b", {"field": "usage.out", "where": {"ü": None}}],
                "properties": {"field": "usage", "where": {"x": "c"}},
                "resource": {"field": "out", "where": {"a.b": ["tokens", False, 7], "b": [7, None]}},
                "provider": {"field": "out", "where": {'q"': "tokens"}},
            },
        }
    )
)
# The same without a path that DuckDB cannot name, so that most lines take the fast way.
EXPRESSIBLE = replace(
    CHOSEN, choices={name: found for name, found in CHOSEN.choices.items() if name != "provider"}
)

number_texts = st.one_of(
    st.integers().map(str),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.from_regex(r"-?(0|[1-9][0-9]{0,18})(\.[0-9]{1,19})?([eE][+-]?[0-9]{1,3})?", fullmatch=True),
    st.sampled_from(["-0", "-0.0", "1e400", "1e-400", "0.1000000000000000055", "9223372036854775807"]),
)
no_json = st.sampled_from(
    ["01", "1.", ".5", "NaN", "-Infinity", "nan", '"\\ud800"', "", "'a'", "+1", '"\x01"']
)
instants = st.one_of(
    st.from_regex(
        r"(0001|1969|2025|9999)-(01|02|03|12)-(01|09|29|30|31)[T ]"
        r"(00|02|23|24|29):(00|30|59|60)(:(00|59|60)([.,][0-9]{1,10})?)?"
        r"(Z|z|[+-](00|05|14|23|24)(:?(00|30|59|60))?)?",
        fullmatch=True,
    ),
    st.datetimes().map(str),
)
texts = st.one_of(
    st.text(max_size=12),
    instants,
    number_texts,
    st.sampled_from(["", " ", "\t\x0b", "true", "False", "tokens", '{"a": 1}', "\u0000", "é" * 256]),
)
scalars = st.one_of(
    texts.map(json.dumps),
    texts.map(lambda text: json.dumps(text, ensure_ascii=False)),
    number_texts,
    st.sampled_from(
        [
            "null",
            "true",
            "false",
            '"\\u0041"',
            '"\\/"',
            "[]",
            "{}",
            '"7"',
            "7",
            '"-1"',
            '"1.50"',
            "1.50",
            "7.0",
        ]
    ),
    st.sampled_from(
        ['"tokens"', '"to\\u006bens"', '" \\t\\u000b"', '{"b":7}', '{"b":"tokens"}', '{"out":true}']
    ),
)
keys = st.sampled_from([*NAMES, "x", "a.b", "a", "b", "usage", "out", "ID", "Event_id", 'q"', "ü", "a\\", ""])


def joined(pairs, comma):
    return (
        "{" + ",".join(f"{json.dumps(key)}:{value}" for key, value in pairs) + (comma if pairs else "") + "}"
    )


objects = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.builds(joined, st.lists(st.tuples(keys, inner), max_size=4), st.sampled_from([""] * 15 + [","])),
        st.lists(inner, max_size=3).map(lambda items: "[" + ", ".join(items) + "]"),
    ),
    max_leaves=6,
)
good = {
    "event_id": '"e"',
    "customer_id": '"c"',
    "event_type": '"t"',
    "occurred_at": '"2025-05-01T10:00:00Z"',
    "x": '"c"',
    "ID": '"e"',
}
records = st.builds(
    lambda base, changed, more, is_repeated: joined(
        [*{**base, **changed}.items(), *more] if is_repeated else {**base, **changed, **dict(more)}.items(),
        "",
    ),
    st.sampled_from([good, good, good, {}]),
    st.dictionaries(st.sampled_from(NAMES), objects, max_size=2),
    st.lists(st.tuples(keys, st.one_of(*[objects] * 9, no_json)), max_size=3),
    st.sampled_from([False] * 9 + [True]),
)
framed = st.builds(
    lambda shape, line: shape.replace("@", line), st.sampled_from([" @ ", "[@]", "@x", "@,"]), records
)


def typed(line: str, plan: Plan, *, only_exact: bool) -> pl.DataFrame:
    reader = JsonLinesReader(Path(), plan, only_exact=only_exact)
    return type_cells(
        reader.cells(line.encode("utf-8", "replace")), AS_OF, plan.timezone, only_exact=only_exact
    )


def comparable(frame: pl.DataFrame) -> list[dict[str, object]]:
    rows = frame.to_dicts()
    for row in rows:
        if row["reason"] is None:
            row["properties"] = canonical(row["properties"])
        else:
            # What a rejected record would have been is nobody's business.
            row.update(dict.fromkeys(NAMES))
    return rows


@settings(max_examples=600, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    line=st.one_of(*[records] * 8, framed, st.text(max_size=30)),
    plan=st.sampled_from([plan_for(None), MAPPED, CHOSEN, EXPRESSIBLE, EXPRESSIBLE]),
)
@example(
    line='{"event_id": -0, "customer_id": "c", "event_type": "t", "occurred_at": "2025-05-01T10:00:00Z"}',
    plan=plan_for(None),
)
@example(line=joined([*good.items(), ("n", "1e5"), ("m", "-0.0")], ""), plan=plan_for(None))
def test_both_paths_agree_on_any_line(line, plan):
    line = line.replace("\n", " ")
    fast = typed(line, plan, only_exact=False)
    slow = typed(line, plan, only_exact=True)
    assert fast.schema == slow.schema
    assert comparable(fast) == comparable(slow)
    assert set(fast["reason"].drop_nulls()) <= set(REJECT_REASONS)


@pytest.mark.parametrize("only_exact", [False, True])
@pytest.mark.parametrize(
    ("more", "is_twice"),
    [
        ('"x": 1, "x": 1', True),
        ('"usage": {"b": 1, "b": 2}', True),
        ('"usage": {"b": 1, "\\u0062": 2}', True),
        ('"usage": {"in": [{"b": 1}, {"b": 2}], "b": 3}', False),
        ('"usage": {"in": [{"b": 1}, {"b": 2, "b": 2}]}', True),
        ('"properties": {"a": 1, "a": 2}', True),
        ('"properties": {"a": {"b": 1}, "b": {"b": 2}}', False),
        ('"properties": {"a": {"b": {"c": 1, "c": 1}}}', True),
        ('"note": "{{{{ {} }", "a": {"a": "{\\"b\\": 1, \\"b\\": 2}"}', False),
    ],
)
def test_a_key_that_is_given_twice_at_any_depth_makes_a_record_malformed(more, is_twice, only_exact):
    """DuckDB takes the first of `{"usage": {"b": 1, "b": 2}}`, Python the last: by a path that is money."""
    base = '"event_id": "e", "customer_id": "c", "event_type": "t", "occurred_at": "2025-05-01T10:00:00Z"'
    for plan in (plan_for(None), MAPPED, CHOSEN):
        reason = typed(f"{{{base}, {more}}}", plan, only_exact=only_exact)["reason"][0]
        assert (reason == "malformed_record") is is_twice


COLUMNS = ["x", "a", "b", "out", "usage", "input_tokens", "quantity", "model"]
TABLED = plan_for(
    SourceMapping.model_validate(
        {
            "name": "tabled",
            "files": "*",
            "event_id": "from_row",
            "fields": {
                "input_tokens": [
                    "input_tokens",
                    {"field": "quantity", "where": {"a": ["tokens", None], "input_tokens": None}},
                    {"field": "usage.b", "where": {"x": "7"}},
                ],
                "model": {"field": "out", "where": {"usage.b": [7, "tokens"], "a": "tokens"}},
                "resource": {"field": "x", "where": {"b": None}},
            },
        }
    )
)
cell_texts = st.sampled_from([None, "tokens", "7", " ", "1.5", "x", '{"b": 7}', '{"b": "tokens"}'])


@settings(max_examples=150, deadline=None)
@given(
    rows=st.lists(st.lists(cell_texts, min_size=len(COLUMNS), max_size=len(COLUMNS)), min_size=1, max_size=8)
)
def test_every_format_agrees_on_texts_and_drops_none(rows, tmp_path_factory):
    folder = tmp_path_factory.getbasetemp()
    records = [dict(zip(COLUMNS, row, strict=True)) for row in rows]
    lines_of = "\n".join(
        json.dumps({key: value for key, value in r.items() if value is not None}) for r in records
    )
    table = pl.DataFrame(records, schema=dict.fromkeys(COLUMNS, pl.String))
    # A row of nothing is a blank line of CSV and no record.
    table = table.with_columns(at=pl.lit("2025-05-01T10:00:00Z"))
    table.write_csv(folder / "rows.csv", quote_style="necessary")
    table.write_parquet(folder / "rows.parquet")
    fast, slow = (JsonLinesReader(Path(), TABLED, only_exact=exact) for exact in (False, True))
    found = [fast.cells(lines_of.encode()), slow.cells(lines_of.encode())]
    for reader in (CsvReader(folder / "rows.csv", TABLED), ParquetReader(folder / "rows.parquet", TABLED)):
        found.append(pl.concat(reader.cells(block) for block in reader.blocks()))
    expected, *others = [comparable_cells(cells) for cells in found]
    for other in others:
        assert other == expected
    for record, cells in zip(records, expected, strict=True):
        taken = {"input_tokens", "quantity"}
        taken |= {"out"} if cells["model"] else set()
        taken |= {"x"} if not (record["b"] or "").strip() else set()
        kept = json.loads(cells["extras"] or "{}")
        assert kept == {key: value for key, value in record.items() if value is not None and key not in taken}


def comparable_cells(cells: pl.DataFrame) -> list[dict[str, str | None]]:
    """Numbers and texts alike; what was added to tell rows apart left out."""
    rows = []
    for row in cells.to_dicts():
        extras = json.loads(row["extras"] or "{}")
        extras.pop("at", None)
        fields = {name: row.get(name) for name in ("input_tokens", "model", "resource", "quantity")}
        rows.append(
            {name: cell and cell.strip('"') for name, cell in fields.items()}
            | {"extras": json.dumps(extras, sort_keys=True)}
        )
    return rows
