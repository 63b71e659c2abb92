"""What the steps of a Dagster run share, in whichever of its processes: the home, one clock, one build.

A run says its clock and its build in its tags, where every process finds them. What steps do is not here.
"""

import uuid
from collections.abc import Callable, Iterator, Mapping

import dagster as dg

from pipelines.lock import hold_home
from pipelines.session import Session
from pipelines.settings import Settings
from pipelines.times import parse_instant

_AS_OF = "meterhouse/as_of"
_BUILD_ID = "meterhouse/build_id"


def session_resource(settings: Settings, session: Session | None = None) -> dg.ResourceDefinition:
    """The session of a run; the home is held while a process has it.

    :param session: that of the run, where whoever starts it has one; by default as the run's tags say.
    """

    @dg.resource
    def run_session(context: dg.InitResourceContext) -> Iterator[Session]:
        say: Callable[[str], None] = context.log.info if context.log else print
        run = context.run
        name = f"Dagster run {run.run_id}" if run else "a Dagster run"
        with hold_home(settings.home, name, on_wait=lambda holder: say(f"Waiting for {holder}.")):
            if session is None and run and context.instance:
                yield _session_of_run(run.run_id, context.instance, settings)
            else:
                yield session or Session(settings)

    return run_session


def run_id_of(session: Session) -> str:
    """The id of the Dagster run that a session's build is."""
    return str(uuid.UUID(session.build_id))


def tags_of(session: Session) -> Mapping[str, str]:
    """The tags that tell every process of a run its clock and its build."""
    return {_AS_OF: session.as_of.isoformat(), _BUILD_ID: session.build_id}


def _session_of_run(run_id: str, instance: dg.DagsterInstance, settings: Settings) -> Session:
    """The first process to hold the home reads the clock, the others read the tags."""
    build_id = run_id.replace("-", "")
    run = instance.get_run_by_id(run_id)
    tags = run.tags if run else {}
    # A run that is executed again begins with the tags of the first; its clock and its build are its own.
    if tags.get(_BUILD_ID) == build_id:
        return Session(settings, build_id=build_id, clock=parse_instant(tags[_AS_OF]))
    session = Session(settings, build_id=build_id)
    instance.add_run_tags(run_id, dict(tags_of(session)))
    return session
