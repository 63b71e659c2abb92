"""Every event that counts is billed or in one unbilled reason: the checks over event ids find what breaks that.

The checks' SQL, as dbt compiled it for a build, runs again on a warehouse that was tampered with.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from rating_lake import RatingHome, connect

LAKE, USAGE, ONCE, TOTAL = (
    "events_are_billed_or_unbilled",
    "usage_is_billed_or_unbilled",
    "events_count_once",
    "events_sum_to_batches",
)
CHECKS = {LAKE, USAGE, ONCE, TOTAL}
MODELS = "+unbilled_usage +monthly_usage +daily_usage +int_uncounted_records"
CATALOG: dict[str, list[dict[str, Any]]] = {
    "meters": [
        {"meter_id": "calls", "aggregation": "count"},
        {"meter_id": "openai"},
        {"meter_id": "logins", "billable": False},
        {"meter_id": "extras"},
        {"meter_id": "tokens", "field": "total_tokens"},
        {"meter_id": "people", "aggregation": "unique", "field": "user_id"},
        {"meter_id": "disk", "aggregation": "latest", "field": "properties.gb"},
        {"meter_id": "traffic", "field": "properties.gb"},
        {"meter_id": "spare", "field": "input_tokens"},
        {"meter_id": "watched", "field": "output_tokens", "billable": False},
        {"meter_id": "seen", "aggregation": "count", "billable": False},
        {"meter_id": "reports"},
    ],
    "meter_event_types": [
        {"meter_id": "calls", "event_type": "call"},
        {"meter_id": "openai", "event_type": "chat"},
        {"meter_id": "logins", "event_type": "login"},
        {"meter_id": "logins", "event_type": "call"},
        {"meter_id": "extras", "event_type": "extra"},
        *(
            {"meter_id": meter, "event_type": kind}
            for kind, meters in {
                "generate": ["tokens", "seen"],
                "visit": ["people"],
                "ask": ["people", "tokens"],
                "reading": ["disk"],
                "transfer": ["traffic", "disk"],
                "spare": ["spare"],
                "watch": ["watched"],
                "export": ["reports"],
            }.items()
            for meter in meters
        ),
    ],
    "meter_filters": [
        {"meter_id": "openai", "field": "provider", "value": "openai"},
        {"meter_id": "reports", "field": "resource", "value": "report_pdf"},
    ],
    "plans": [{"plan_id": "plan"}],
    "charges": [
        {"plan_id": "plan", "meter_id": meter}
        for meter in ("calls", "openai", "tokens", "people", "disk", "traffic")
    ],
}
ACCOUNTS: dict[str, list[dict[str, Any]]] = {
    "customers": [
        {"customer_id": "acme"},
        {"customer_id": "gone", "inactive_from": "2024-04-10"},
        {"customer_id": "tokyo", "timezone": "Asia/Tokyo"},
        {"customer_id": "soon"},
        {"customer_id": "mute"},
    ],
    "subscriptions": [
        {"subscription_id": name, "customer_id": name, "plan_id": "plan", "started_on": start}
        for name, start in (
            ("acme", "2024-03-01"),
            ("gone", "2024-03-01"),
            ("tokyo", "2024-04-15"),
            ("soon", "2024-04-22"),
            ("mute", "2024-04-02"),
        )
    ],
}


def event(customer: str, event_type: str, at: str, **fields: Any) -> dict[str, Any]:
    return {"customer_id": customer, "event_type": event_type, "occurred_at": at} | fields


EVENTS = [
    event("acme", "call", "2024-03-05T12:00:00Z", event_id="old"),
    event("acme", "call", "2024-04-05T12:00:00Z", event_id="plain"),
    event("acme", "chat", "2024-04-05T12:00:00Z", event_id="filtered", provider="openai", quantity="2.5"),
    event("acme", "chat", "2024-04-05T12:00:00Z", event_id="elsewhere", provider="other", quantity="4"),
    event("acme", "login", "2024-04-05T12:00:00Z", event_id="metered"),
    event("acme", "extra", "2024-04-05T12:00:00Z", event_id="beside", quantity="1.5"),
    event("gone", "call", "2024-04-09T23:59:59Z", event_id="last served"),
    event("gone", "call", "2024-04-10T00:00:00Z", event_id="first not served"),
    event("tokyo", "call", "2024-04-14T14:59:59Z", event_id="before the subscription"),
    event("tokyo", "call", "2024-04-14T15:00:00Z", event_id="its first moment"),
    event("nobody", "call", "2024-04-05T12:00:00Z", event_id="unknown"),
    # At the clock of the build this subscription has not begun: billed once it has.
    event("soon", "call", "2024-04-22T12:00:00Z", event_id="early"),
    event("acme", "call", "2024-04-06T12:00:00Z", event_id="moving"),
    event("acme", "call", "2024-04-06T12:00:00Z", event_id="going"),
]
# Whether the event has what its meters read, from both sides; `mute` is served from 2 April.
LACKING = {
    ("generate", "2024-04-03"): ("no_quantity", {}),
    ("generate", "2024-04-04"): (None, {"output_tokens": "0"}),
    ("visit", "2024-04-03"): ("no_quantity", {}),
    ("visit", "2024-04-04"): (None, {"user_id": "u"}),
    # It counts its user; that no event of the day gives tokens is a warning.
    ("ask", "2024-04-05"): (None, {"user_id": "u"}),
    ("ask", "2024-04-06"): (None, {"input_tokens": "3"}),
    ("reading", "2024-04-03"): ("no_quantity", {"properties": '{"mb": 1}'}),
    ("reading", "2024-04-04"): ("no_quantity", {"properties": '{"gb": "much"}'}),
    ("reading", "2024-04-05"): (None, {"properties": '{"gb": "0"}'}),
    ("transfer", "2024-04-06"): ("no_quantity", {}),
    ("transfer", "2024-04-07"): (None, {"properties": '{"gb": 1.5}'}),
    # The reasons around it: the first that holds.
    ("generate", "2024-04-01"): ("no_quantity", {}),
    ("generate", "2024-03-31"): ("no_subscription", {"input_tokens": "1"}),
    ("spare", "2024-04-03"): ("no_quantity", {"output_tokens": "1"}),
    ("spare", "2024-04-04"): ("not_in_plan", {"input_tokens": "1"}),
    ("watch", "2024-04-03"): ("metered_only", {}),
    ("export", "2024-04-03"): ("not_in_plan", {"resource": "report_pdf"}),
    ("export", "2024-04-04"): ("no_meter", {"resource": "data_csv"}),
}
EVENTS += [event("mute", kind, f"{day}T12:00:00Z", **fields) for (kind, day), (_, fields) in LACKING.items()]
# Of a type that the filter of `reports` is not about.
EVENTS += [
    event("mute", "call", "2024-04-08T12:00:00Z", resource=resource)
    for resource in ("report_pdf", "data_csv")
]
CORRECTIONS = [
    event("acme", "login", "2024-04-07T12:00:00Z", event_id="moving", revision=1),
    event("acme", "call", "2024-04-06T12:00:00Z", event_id="going", revision=2, is_void=True),
    event("acme", "call", "2024-04-06T12:00:00Z", event_id="going", revision=1),
    event("acme", "call", "2024-04-08T12:00:00Z", event_id="never", is_void=True),
    event("acme", "extra", "2024-04-08T12:00:00Z", event_id="another"),
]


@dataclass(frozen=True)
class Checks:
    """The SQL of the checks as a build's own scope made it; the warehouse passes them."""

    warehouse: Path
    compiled: Mapping[str, str]

    def failing(self, tampering: str) -> set[str]:
        """The checks that fail once this SQL has changed the warehouse; it is as before afterwards."""
        with connect(str(self.warehouse)) as warehouse:
            warehouse.execute("begin")
            warehouse.execute(tampering)
            found = {name for name, sql in self.compiled.items() if warehouse.execute(sql).fetchall()}
            warehouse.execute("rollback")
        return found


def passing_checks(home: RatingHome) -> Checks:
    home.build(command="test", select=" ".join(CHECKS))
    folder = home.root / "target/compiled/meterhouse/tests"
    return Checks(home.warehouse_file, {name: (folder / f"{name}.sql").read_text() for name in CHECKS})


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> RatingHome:
    home = RatingHome(tmp_path_factory.mktemp("event_ids"), as_of="2024-04-20T12:00:00+00:00")
    home.documents("catalog", CATALOG)
    home.documents("accounts", ACCOUNTS)
    home.batch(EVENTS)
    home.build(select=MODELS)
    return home


@pytest.fixture(scope="module")
def whole(home: RatingHome) -> Checks:
    return passing_checks(home)


@pytest.fixture(scope="module")
def corrected(home: RatingHome, whole: Checks) -> Checks:
    """The checks after an incremental build that moved an event to another day and took one out."""
    home.batch(CORRECTIONS)
    home.build(select=MODELS)
    return passing_checks(home)


@pytest.fixture(scope="module")
def edited(home: RatingHome, corrected: Checks) -> Checks:
    """The checks after new accounts: no day is computed again, the reasons of all days are."""
    accounts = {name: [dict(row) for row in rows] for name, rows in ACCOUNTS.items()}
    accounts["customers"].append({"customer_id": "nobody"})
    accounts["subscriptions"][0]["ended_on"] = "2024-04-05"
    home.documents("accounts", accounts)
    home.build(select=MODELS)
    return passing_checks(home)


def test_every_reason_and_both_sides_of_its_edge(home: RatingHome, whole: Checks) -> None:
    found = home.query("select customer_id, event_type, usage_date, reason, event_count from unbilled_usage")
    assert {tuple(map(str, row.values())) for row in found} == {
        ("acme", "chat", "2024-04-05", "no_meter", "1"),
        ("acme", "login", "2024-04-05", "metered_only", "1"),
        ("acme", "extra", "2024-04-05", "not_in_plan", "1"),
        ("gone", "call", "2024-04-10", "inactive_customer", "1"),
        ("tokyo", "call", "2024-04-14", "no_subscription", "1"),
        ("nobody", "call", "2024-04-05", "unknown_customer", "1"),
        *(("mute", kind, day, reason, "1") for (kind, day), (reason, _) in LACKING.items() if reason),
    }
    assert not whole.failing("select 1")


def test_a_filter_tells_events_of_its_own_types_apart_and_no_others(home: RatingHome, whole: Checks) -> None:
    home.build(command="test", select="int_daily_activity,test_name:unique_grain")
    found = home.query(
        "select event_type, meter_ids, measured_meter_ids, event_count from int_daily_activity"
        " where customer_id = 'mute' and event_type in ('call', 'export') order by all"
    )
    assert [tuple(row.values()) for row in found] == [
        ("call", ["calls", "logins"], ["calls", "logins"], 2),
        ("export", [], [], 1),
        ("export", ["reports"], ["reports"], 1),
    ]


def test_what_counts_as_nothing_is_a_warning(home: RatingHome, whole: Checks) -> None:
    home.build(command="test", select="usage_has_its_field")
    file = home.root / "target/compiled/meterhouse/tests/usage_has_its_field.sql"
    found = home.query(
        "select event_type, meter_id, without_field, event_count::text as events, first_day::text as first_day"
        f" from ({file.read_text()})"
    )
    assert {tuple(row.values()) for row in found} == {
        ("generate", None, None, "2", "2024-04-01"),
        ("visit", None, None, "1", "2024-04-03"),
        ("reading", None, None, "2", "2024-04-03"),
        ("transfer", None, None, "1", "2024-04-06"),
        ("spare", None, None, "1", "2024-04-03"),
        (None, "tokens", "total_tokens", "3", "2024-04-01"),
        (None, "disk", "properties.gb", "3", "2024-04-03"),
        (None, "traffic", "properties.gb", "1", "2024-04-06"),
        (None, "spare", "input_tokens", "1", "2024-04-03"),
    }


UNBILLED = (
    "insert into int_unbilled_activity (customer_id, event_type, reason, event_count, quantity, usage_date)"
)
TAMPERED = {
    "an unbilled event is lost": (
        "delete from int_unbilled_activity where reason = 'metered_only'",
        {LAKE, USAGE},
    ),
    "an event is billed and unbilled": (
        f"{UNBILLED} values ('acme', 'call', 'not_in_plan', 1, 1, '2024-04-05')",
        {LAKE, USAGE},
    ),
    "an early event is unbilled though its subscription serves": (
        f"{UNBILLED} values ('soon', 'call', 'no_subscription', 1, 1, '2024-04-22')",
        {LAKE, USAGE},
    ),
    "an event is in two reasons": (
        f"{UNBILLED} values ('acme', 'login', 'not_in_plan', 1, 1, '2024-04-05')",
        {LAKE, USAGE},
    ),
    "another reason": (
        "update int_unbilled_activity set reason = 'not_in_plan' where reason = 'metered_only'",
        {LAKE},
    ),
    "another word for what has no quantity": (
        "update int_unbilled_activity set reason = 'not_in_plan' where reason = 'no_quantity'",
        {LAKE},
    ),
    "what has no quantity is billed instead": (
        "delete from int_unbilled_activity where reason = 'no_quantity'",
        {LAKE, USAGE},
    ),
    "another quantity": (
        "update int_unbilled_activity set quantity = 1.500001 where reason = 'not_in_plan'",
        {LAKE},
    ),
    "a charge no longer billed": (
        "delete from monthly_usage where customer_id = 'acme' and meter_id = 'openai'",
        {LAKE, USAGE},
    ),
    "a charge that bills a day less": (
        "update monthly_usage set service_start = '2024-04-16' where customer_id = 'tokyo'",
        {LAKE, USAGE},
    ),
    "a billed event is lost": (
        "delete from int_daily_usage where customer_id = 'tokyo' and usage_date = '2024-04-15'",
        {LAKE},
    ),
    "billed usage of another quantity": (
        "update int_daily_usage set quantity = 2.500001 where meter_id = 'openai'",
        {LAKE},
    ),
    "an event is lost everywhere": (
        "delete from int_daily_activity where customer_id = 'nobody';"
        " delete from int_unbilled_activity where customer_id = 'nobody';"
        " delete from int_daily_usage where customer_id = 'nobody'",
        {LAKE, TOTAL},
    ),
}


@pytest.mark.parametrize("case", TAMPERED)
def test_what_is_tampered_with_fails_after_a_whole_build(whole: Checks, case: str) -> None:
    tampering, expected = TAMPERED[case]
    assert whole.failing(tampering) == expected


# What stays from before where an incremental build should have computed a day again.
STALE = {
    "nothing": ("select 1", set()),
    "a day it computed is lost": (
        "delete from int_unbilled_activity where usage_date = '2024-04-07'",
        {LAKE, USAGE},
    ),
    "the day that an event moved away from": (
        "insert into int_daily_activity by name select * replace (date '2024-04-06' as usage_date)"
        " from int_daily_activity where customer_id = 'acme' and usage_date = '2024-03-05'",
        {TOTAL},
    ),
    "a void that nobody noticed": (
        "delete from int_uncounted_records where source_row = 4",
        {TOTAL},
    ),
}


@pytest.mark.parametrize("case", STALE)
def test_what_an_incremental_build_leaves_behind_fails(corrected: Checks, case: str) -> None:
    tampering, expected = STALE[case]
    assert corrected.failing(tampering) == expected


def test_new_accounts_are_checked_on_every_day(home: RatingHome, edited: Checks) -> None:
    found = home.query(
        "select reason, sum(event_count) as events from unbilled_usage where customer_id = 'acme' group by all"
    )
    # Served to 4 April: two charged events and two extras have no subscription any more.
    assert {row["reason"]: int(row["events"]) for row in found} == {
        "no_meter": 1,
        "metered_only": 2,
        "no_subscription": 4,
    }
    assert not edited.failing("select 1")
    lost = "delete from int_unbilled_activity where customer_id = 'acme' and reason = 'no_subscription'"
    assert edited.failing(lost) == {USAGE}
    assert "event_date=" not in edited.compiled[LAKE]


def test_only_what_the_build_touched_is_read_again(corrected: Checks) -> None:
    assert "event_date=2024-04-06" in corrected.compiled[LAKE]
    assert "event_date=2024-03-05" not in corrected.compiled[LAKE]


def test_an_event_that_is_in_the_lake_twice_counts_twice_and_fails(
    home: RatingHome, corrected: Checks
) -> None:
    """Ingest keeps such records out; this is what the check is for."""
    home.batch([event("acme", "call", "2024-04-05T18:00:00Z", event_id="plain")])
    home.build(select=MODELS)
    with pytest.raises(AssertionError, match=ONCE) as failure:
        home.build(command="test", select=" ".join(CHECKS))
    assert not any(name in str(failure.value) for name in CHECKS - {ONCE})
