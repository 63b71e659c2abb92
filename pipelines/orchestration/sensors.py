"""What starts runs, or tells of them, when something happens. What the runs do does not belong here."""

import hashlib
from collections.abc import Sequence

import dagster as dg

from pipelines.errors import MeterhouseError
from pipelines.home import Home
from pipelines.notify.reports import report
from pipelines.orchestration.instance import COMMAND_LINE, MAIN_JOB, STARTED_BY
from pipelines.orchestration.schedules import Job
from pipelines.settings import QuietTime, Settings

SENSOR_SECONDS = 30


def sensors_for(settings: Settings, main: Job) -> list[dg.SensorDefinition]:
    """Runs for new files, reports of failed runs; on as soon as the daemon runs."""
    home = settings.home

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

    return [new_usage_files, failed_runs]


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
