"""Running the main job in this process, with its history kept where ``meterhouse ui`` shows it.

What the job does is in ``assets/``; which arguments it gets is the command line's business.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING
from unittest import mock

from pipelines import interruption
from pipelines.errors import MeterhouseError
from pipelines.home import Home
from pipelines.notify.reports import report
from pipelines.orchestration.instance import COMMAND_LINE, MAIN_JOB, STARTED_BY, instance_dir
from pipelines.session import Session

if TYPE_CHECKING:
    import dagster as dg


def run_main_job(session: Session) -> None:
    """Read, build, check and publish; the session holds what there is to tell.

    :raises MeterhouseError: a step failed; the warehouse and the published file are as before.
    """
    os.environ.setdefault("DAGSTER_DISABLE_TELEMETRY", "yes")
    interruption.expect(_AS_BEFORE)
    with session.steps.step("Starting Dagster and dbt"):
        from pipelines.orchestration.assembly import build_definitions
        from pipelines.orchestration.sensors import reason

        definitions = build_definitions(session=session)
        job = definitions.resolve_job_def(MAIN_JOB)
    result = _execute(session, job)
    if result.success:
        return
    interruption.check()
    said = reason([event for event in result.all_events if event.is_step_failure])
    failure = session.failure or MeterhouseError(
        said or "the run failed before its first step",
        where=f"Dagster run {result.run_id}",
        remedy="see the run in `meterhouse ui`",
    )
    home = session.settings.home
    report("run_failed", failure.what, failure.where or "", failure.remedy or "", home=home)
    raise failure


def _execute(session: Session, job: "dg.JobDefinition") -> "dg.ExecuteInProcessResult":
    """Run the job; a history that cannot be written is told, and keeps nothing from being published."""
    import dagster as dg

    from pipelines.orchestration import run_history as history
    from pipelines.orchestration.run_session import run_id_of, tags_of

    def execute(instance: dg.DagsterInstance) -> dg.ExecuteInProcessResult:
        with _own_signals():
            return job.execute_in_process(
                instance=instance,
                raise_on_error=False,
                run_id=run_id_of(session),
                tags={STARTED_BY: COMMAND_LINE, **tags_of(session)},
                # The bars say what happens; failures are told at the end, in our own words.
                run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
            )

    history.lost.clear()
    try:
        with _kept_history(session.settings.home) as instance:
            return execute(instance)
    except history.NOT_KEPT as error:
        interruption.check()
        history.lost.append(" ".join(str(getattr(error, "orig", None) or error).split()))
    finally:
        if history.lost:
            session.warnings.append(
                f"the run's history is not whole: {history.lost[0]}; make room, or remove"
                f" {session.settings.home.root / '.dagster'}, which holds nothing else"
            )
    read = session.ingest
    with dg.DagsterInstance.ephemeral() as instance:
        result = execute(instance)
    # Steps that were done before have nothing left to do, and what they read was read by this run.
    session.ingest = read or session.ingest
    return result


@contextmanager
def _kept_history(home: Home) -> "Iterator[dg.DagsterInstance]":
    import dagster as dg
    from dagster._core.instance.ref import InstanceRef

    folder = instance_dir(home)
    base = str(folder / "history")
    overrides = {
        # Capturing output would take the terminal away from the progress bars; dbt keeps its own log.
        "compute_logs": {
            "module": "dagster._core.storage.noop_compute_log_manager",
            "class": "NoOpComputeLogManager",
        },
        "event_log_storage": {
            "module": "pipelines.orchestration.run_history",
            "class": "KeptOpenEventLogStorage",
            "config": {"base_dir": f"{base}/runs"},
        },
        "run_storage": {
            "module": "pipelines.orchestration.run_history",
            "class": "ForgivingRunStorage",
            "config": {"base_dir": base},
        },
    }
    with dg.DagsterInstance.from_ref(InstanceRef.from_dir(str(folder), overrides=overrides)) as instance:
        yield instance


@contextmanager
def _own_signals() -> Iterator[None]:
    """Dagster would answer signals itself while it executes, and say nothing of it to the command line."""
    from dagster._utils import interrupts

    with mock.patch.object(interrupts, "_replace_interrupt_signal"):
        yield


_AS_BEFORE = (
    "what is published is as before; files that were read stay read, and `meterhouse run` goes on from there"
)
