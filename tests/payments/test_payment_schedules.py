"""When Stripe is talked to by itself: only once switched on, and never without a key; and what the jobs show of it."""

import warnings
from datetime import UTC, datetime

import dagster as dg
import payment_fixtures
import pytest
from fake_stripe import KEY
from payment_ledgers import assert_once, customers_of, issue_invoices

from pipelines.errors import ConfigurationError
from pipelines.home import Home
from pipelines.payments import service
from pipelines.settings import Settings

with warnings.catch_warnings():
    # A package that dagster-dbt imports announces its own end.
    warnings.simplefilter("ignore")
    from pipelines.orchestration.assets.payments import RECONCILED, SENT
    from pipelines.orchestration.jobs import payments
    from pipelines.orchestration.sensors import reason

# Dagster warns about its own previews.
pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.slow]

empty_home, home, ledger, fake = (
    payment_fixtures.empty_home,
    payment_fixtures.home,
    payment_fixtures.ledger,
    payment_fixtures.fake,
)

NAMES = {"send_daily": "send", "send_again": "send", "reconcile_daily": "reconcile"}


SENDS = {"ops": {"send_outbox": {"config": {"confirm": True}}}}
SWITCH = "METERHOUSE_SCHEDULES"


def made(home: Home, monkeypatch: pytest.MonkeyPatch, switch: str = "") -> tuple[dict, dict]:
    """Jobs and schedules by name."""
    monkeypatch.setenv(SWITCH, switch)
    jobs, schedules = payments(Settings(home))
    return {job.name: job for job in jobs}, {schedule.name: schedule for schedule in schedules}


@pytest.fixture
def jobs(home, monkeypatch):
    return made(home, monkeypatch)[0]


@pytest.fixture
def schedules(home, monkeypatch):
    return made(home, monkeypatch)[1]


def ticks(schedule) -> list[int]:
    cron = schedule.cron_schedule.split()
    assert cron[2:] == ["*", "*", "*"]
    return [int(hour) for hour in cron[1].split(",")]


def test_they_run_daily_and_every_six_hours(schedules):
    assert {name: schedule.job_name for name, schedule in schedules.items()} == NAMES
    assert sorted(ticks(schedules["send_daily"]) + ticks(schedules["send_again"])) == [0, 6, 12, 18]
    assert len(ticks(schedules["reconcile_daily"])) == 1


@pytest.mark.parametrize(
    ("switch", "on"), [("", {"reconcile_daily"}), (" ", {"reconcile_daily"}), ("all", set(NAMES))]
)
def test_sending_is_off_unless_everything_is_on(home, monkeypatch, switch, on):
    _, schedules = made(home, monkeypatch, switch)
    running = dg.DefaultScheduleStatus.RUNNING
    assert {name for name, schedule in schedules.items() if schedule.default_status == running} == on


@pytest.mark.parametrize("switch", ["All", "none", "true", "close_month"])
def test_what_names_no_schedules_is_a_fault_that_says_what_does(home, monkeypatch, switch):
    with pytest.raises(ConfigurationError, match="METERHOUSE_SCHEDULES") as told:
        made(home, monkeypatch, switch)
    assert "write all, or leave it unset" in str(told.value)


@pytest.mark.parametrize("name", NAMES)
def test_without_a_key_they_start_nothing(jobs, schedules, monkeypatch, name):
    context = dg.build_schedule_context(scheduled_execution_time=datetime(2026, 4, 1, tzinfo=UTC))
    monkeypatch.delenv("STRIPE_API_KEY", raising=False)
    assert not schedules[name].evaluate_tick(context).run_requests
    monkeypatch.setenv("STRIPE_API_KEY", KEY)
    [request] = schedules[name].evaluate_tick(context).run_requests
    assert dg.validate_run_config(jobs[NAMES[name]], request.run_config)


def shown(result: dg.ExecuteInProcessResult, key: dg.AssetKey) -> list[dict]:
    """Figures of what a run shows of an asset."""
    return [
        {name: value.value for name, value in event.materialization.metadata.items()}
        for event in result.all_events
        if event.is_step_materialization and event.asset_key == key
    ]


def refusal(result: dg.ExecuteInProcessResult) -> str:
    assert not result.success
    return reason([event for event in result.all_events if event.is_step_failure])


def test_nothing_is_sent_unless_somebody_says_so_and_there_is_a_key(jobs, ledger, fake, monkeypatch):
    issue_invoices(ledger, {"c-1": [1000, 250]})
    monkeypatch.setenv("STRIPE_API_KEY", KEY)
    monkeypatch.setenv("METERHOUSE_STRIPE_API_BASE", fake.url)
    for config in ({}, {"ops": {"send_outbox": {}}}, {"ops": {"send_outbox": {"config": {}}}}):
        with pytest.raises(dg.DagsterInvalidConfigError, match="send_outbox"):
            jobs["send"].execute_in_process(run_config=config)
    denied = {"ops": {"send_outbox": {"config": {"confirm": False}}}}
    assert "confirm" in refusal(jobs["send"].execute_in_process(run_config=denied, raise_on_error=False))
    monkeypatch.delenv("STRIPE_API_KEY")
    for name, config in (("send", SENDS), ("reconcile", {})):
        result = jobs[name].execute_in_process(run_config=config, raise_on_error=False)
        assert "STRIPE_API_KEY" in refusal(result)
        assert not shown(result, SENT)
    assert not fake.requests


def test_the_jobs_send_and_compare_and_show_amounts_and_documents(jobs, ledger, fake, monkeypatch):
    monkeypatch.setattr(service, "stripe_customers", lambda _: customers_of(fake))
    monkeypatch.setenv("STRIPE_API_KEY", KEY)
    monkeypatch.setenv("METERHOUSE_STRIPE_API_BASE", fake.url)
    issue_invoices(ledger, {"c-1": [1000, 250]})
    [first] = shown(jobs["send"].execute_in_process(run_config=SENDS), SENT)
    assert first["item USD"] == "12.50"
    assert first["documents"] == ["INV-000001"]
    assert (first["sent"], first["failed"], first["waiting_for_review"]) == (3, 0, 0)
    # What an earlier run sent is no part of what this one did.
    issue_invoices(ledger, {"c-2": [5]})
    [second] = shown(jobs["send"].execute_in_process(run_config=SENDS), SENT)
    assert (second["item USD"], second["documents"], second["sent"]) == ("0.05", ["INV-000002"], 2)
    assert shown(jobs["send"].execute_in_process(run_config=SENDS), SENT) == []
    [compared] = shown(jobs["reconcile"].execute_in_process(), RECONCILED)
    assert (compared["objects_compared"], compared["differences"]) == (5, 0)
    assert_once(ledger, fake)
    fake.items.popitem()
    result = jobs["reconcile"].execute_in_process(raise_on_error=False)
    assert "disagree" in refusal(result)
    assert shown(result, RECONCILED)[0]["differences"] > 0


def test_what_was_sent_is_shown_also_when_something_else_failed(jobs, ledger, fake, monkeypatch):
    """A customer that Stripe does not know any more keeps no other waiting, nor from being seen."""
    customers = customers_of(fake) | {"c-2": "cus_gone"}
    monkeypatch.setattr(service, "stripe_customers", lambda _: customers)
    monkeypatch.setenv("STRIPE_API_KEY", KEY)
    monkeypatch.setenv("METERHOUSE_STRIPE_API_BASE", fake.url)
    issue_invoices(ledger, {"c-1": [1000], "c-2": [70]})
    result = jobs["send"].execute_in_process(run_config=SENDS, raise_on_error=False)
    assert "were not sent" in refusal(result)
    [sent] = shown(result, SENT)
    assert (sent["item USD"], sent["documents"]) == ("10.00", ["INV-000001"])
    assert sent["failed"] > 0
