"""Jobs, schedules and sensors: what runs when. What a run does does not belong here."""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import dagster as dg
from dagster import JobDefinition
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from pipelines import dbt
from pipelines.assets.alerts import RAISED
from pipelines.assets.books import ISSUED
from pipelines.assets.lake import ACCOUNTS, BATCHES, CATALOG, EVENTS, PRICES, REJECTS
from pipelines.assets.payments import RECONCILED, SENT
from pipelines.assets.serving import PUBLISHED
from pipelines.assets.warehouse import model_grain
from pipelines.books.command import last_day, month_before
from pipelines.errors import MeterhouseError
from pipelines.home import Home
from pipelines.payments.settings import KEY_VARIABLE
from pipelines.reports import report
from pipelines.serving.measure import Grain
from pipelines.settings import GRACE_VARIABLE, close_grace_days

MAIN_JOB = "run"
SENSOR_SECONDS = 30
STARTED_BY = "meterhouse/started_by"
COMMAND_LINE = "command line"
"""Value of STARTED_BY on runs whose failure the command line tells by itself."""


Job = JobDefinition | UnresolvedAssetJobDefinition


@dataclass(frozen=True)
class Automation:
    """All jobs and what starts them."""

    jobs: Sequence[Job]
    schedules: Sequence[dg.ScheduleDefinition]
    sensors: Sequence[dg.SensorDefinition]


def automation_for(home: Home, manifest: dbt.Manifest) -> Automation:
    """The jobs over a home, hourly, daily and monthly schedules, and sensors for new files and failures.

    Everything is on as soon as the daemon runs: whoever starts the interface wants the home to stay current.
    """
    models = {dg.AssetKey(model["name"]): model_grain(model) for model in dbt.models_in(manifest)}

    def models_of(grain: Grain | None) -> list[dg.AssetKey]:
        return [key for key, of in models.items() if of == grain]

    # Checks of partitioned marts run in every build, whichever models the job selects.
    checks = dg.AssetSelection.checks_for_assets(*models, RAISED)
    lake = [CATALOG, ACCOUNTS, EVENTS, REJECTS, BATCHES, PRICES]
    main = dg.define_asset_job(
        MAIN_JOB,
        dg.AssetSelection.assets(*lake, *models_of(None), PUBLISHED, RAISED)
        | dg.AssetSelection.all_asset_checks(),
        description="Read new files, rebuild what they touch, check, publish.",
    )
    rebuild_day = dg.define_asset_job(
        "rebuild_day",
        dg.AssetSelection.assets(*models_of("day"), PUBLISHED, RAISED) | checks,
        description="Compute chosen local days of usage again from the lake, then check, publish and alert.",
    )
    rebuild_month = dg.define_asset_job(
        "rebuild_month",
        dg.AssetSelection.assets(*models_of("month"), PUBLISHED, RAISED) | checks,
        description="Compute the cycles that end in chosen months again, then check, publish and alert.",
    )

    close = dg.define_asset_job(
        "close",
        dg.AssetSelection.assets(ISSUED),
        description="Issue the invoices and corrections of cycles that ended in the last month or before.",
    )

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

    grace = close_grace_days()

    @dg.schedule(
        name="close_month",
        job=close,
        # By noon the last day of the month is over in every time zone, also without grace.
        cron_schedule=f"30 12 {grace + 1} * *",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=f"Closes the month before, {grace} days after its end ({GRACE_VARIABLE}).",
    )
    def close_month(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
        through = last_day(month_before(context.scheduled_execution_time))
        told = {"through": through.isoformat(), "by": "schedule close_month"}
        config = {"ops": {ISSUED.to_python_identifier(): {"config": told}}}
        return dg.RunRequest(run_config=config)

    @dg.sensor(
        name="new_usage_files",
        job=main,
        minimum_interval_seconds=SENSOR_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Starts a run when files arrive in the inbox.",
    )
    def new_usage_files(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        waiting = waiting_files(home)
        if not waiting:
            return dg.SkipReason("The inbox holds nothing new.")
        queued = context.instance.get_runs_count(
            dg.RunsFilter(
                job_name=MAIN_JOB, statuses=[dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.NOT_STARTED]
            )
        )
        if queued:
            return dg.SkipReason(f"{len(waiting)} new files; the next run in the queue will read them.")
        # A set of files that a run could not read is not tried again every half minute, only hourly.
        key = hashlib.sha256("\n".join(waiting).encode()).hexdigest()
        return dg.RunRequest(run_key=key, tags={"meterhouse/new_files": str(len(waiting))})

    @dg.run_failure_sensor(
        name="failed_runs",
        monitor_all_code_locations=True,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Reports failed runs.",
    )
    def failed_runs(context: dg.RunFailureSensorContext) -> None:
        if context.dagster_run.tags.get(STARTED_BY) == COMMAND_LINE:
            return
        run = context.dagster_run
        # The run's id is no part of what and where: the same fault of every hour is told once a day.
        report(
            "run_failed",
            reason(context.get_step_failure_events()) or context.failure_event.message or "a run failed",
            f"job {run.job_name}, home {home.root}",
            f"open run {run.run_id} in `meterhouse ui`: the red step's error says what to do",
            home=home,
        )

    payment_jobs, payment_schedules = _payments()
    return Automation(
        [main, rebuild_day, rebuild_month, close, *payment_jobs],
        [hourly, daily, monthly, close_month, *payment_schedules],
        [new_usage_files, failed_runs],
    )


def _payments() -> tuple[list[Job], list[dg.ScheduleDefinition]]:
    """Sending daily, again every six hours, and comparing daily; without a key the schedules start nothing.

    Finalizing collects money and is left to people.
    """
    send = dg.define_asset_job(
        "send",
        dg.AssetSelection.assets(SENT),
        description="Send what was issued to Stripe, and again what did not get there.",
    )
    reconcile = dg.define_asset_job(
        "reconcile",
        dg.AssetSelection.assets(RECONCILED),
        description="Compare the ledger with Stripe; payments and links come back with it.",
    )

    def schedule(name: str, job: Job, cron: str, description: str) -> dg.ScheduleDefinition:
        @dg.schedule(
            name=name,
            job=job,
            cron_schedule=cron,
            default_status=dg.DefaultScheduleStatus.RUNNING,
            description=description,
        )
        def tick() -> dg.RunRequest | dg.SkipReason:
            if not os.environ.get(KEY_VARIABLE, "").strip():
                return dg.SkipReason(f"{KEY_VARIABLE} is not set.")
            return dg.RunRequest()

        return tick

    return [send, reconcile], [
        schedule("send_daily", send, "10 0 * * *", "Sends at midnight what was issued."),
        schedule("send_again", send, "10 6,12,18 * * *", "Every six hours: what did not get there."),
        schedule("reconcile_daily", reconcile, "50 4 * * *", "Compares ledger and Stripe."),
    ]


def reason(step_failures: Sequence[dg.DagsterEvent]) -> str | None:
    """What the first step that failed says of it, in its own words; None where no step got so far."""
    for event in step_failures:
        error = event.step_failure_data.error
        while error and error.cause:
            error = error.cause
        said = error.message.strip() if error else "no reason given"
        return f"step {event.step_key} failed: {said}"
    return None


def waiting_files(home: Home) -> list[str]:
    """Files of the inbox that no run has read, each with size and time of change."""
    from pipelines.catalog import load_configuration
    from pipelines.ingest import pending_files

    try:
        sources = load_configuration(home).sources
    except MeterhouseError:
        sources = None  # The run that this starts tells what is wrong.
    return sorted(f"{file.name} {file.size} {file.mtime_ns}" for file in pending_files(home, sources))
