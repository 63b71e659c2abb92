"""The price list in the lake is the library's, and names mean what the library takes them for."""

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from genai_prices import data_snapshot
from genai_prices.types import (
    ClauseEquals,
    ConditionalPrice,
    ModelInfo,
    ModelPrice,
    Provider,
    StartDateConstraint,
)
from ingest_homes import event, ingest, lines, put

from pipelines.costs import current_version, refresh_prices, resolve_new_names
from pipelines.costs.names import listed_model
from pipelines.costs.price_list import export_rows
from pipelines.errors import MeterhouseError
from pipelines.home import Home
from pipelines.lake.places import prices_folder

AS_OF = datetime(2026, 11, 1, tzinfo=UTC)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path).ensure()


@pytest.fixture(scope="module")
def exported() -> list[dict[str, Any]]:
    return list(export_rows())


def names(home: Home) -> list[dict[str, Any]]:
    files = sorted((prices_folder(home, current_version()) / "names").glob("*.parquet"))
    return [row for file in files for row in pq.read_table(file).to_pylist()]


def call(event_id: str, **fields: object) -> dict[str, object]:
    return event(event_id, **fields)


def test_the_list_is_written_once_and_stays_as_it_is(home: Home) -> None:
    first = refresh_prices(home, AS_OF)
    (home.lake / "prices" / ".left-behind.1.tmp").mkdir()
    before = {file: file.stat().st_mtime_ns for file in home.lake.rglob("*.parquet")}
    again = refresh_prices(home, AS_OF.replace(year=2027))
    assert (first.is_new, again.is_new) == (True, False)
    assert (first.version, first.rows) == (again.version, again.rows)
    assert {file: file.stat().st_mtime_ns for file in home.lake.rglob("*.parquet")} == before
    (origin,) = pq.read_table(prices_folder(home, first.version) / "list.parquet").to_pylist()
    assert origin == {
        "library": "genai-prices",
        "library_version": first.library_version,
        "exported_at": AS_OF,
    }


def test_prices_are_decimals_and_never_zero(exported: list[dict[str, Any]]) -> None:
    assert all(isinstance(row["usd_per_unit"], Decimal) and row["usd_per_unit"] > 0 for row in exported)


def test_left_overs_of_binary_arithmetic_are_rounded_and_marked(exported: list[dict[str, Any]]) -> None:
    rounded = {(row["model"], row["unit"]): row["usd_per_unit"] for row in exported if row["is_rounded"]}
    assert rounded["Qwen/Qwen3-VL-8B-Instruct", "input_token"] == Decimal("0.00000018")
    assert ("Qwen/Qwen3-VL-8B-Instruct", "output_token") not in rounded, "0.68 is what it says"


def dated(*prices: tuple[date | None, str]) -> list[dict[str, Any]]:
    """Rows of single requests of a model with these input prices."""
    model = ModelInfo(
        id="m",
        match=ClauseEquals(equals="m"),
        prices=[
            ConditionalPrice(
                start and StartDateConstraint(start), prices=ModelPrice(input_mtok=Decimal(price))
            )
            for start, price in prices
        ],
    )
    provider = Provider(id="p", name="P", api_pattern="p", models=[model])
    data_snapshot.set_custom_snapshot(data_snapshot.DataSnapshot([provider], from_auto_update=False))
    try:
        return [row for row in export_rows() if not row["is_batch"]]
    finally:
        data_snapshot.set_custom_snapshot(None)


def test_an_interval_ends_where_the_next_price_begins() -> None:
    found = dated((None, "1"), (date(2026, 1, 1), "2"), (date(2026, 2, 1), "3"))
    assert [
        (row["valid_from"], row["valid_to"], row["usd_per_unit"] * 10**6, row["is_assumed"]) for row in found
    ] == [
        (None, date(2026, 1, 1), 1, True),
        (date(2026, 1, 1), date(2026, 2, 1), 2, False),
        (date(2026, 2, 1), None, 3, False),
    ]


def test_a_single_price_without_a_date_is_assumed_on_every_day() -> None:
    (row,) = dated((None, "1"))
    assert (row["valid_from"], row["valid_to"], row["is_assumed"]) == (None, None, True)


@pytest.mark.parametrize(
    ("provider", "model", "listed"),
    [
        ("openai", "gpt-4o", ("openai", "gpt-4o", True)),
        ("OpenAI", "GPT-4o", ("openai", "gpt-4o", True)),
        (None, "gpt-4o", ("openai", "gpt-4o", True)),
        ("azure", "gpt-4o", ("openai", "gpt-4o", False)),  # listed under another provider
        ("openai", "nobody-knows", (None, None, False)),
        ("nobody", "gpt-4o", (None, None, False)),
        ("openai", None, (None, None, False)),
    ],
)
def test_names_mean_the_model_of_whoever_lists_it(
    provider: str | None, model: str | None, listed: tuple[str | None, str | None, bool]
) -> None:
    assert listed_model(provider, model) == listed


def test_only_files_of_new_batches_are_read_and_every_name_is_resolved_once(home: Home) -> None:
    refresh_prices(home, AS_OF)
    put(
        home,
        "a.jsonl",
        lines(call("1", provider="openai", model="gpt-4o"), call("2", provider="openai", model="?")),
    )
    ingest(home)
    first = resolve_new_names(home)
    assert (first.batches, first.names, first.unknown) == (1, 2, (("openai", "?"),))
    read = list(home.lake.glob("events/*/*.parquet"))
    put(home, "b.jsonl", lines(call("3", provider="openai", model="gpt-4o"), call("4", model="gpt-4")))
    ingest(home)
    for file in read:
        file.rename(file.with_suffix(".hidden"))
    second = resolve_new_names(home)
    assert (second.batches, second.names) == (1, 1)
    assert resolve_new_names(home).batches == 0
    assert [
        (row["provider"], row["model"], row["price_model"]) for row in names(home) if row["model"] == "gpt-4"
    ] == [(None, "gpt-4", "gpt-4")]
    assert len(names(home)) == 3


def test_a_known_name_that_turns_to_batch_requests_is_noted_again(home: Home) -> None:
    refresh_prices(home, AS_OF)
    for number, properties in enumerate([{}, {"batch": True}, {"batch": True}]):
        record = call(str(number), provider="openai", model="gpt-4o", properties=properties)
        put(home, f"{number}.jsonl", lines(record))
        ingest(home)
        resolve_new_names(home)
    assert [row["may_be_batch"] for row in sorted(names(home), key=lambda row: row["may_be_batch"])] == [
        False,
        True,
    ]


def test_substitutes_are_resolved_with_the_models_they_stand_in_for(home: Home) -> None:
    refresh_prices(home, AS_OF)
    put(home, "a.jsonl", lines(call("1", provider="openai", model="gpt-4o")))
    ingest(home)
    resolve_new_names(home)
    substitutes = {"gpt-4o": ["gpt-4o-mini", "claude-3-5-haiku-20241022"], "unused": ["gpt-4"]}
    found = resolve_new_names(home, substitutes)
    assert (found.batches, found.names, found.unknown) == (0, 4, ()), "also of names that were known before"
    assert {
        (row["provider"], row["price_provider"])
        for row in names(home)
        if str(row["model"]).startswith("claude")
    } == {("openai", None), (None, "anthropic")}
    assert resolve_new_names(home, substitutes).names == 0


def test_losing_the_cache_costs_a_second_look_and_nothing_else(home: Home) -> None:
    refresh_prices(home, AS_OF)
    put(home, "a.jsonl", lines(call("1", provider="openai", model="gpt-4o")))
    ingest(home)
    resolve_new_names(home)
    for file in (home.cache / "prices").iterdir():
        file.unlink()
    again = resolve_new_names(home)
    assert (again.batches, again.names) == (1, 0)
    assert len(names(home)) == 1


def test_names_cannot_be_resolved_before_there_is_a_list(home: Home) -> None:
    with pytest.raises(MeterhouseError, match="not in the lake"):
        resolve_new_names(home)
