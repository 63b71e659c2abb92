"""Jobs, schedules and sensors: what runs when. What a run does does not belong here."""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import dagster as dg
from dagster import JobDefinition
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from pipelines.errors import MeterhouseError
from pipelines.home import Home
from pipelines.notify.reports import report
from pipelines.orchestration.assets.alerts import RAISED
from pipelines.orchestration.assets.books import close_books
from pipelines.orchestration.assets.lake import ACCOUNTS, BATCHES, CATALOG, EVENTS, PRICES, REJECTS
from pipelines.orchestration.assets.payments import reconcile_op, send_op
from pipelines.orchestration.assets.serving import PUBLISHED
from pipelines.orchestration.assets.warehouse import model_grain
from pipelines.orchestration.instance import CLOSE_JOB, COMMAND_LINE, MAIN_JOB, SEND_JOB, STARTED_BY
from pipelines.payments.settings import KEY_VARIABLE
from pipelines.settings import GRACE_VARIABLE, QuietTime, Settings, close_grace_days, starts_every_schedule
from pipelines.times import last_day, month_before
from pipelines.warehouse.measure import Grain
from pipelines.warehouse.project import Manifest, models_in

SENSOR_SECONDS = 30

Job = JobDefinition | UnresolvedAssetJobDefinition


@dataclass(frozen=True)
class Automation:
    """All jobs and what starts them."""

    jobs: Sequence[Job]
    schedules: Sequence[dg.ScheduleDefinition]
    sensors: Sequence[dg.SensorDefinition]


def automation_for(settings: Settings, manifest: Manifest) -> Automation:
    """The jobs over a home, hourly, daily and monthly schedules, and sensors for new files and failures.

    What keeps the home current is on as soon as the daemon runs. What issues or sends documents is off until
    a person switches it on, or the environment does (``starts_every_schedule``).

    :raises ConfigurationError: a setting of the schedules is none.
    """
    home = settings.home
    models = {dg.AssetKey(model["name"]): model_grain(model) for model in models_in(manifest)}

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

    @dg.job(
        name=CLOSE_JOB,
        description="Issue the invoices and corrections of cycles that ended by the day that is given.",
    )
    def close() -> None:
        close_books()

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
        default_status=_status_of_billing(),
        description=f"Closes the month before, {grace} days after its end ({GRACE_VARIABLE}).",
    )
    def close_month(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
        through = last_day(month_before(context.scheduled_execution_time))
        told = {"through": through.isoformat(), "by": "schedule close_month"}
        return dg.RunRequest(run_config={"ops": {close_books.name: {"config": told}}})

    @dg.sensor(
        name="new_usage_files",
        job=main,
        minimum_interval_seconds=SENSOR_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Starts a run when files arrive in the inbox.",
    )
    def new_usage_files(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        waiting = waiting_files(home, settings.quiet)
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

    payment_jobs, payment_schedules = _payments(settings)
    return Automation(
        [main, rebuild_day, rebuild_month, close, *payment_jobs],
        [hourly, daily, monthly, close_month, *payment_schedules],
        [new_usage_files, failed_runs],
    )


def _payments(settings: Settings) -> tuple[list[Job], list[dg.ScheduleDefinition]]:
    """Sending daily, again every six hours, and comparing daily; without a key the schedules start nothing.

    Comparing is on by itself: it changes nothing at Stripe, and tells what differs. Finalizing collects money
    and is left to people.
    """
    send_outbox, compare_with_stripe = send_op(settings), reconcile_op(settings)

    @dg.job(name=SEND_JOB, description="Send what was issued to Stripe, and again what did not get there.")
    def send() -> None:
        send_outbox()

    @dg.job(
        name="reconcile",
        description="Compare the ledger with Stripe; payments and links come back with it.",
    )
    def reconcile() -> None:
        compare_with_stripe()

    def schedule(
        name: str, job: dg.JobDefinition, cron: str, description: str, told: dict[str, Any] | None = None
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

    sends = {"ops": {send_outbox.name: {"config": {"confirm": True}}}}
    return [send, reconcile], [
        schedule("send_daily", send, "10 0 * * *", "Sends at midnight what was issued.", sends),
        schedule("send_again", send, "10 6,12,18 * * *", "Every six hours: what did not get there.", sends),
        schedule("reconcile_daily", reconcile, "50 4 * * *", "Compares ledger and Stripe."),
    ]


def _status_of_billing() -> dg.DefaultScheduleStatus:
    """Of schedules that issue or send documents; what a person switched on or off stays so."""
    return dg.DefaultScheduleStatus.RUNNING if starts_every_schedule() else dg.DefaultScheduleStatus.STOPPED


def reason(step_failures: Sequence[dg.DagsterEvent]) -> str | None:
    """What the first step that failed says of it, in its own words; None where no step got so far."""
    for event in step_failures:
        error = event.step_failure_data.error
        while error and error.cause:
            error = error.cause
        said = error.message.strip() if error else "no reason given"
        return f"step {event.step_key} failed: {said}"
    return None


def waiting_files(home: Home, quiet: QuietTime | None = None) -> list[str]:
    """Files of the inbox that a run would read and none has, each with its content's hash.

    Those that are still being written come later: a run that leaves them alone would use up their turn.
    """
    from pipelines.catalog import load_configuration
    from pipelines.ingest import pending_files

    try:
        sources = load_configuration(home).sources
    except MeterhouseError:
        sources = None  # The run that this starts tells what is wrong.
    files = pending_files(home, sources, quiet, is_patient=False)
    return sorted(f"{file.name} {file.batch_id}" for file in files)
