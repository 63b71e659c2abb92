"""The usage event's own contract: fields in order, reasons in order, what sources.yml may say."""

import pytest
from pydantic import ValidationError

from models.events import EVENT_FIELDS, REJECT_REASONS, SourceMapping, SourcesDocument
from models.frames import EVENTS, TYPED_EVENTS


def test_fields_stand_in_the_order_of_the_contract():
    assert [field.name for field in EVENT_FIELDS] == [
        "event_id", "customer_id", "event_type", "occurred_at", "revision", "is_void", "quantity", "user_id",
        "resource",
        "provider", "model", "input_tokens", "output_tokens", "cached_input_tokens", "cost_usd", "properties",
    ]  # fmt: skip
    assert [field.name for field in EVENT_FIELDS if field.is_required] == [
        "event_id", "customer_id", "event_type", "occurred_at",
    ]  # fmt: skip


def test_every_reason_is_named_after_its_field():
    assert REJECT_REASONS[0] == "malformed_record"
    assert REJECT_REASONS[-1] == "conflicting_duplicate"
    assert REJECT_REASONS[1:9] == (
        "missing_event_id", "invalid_event_id", "missing_customer_id", "invalid_customer_id",
        "missing_event_type", "invalid_event_type", "missing_occurred_at", "invalid_occurred_at",
    )  # fmt: skip
    assert "occurred_at_in_future" in REJECT_REASONS
    assert "negative_quantity" in REJECT_REASONS
    assert "negative_user_id" not in REJECT_REASONS
    assert len(set(REJECT_REASONS)) == len(REJECT_REASONS)


def test_the_lake_has_the_fields_of_the_event_first():
    assert (
        list(EVENTS.columns)[: len(EVENT_FIELDS)]
        == list(TYPED_EVENTS.columns)
        == [f.name for f in EVENT_FIELDS]
    )


def source(**given):
    return SourceMapping.model_validate({"name": "s", "files": "*.csv", **given})


def test_the_example_of_the_contract_is_valid():
    mapped = source(
        timezone="UTC",
        event_id="id",
        fields={"customer_id": "company_id", "properties": "metadata"},
        constants={},
        units={"input_tokens": {"field": "kilo_tokens", "factor": "1000"}},
    )
    assert mapped.column_of("event_id") == "id"
    assert mapped.column_of("customer_id") == "company_id"
    assert mapped.column_of("input_tokens") == "kilo_tokens"
    assert mapped.column_of("user_id") == "user_id"


def test_a_field_may_take_a_column_under_a_condition_or_a_sum():
    tokens = {"field": "quantity", "where": {"unit": ["tokens", 7, True, None], "kind": "ai"}}
    mapped = source(fields={"input_tokens": ["input_tokens", tokens], "model": tokens | {"field": "name"}})
    assert (mapped.column_of("input_tokens"), mapped.column_of("model")) == ("input_tokens", "name")
    plain, conditional = mapped.sources_of("input_tokens")
    assert plain == "input_tokens"
    assert conditional.wanted("unit") == {"tokens", "7", "true", None}
    assert conditional.wanted("kind") == {"ai"}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"fields": {"customer": "x"}}, "not a field of the usage event"),
        ({"fields": {"event_id": "x"}}, "beside `fields`"),
        ({"constants": {"quantity": 0.5}}, "quoted decimal"),
        ({"constants": {"properties": "x"}}, "cannot be a constant"),
        ({"units": {"user_id": {"field": "x", "factor": "2"}}}, "not a number"),
        ({"units": {"quantity": {"field": "x", "factor": 0.001}}}, "quoted decimal"),
        ({"units": {"quantity": {"field": "x", "factor": "0"}}}, "greater than 0"),
        ({"units": {"quantity": {"field": "x", "factor": "1e3"}}}, "not a decimal number"),
        ({"timezone": "Berlin"}, "IANA"),
        ({"fields": {"quantity": "a"}, "constants": {"quantity": 1}}, "fields and constants"),
        ({"fields": {"model": ["a", "b"]}}, "model is not a number, and a list is a sum"),
        ({"fields": {"quantity": []}}, "at least 1"),
        ({"fields": {"quantity": [["a"]]}}, "valid string"),
        ({"fields": {"model": {"field": "a", "where": {}}}}, "at least 1"),
        ({"fields": {"model": {"field": "a", "where": {"b": []}}}}, "at least 1"),
        ({"fields": {"model": {"field": "a", "where": {"b": 0.5}}}}, "quoted decimal"),
        ({"fields": {"model": {"field": "a"}}}, "Field required"),
        ({"fields": {"model": {"field": "a", "when": {"b": "c"}}}}, "Extra inputs"),
        ({"filed": {}}, "Extra inputs"),
        ({"files": ""}, "at least 1"),
    ],
)
def test_what_a_source_may_not_say(given, message):
    with pytest.raises(ValidationError, match=message):
        source(**given)


def test_names_of_sources_differ():
    with pytest.raises(ValidationError, match="two sources"):
        SourcesDocument.model_validate(
            {"sources": [{"name": "a", "files": "*"}, {"name": "a", "files": "x"}]}
        )


@pytest.mark.parametrize(
    ("pattern", "path", "fits"),
    [
        ("usage*.csv", "usage_1.csv", True),
        ("usage*.csv", "2025/usage_1.csv", True),
        ("2025/*.csv", "2025/usage_1.csv", True),
        ("usage*.csv", "usage_1.csv.gz", True),
        ("usage*.csv", "Usage_1.csv", False),
        ("usage*", "a/usage/b.csv", False),
    ],
)
def test_patterns_fit_names_and_paths(pattern, path, fits):
    assert source(files=pattern).fits(path) is fits
