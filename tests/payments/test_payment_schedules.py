"""When Stripe is talked to by itself: daily, every six hours, and never without a key."""

import warnings
from datetime import UTC, datetime

import dagster as dg
import payment_fixtures
import pytest
from fake_stripe import KEY
from payment_ledgers import assert_once, customers_of, issue_invoices

from pipelines.payments import commands
from pipelines.settings import Settings

with warnings.catch_warnings():
    # A package that dagster-dbt imports announces its own end.
    warnings.simplefilter("ignore")
    from pipelines.assets.payments import RECONCILED, SENT, payment_assets
    from pipelines.jobs import _payments

# Dagster warns about its own previews.
pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.slow]

empty_home, home, ledger, fake = (
    payment_fixtures.empty_home,
    payment_fixtures.home,
    payment_fixtures.ledger,
    payment_fixtures.fake,
)

NAMES = {"send_daily": "send", "send_again": "send", "reconcile_daily": "reconcile"}


@pytest.fixture(scope="module")
def schedules():
    return {schedule.name: schedule for schedule in _payments()[1]}


def ticks(schedule) -> list[int]:
    cron = schedule.cron_schedule.split()
    assert cron[2:] == ["*", "*", "*"]
    return [int(hour) for hour in cron[1].split(",")]


def test_they_run_daily_and_every_six_hours(schedules):
    assert {name: schedule.job_name for name, schedule in schedules.items()} == NAMES
    assert sorted(ticks(schedules["send_daily"]) + ticks(schedules["send_again"])) == [0, 6, 12, 18]
    assert len(ticks(schedules["reconcile_daily"])) == 1
    assert {schedule.default_status for schedule in schedules.values()} == {dg.DefaultScheduleStatus.RUNNING}


@pytest.mark.parametrize("name", NAMES)
def test_without_a_key_they_start_nothing(schedules, monkeypatch, name):
    context = dg.build_schedule_context(scheduled_execution_time=datetime(2026, 4, 1, tzinfo=UTC))
    monkeypatch.delenv("STRIPE_API_KEY", raising=False)
    assert not schedules[name].evaluate_tick(context).run_requests
    monkeypatch.setenv("STRIPE_API_KEY", KEY)
    assert len(schedules[name].evaluate_tick(context).run_requests) == 1


def test_the_assets_send_and_compare(home, ledger, fake, monkeypatch):
    issue_invoices(ledger, {"c-1": [1000, 250]})
    assets = payment_assets(Settings(home))
    monkeypatch.setattr(commands, "stripe_customers", lambda _: customers_of(fake))
    monkeypatch.delenv("STRIPE_API_KEY", raising=False)
    skipped = dg.materialize(assets)
    assert skipped.success
    assert not fake.requests
    monkeypatch.setenv("STRIPE_API_KEY", KEY)
    monkeypatch.setenv("METERHOUSE_STRIPE_API_BASE", fake.url)
    done = dg.materialize(assets)
    assert done.success
    [sent] = done.asset_materializations_for_node(SENT.to_python_identifier())
    assert sent.metadata["sent"].value == 3
    [compared] = done.asset_materializations_for_node(RECONCILED.to_python_identifier())
    assert compared.metadata["objects_compared"].value == 3
    assert_once(ledger, fake)
    fake.items.popitem()
    assert not dg.materialize(assets, raise_on_error=False).success
