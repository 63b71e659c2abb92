"""What runs by the clock. What the jobs do does not belong here."""

import os
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import dagster as dg
from dagster import JobDefinition
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from pipelines.orchestration.assets.books import close_books
from pipelines.payments.settings import KEY_VARIABLE
from pipelines.settings import GRACE_VARIABLE, close_grace_days, starts_every_schedule
from pipelines.times import last_day, month_before

Job = JobDefinition | UnresolvedAssetJobDefinition


def upkeep_schedules(main: Job, rebuild_day: Job, rebuild_month: Job) -> list[dg.ScheduleDefinition]:
    """What keeps a home current: on as soon as the daemon runs."""
    hourly = dg.ScheduleDefinition(
        name="hourly",
        job=main,
        cron_schedule="5 * * * *",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Reads and builds also when no file came: cycles begin and end by the clock.",
    )

    @dg.schedule(
        name="daily",
        job=rebuild_day,
        cron_schedule="20 2 * * *",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Rebuilds yesterday from the lake.",
    )
    def daily(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
        yesterday = (context.scheduled_execution_time - timedelta(days=1)).date()
        return dg.RunRequest(partition_key=yesterday.isoformat())

    @dg.schedule(
        name="monthly",
        job=rebuild_month,
        cron_schedule="40 3 1 * *",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Rebuilds the month that has just ended, before its invoices are issued.",
    )
    def monthly(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
        ended = (context.scheduled_execution_time.replace(day=1) - timedelta(days=1)).replace(day=1).date()
        return dg.RunRequest(partition_key=ended.isoformat())

    return [hourly, daily, monthly]


def closing_schedule(close: Job) -> dg.ScheduleDefinition:
    """Closes the month before, some days after its end; off until a person or the environment says so.

    :raises ConfigurationError: a setting of the schedules is none.
    """
    grace = close_grace_days()

    @dg.schedule(
        name="close_month",
        job=close,
        # By noon the last day of the month is over in every time zone, also without grace: D-close-noon.
        cron_schedule=f"30 12 {grace + 1} * *",
        default_status=_status_of_billing(),
        description=f"Closes the month before, {grace} days after its end ({GRACE_VARIABLE}).",
    )
    def close_month(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
        through = last_day(month_before(context.scheduled_execution_time))
        told = {"through": through.isoformat(), "by": "schedule close_month"}
        return dg.RunRequest(run_config={"ops": {close_books.name: {"config": told}}})

    return close_month


def payment_schedules(
    send: JobDefinition, reconcile: JobDefinition, send_config: Mapping[str, Any]
) -> list[dg.ScheduleDefinition]:
    """Sending daily, again every six hours, and comparing daily; without a key they start nothing.

    Comparing is on by itself: it changes nothing at Stripe, and tells what differs. Finalizing collects money
    and is left to people.
    """

    def schedule(
        name: str, job: dg.JobDefinition, cron: str, description: str, told: Mapping[str, Any] | None = None
    ) -> dg.ScheduleDefinition:
        @dg.schedule(
            name=name,
            job=job,
            cron_schedule=cron,
            default_status=_status_of_billing() if told else dg.DefaultScheduleStatus.RUNNING,
            description=description,
        )
        def tick() -> dg.RunRequest | dg.SkipReason:
            if not os.environ.get(KEY_VARIABLE, "").strip():
                return dg.SkipReason(f"{KEY_VARIABLE} is not set.")
            return dg.RunRequest(run_config=told)

        return tick

    return [
        schedule("send_daily", send, "10 0 * * *", "Sends at midnight what was issued.", send_config),
        schedule(
            "send_again", send, "10 6,12,18 * * *", "Every six hours: what did not get there.", send_config
        ),
        schedule("reconcile_daily", reconcile, "50 4 * * *", "Compares ledger and Stripe."),
    ]


def _status_of_billing() -> dg.DefaultScheduleStatus:
    """Of schedules that issue or send documents (D-ui-bills-nothing); a person's choice stays."""
    return dg.DefaultScheduleStatus.RUNNING if starts_every_schedule() else dg.DefaultScheduleStatus.STOPPED
