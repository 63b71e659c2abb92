"""One run has one clock, one build and one home, in whichever processes and threads its steps run.

Guards against steps of one run that count by two clocks, and two threads that write one home at once.
"""

import json
import threading
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest

from pipelines.home import Home
from pipelines.lock import hold_home
from pipelines.orchestration.instance import instance_dir
from pipelines.orchestration.run_session import run_id_of, session_resource, tags_of
from pipelines.session import Session
from pipelines.settings import Settings, load_settings

pytestmark = pytest.mark.timeout(120)


def says(name: str) -> dg.OpDefinition:
    """Writes what it knows of its run beside the home."""

    @dg.op(name=name, required_resource_keys={"session"}, out=dg.Out(dg.Nothing))
    def say(context: dg.OpExecutionContext) -> None:
        session: Session = context.resources.session
        said = {"as_of": session.as_of.isoformat(), "build_id": session.build_id}
        said |= {"run": context.run_id, "process": str(threading.get_native_id())}
        (session.settings.home.root.parent / f"{name}.json").write_text(json.dumps(said), encoding="utf-8")

    return say


def two_steps() -> dg.JobDefinition:
    """What a process of the run imports: a job of two steps, each in a process of its own."""
    first, second = says("first"), says("second")

    @dg.job(
        resource_defs={"session": session_resource(load_settings())}, executor_def=dg.multiprocess_executor
    )
    def job() -> None:
        first()
        second()

    return job


def said_by(home: Home, name: str) -> dict[str, str]:
    said: dict[str, str] = json.loads((home.root.parent / f"{name}.json").read_text(encoding="utf-8"))
    return said


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    home = Home(tmp_path / "home")
    home.root.mkdir()
    monkeypatch.setenv("METERHOUSE_HOME", str(home.root))
    return home


def test_processes_of_a_run_have_one_clock_and_one_build(home: Home) -> None:
    with dg.DagsterInstance.from_config(str(instance_dir(home))) as instance:
        with dg.execute_job(dg.reconstructable(two_steps), instance=instance) as ran:
            assert ran.success
        first, second = said_by(home, "first"), said_by(home, "second")
        assert first.pop("process") != second.pop("process")
        assert first == second
        assert first["build_id"] == first["run"].replace("-", "")

        # Executed again it begins with the tags of the first, and has a clock of its own.
        tags = instance.get_run_by_id(first["run"]).tags
        assert tags["meterhouse/as_of"] == first["as_of"]
        with dg.execute_job(dg.reconstructable(two_steps), instance=instance, tags=tags) as again:
            assert again.success
    third = said_by(home, "first")
    assert third["as_of"] > first["as_of"]
    assert third["build_id"] == third["run"].replace("-", "") != first["build_id"]


def test_a_run_has_the_clock_of_whoever_started_it(home: Home) -> None:
    session = Session(Settings(home, datetime(2026, 3, 1, 12, tzinfo=UTC)))
    ran = two_steps().execute_in_process(
        run_id=run_id_of(session), tags=tags_of(session), instance=dg.DagsterInstance.ephemeral()
    )
    assert ran.success
    assert said_by(home, "second")["as_of"] == "2026-03-01T12:00:00+00:00"
    assert said_by(home, "second")["build_id"] == session.build_id


def test_threads_hold_a_home_one_after_the_other(home: Home) -> None:
    done: list[str] = []
    waits = threading.Event()

    def other(holder_said: list[str]) -> None:
        def on_wait(holder: str) -> None:
            holder_said.append(holder)
            waits.set()

        with hold_home(home, "the second", on_wait=on_wait):
            done.append("second")

    holders: list[str] = []
    thread = threading.Thread(target=other, args=(holders,))
    with hold_home(home, "the first"):
        thread.start()
        assert waits.wait(20)
        with hold_home(home, "the first, again"):
            pass
        # Leaving the inner one lets nobody in.
        thread.join(0.6)
        done.append("first")
    thread.join(20)
    assert done == ["first", "second"]
    assert holders[0].startswith("the first (")
