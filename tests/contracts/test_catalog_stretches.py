"""Which plan version serves which days of a subscription (rating rule 9)."""

from datetime import date

import pytest

from models.accounts import Customer, Subscription
from models.catalog import PlanVersion
from pipelines.catalog.validate import first_anchor, serving_stretches


def versions(*days: str) -> list[PlanVersion]:
    return [
        PlanVersion.model_validate(
            {"id": "p", "name": "P", "rank": 1, "currency": "USD", "price": "1", "effective_from": day}
        )
        for day in days
    ]


def served(days: list[str], inactive_from: str | None = None, **fields: object) -> list[tuple[str, str, str]]:
    subscription = Subscription.model_validate(
        {"subscription_id": "s", "customer_id": "c", "plan_id": "p", "started_on": "2026-01-10", **fields}
    )
    customer = Customer.model_validate({"customer_id": "c", "inactive_from": inactive_from})
    return [
        (str(found.begin), str(found.end), str(found.version.effective_from))
        for found in serving_stretches(subscription, customer, versions(*days))
    ]


@pytest.mark.parametrize(
    ("day", "anchor_day", "anchor"),
    [
        ("2026-01-15", 15, "2026-01-15"),
        ("2026-01-16", 15, "2026-02-15"),
        ("2026-02-01", 31, "2026-02-28"),
        ("2024-02-01", 31, "2024-02-29"),
        ("2026-02-28", 30, "2026-02-28"),
        ("2026-12-31", 1, "2027-01-01"),
        ("2026-04-30", 31, "2026-04-30"),
        ("2026-01-31", 30, "2026-02-28"),
    ],
)
def test_first_anchor(day, anchor_day, anchor):
    assert first_anchor(date.fromisoformat(day), anchor_day) == date.fromisoformat(anchor)


def test_a_later_version_counts_from_the_next_cycle():
    assert served(["2026-01-01", "2026-02-02"]) == [
        ("2026-01-10", "2026-03-01", "2026-01-01"),
        ("2026-03-01", "None", "2026-02-02"),
    ]


def test_a_version_of_the_first_day_of_a_cycle_counts_at_once():
    assert served(["2026-01-01", "2026-02-01"])[1] == ("2026-02-01", "None", "2026-02-01")


def test_a_version_that_no_cycle_begins_under_never_counts():
    assert served(["2026-01-01", "2026-02-02", "2026-02-20"]) == [
        ("2026-01-10", "2026-03-01", "2026-01-01"),
        ("2026-03-01", "None", "2026-02-20"),
    ]


def test_a_held_version_stays():
    held = {"plan_version": "2026-01-01"}
    assert served(["2026-01-01", "2026-02-01"], **held) == [("2026-01-10", "None", "2026-01-01")]


def test_service_ends_with_the_subscription_or_the_customer():
    assert served(["2026-01-01"], ended_on="2026-05-01", inactive_from="2026-04-01")[0][1] == "2026-04-01"
    assert served(["2026-01-01"], ended_on="2026-03-01", inactive_from="2026-04-01")[0][1] == "2026-03-01"
    assert served(["2026-01-01"], ended_on="2026-01-10") == []
    assert served(["2026-01-01"], inactive_from="2026-01-10") == []
