"""``meterhouse ui`` as a person starts it: what runs by itself, what is refused, and that nothing is left of it."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dagster as dg
import pytest
from filelock import FileLock
from parsed import give_parsed

from pipelines import cli as command_line
from pipelines.catalog import copy_product
from pipelines.errors import MeterhouseError
from pipelines.home import Home
from pipelines.ledger import open_ledger
from pipelines.ledger.books import all_closings
from pipelines.orchestration import interface
from pipelines.orchestration.instance import COMMAND_LINE, STARTED_BY, instance_dir
from pipelines.orchestration.interface import _Processes, _settle_runs

# Dagster warns about its own previews.
pytestmark = pytest.mark.filterwarnings("ignore")

LOCATION = {"repositoryLocationName": "pipelines.definitions", "repositoryName": "__repository__"}
CODE = "from pipelines.cli import main; main()"
BILLING = {"close_month", "send_daily", "send_again"}
OTHERS = {"hourly", "daily", "monthly", "reconcile_daily"}


@pytest.fixture(scope="module")
def new_home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    home = Home(tmp_path_factory.mktemp("ui") / "home")
    copy_product(home, "coachos")
    return home


@pytest.fixture
def home(new_home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    for name in [name for name in os.environ if name.startswith(("METERHOUSE_", "STRIPE_", "DAGSTER_"))]:
        monkeypatch.delenv(name)
    return Home(shutil.copytree(new_home.root, tmp_path / "home"))


@pytest.fixture
def ui(home: Home, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """``ui(...)``: exit code and complaint of a start that comes to nothing."""

    def start(*arguments: object) -> tuple[int, str]:
        monkeypatch.setattr("sys.argv", ["meterhouse", "ui", "--home", str(home.root), *map(str, arguments)])
        monkeypatch.setattr(interface, "_start_all", pytest.fail)
        with pytest.raises(SystemExit) as ended:
            command_line.main()
        return ended.value.code, capsys.readouterr().err

    return start


# Starts that fail


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def broken_catalog(home: Home, _: pytest.MonkeyPatch) -> None:
    (home.catalog / "meters.yml").write_text("meters: 7\n")


def dagster_folder_is_a_file(home: Home, _: pytest.MonkeyPatch) -> None:
    (home.root / ".dagster").touch()


def broken_dagster_yaml(home: Home, _: pytest.MonkeyPatch) -> None:
    (instance_dir(home) / "dagster.yaml").write_text("no_such_setting: {}\n")


def no_web_server(_: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dagster_webserver", None)


def variable(name: str, value: str) -> Callable[[Home, pytest.MonkeyPatch], None]:
    return lambda _, monkeypatch: monkeypatch.setenv(name, value)


def nothing(_: Home, __: pytest.MonkeyPatch) -> None:
    pass


@pytest.mark.parametrize(
    ("fault", "arguments", "code", "says"),
    [
        (nothing, ["--port", "many"], 2, "'many' is not a port"),
        (nothing, ["--port", "0"], 2, "'0' is not a port"),
        (nothing, ["--port", "65536"], 2, "'65536' is not a port"),
        (nothing, ["--port", "-1"], 2, "'-1' is not a port"),
        (nothing, ["--host", "no.such.host.invalid"], 2, "no address of this machine"),
        (nothing, ["--host", "192.0.2.1"], 2, "no address of this machine"),
        (broken_catalog, [], 2, "catalog/meters.yml"),
        (variable("METERHOUSE_SCHEDULES", "close"), [], 2, "METERHOUSE_SCHEDULES"),
        (variable("METERHOUSE_CLOSE_GRACE_DAYS", "a week"), [], 2, "METERHOUSE_CLOSE_GRACE_DAYS"),
        (dagster_folder_is_a_file, [], 1, ".dagster"),
        (broken_dagster_yaml, [], 1, "dagster.yaml"),
        (no_web_server, [], 1, "dagster-webserver"),
    ],
)
def test_a_failed_start_says_why_and_what_to_do(ui, home, monkeypatch, fault, arguments, code, says):
    fault(home, monkeypatch)
    ended, complaint = ui(*(arguments if "--port" in arguments else ["--port", free_port(), *arguments]))
    assert ended == code, complaint
    assert says in complaint
    assert "  -> " in complaint
    assert "Traceback" not in complaint
    assert "not foreseen" not in complaint


def test_two_interfaces_on_one_home_would_run_every_schedule_twice(ui, home):
    with FileLock(instance_dir(home) / "interface.lock"):
        ended, complaint = ui("--port", free_port())
    assert ended == 2
    assert "an interface is open on this home" in complaint


# Processes

STUBBORN = """
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if "child" not in sys.argv:
    subprocess.Popen([sys.executable, __file__, "child"])
print("ready", flush=True)
time.sleep(600)
"""


def test_what_does_not_end_by_itself_is_killed_with_its_children(home, tmp_path, monkeypatch):
    (tmp_path / "stubborn.py").write_text(STUBBORN)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with _Processes(home, tmp_path) as processes:
        processes.start("daemon", "stubborn")
        [process] = processes._started
        processes.wait_until(lambda: list(process.words) == ["ready\n"] * 2)
        family = in_sessions({process.popen.pid})
        assert len(family) == 2
        began = time.monotonic()
    assert time.monotonic() - began < 5
    assert alive(family) == set()


def test_one_that_ends_by_itself_is_told_with_its_last_words(home, tmp_path, monkeypatch):
    (tmp_path / "brittle.py").write_text("raise SystemExit('address in use')")
    (tmp_path / "stubborn.py").write_text(STUBBORN)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with _Processes(home, tmp_path) as processes:
        processes.start("daemon", "stubborn")
        processes.start("web server", "brittle")
        family = {process.popen.pid for process in processes._started}
        with pytest.raises(MeterhouseError, match="code 1: address in use") as told:
            processes.wait_until(lambda: False)
    assert "web server: address in use" in (instance_dir(home) / "interface.log").read_text()
    assert "interface.log" in told.value.remedy
    assert alive(family) == set()


# Runs that were left over


@dg.op
def some_op() -> None: ...


@dg.job(name="close")
def some_close() -> None:
    some_op()


@dg.job(name="run")
def some_run() -> None:
    some_op()


def test_what_was_left_over_has_failed_and_closing_does_not_begin_by_itself(home, monkeypatch):
    status = dg.DagsterRunStatus
    by_command = {STARTED_BY: COMMAND_LINE}
    with dg.DagsterInstance.ephemeral() as instance:

        def left(job: dg.JobDefinition, state: dg.DagsterRunStatus, tags: dict | None = None) -> str:
            return instance.create_run_for_job(job, status=state, tags=tags).run_id

        def becomes(*runs: str) -> list[dg.DagsterRunStatus]:
            said: list[str] = []
            _settle_runs(instance, home, said.append)
            return [instance.get_run_by_id(run).status for run in runs]

        waiting, reading = left(some_close, status.NOT_STARTED), left(some_run, status.NOT_STARTED)
        ended, command = left(some_run, status.STARTED), left(some_run, status.STARTED, by_command)
        monkeypatch.setenv("METERHOUSE_SCHEDULES", "all")
        with FileLock(home.lock_file):
            # The command still runs, and what waits was asked for.
            states = becomes(waiting, reading, ended, command)
        assert states == [status.NOT_STARTED, status.NOT_STARTED, status.FAILURE, status.STARTED]
        monkeypatch.setenv("METERHOUSE_SCHEDULES", "")
        states = becomes(waiting, reading, command)
        assert states == [status.CANCELED, status.NOT_STARTED, status.FAILURE]


# The whole of it


@dataclass
class Open:
    """An interface that is open."""

    process: subprocess.Popen[str]
    port: int

    def ask(self, query: str, **variables: Any) -> dict:
        status, body = self.send("POST", json.dumps({"query": query, "variables": variables}))
        assert status == 200, body
        answer = json.loads(body)
        assert "errors" not in answer, answer
        return answer["data"]

    def send(self, method: str, body: str, path: str = "/graphql", **headers: str) -> tuple[int, str]:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, body, {"Content-Type": "application/json"} | headers)
            response = connection.getresponse()
            return response.status, response.read().decode()
        finally:
            connection.close()

    def schedules(self) -> dict[str, dict]:
        found = self.ask(
            "query($r: RepositorySelector!) { schedulesOrError(repositorySelector: $r) { ... on Schedules"
            " { results { name scheduleState { id status } } } } }",
            r=LOCATION,
        )["schedulesOrError"]["results"]
        return {one["name"]: one["scheduleState"] for one in found}

    def schedules_on(self) -> set[str]:
        return {name for name, state in self.schedules().items() if state["status"] == "RUNNING"}

    def switch_off(self, schedule: str) -> None:
        self.ask(
            "mutation($i: String!) { stopRunningSchedule(id: $i) { __typename } }",
            i=self.schedules()[schedule]["id"],
        )
        assert schedule not in self.schedules_on()

    def switch_on(self, schedule: str) -> None:
        self.ask(
            "mutation($s: ScheduleSelector!) { startSchedule(scheduleSelector: $s) { __typename } }",
            s=LOCATION | {"scheduleName": schedule},
        )
        assert schedule in self.schedules_on()

    def launch(self, job: str, config: dict | None = None, assets: list[list[str]] | None = None) -> dict:
        selector: dict[str, Any] = LOCATION | {"pipelineName": job}
        if assets is not None:
            selector["assetSelection"] = [{"path": path} for path in assets]
        return self.ask(
            "mutation($p: ExecutionParams!) { launchPipelineExecution(executionParams: $p) { __typename"
            " ... on LaunchRunSuccess { run { runId } } ... on RunConfigValidationInvalid { errors { message } } } }",
            p={"selector": selector, "runConfigData": config or {}, "mode": "default"},
        )["launchPipelineExecution"]

    def status_of(self, run_id: str) -> str:
        query = "query($r: ID!) { runOrError(runId: $r) { ... on Run { status } } }"
        return self.ask(query, r=run_id)["runOrError"]["status"]

    def family(self) -> set[int]:
        """All that it started, run workers too."""
        own = self.process.pid
        sessions = {pid for pid, stat in processes().items() if stat.parent == own}
        return in_sessions(sessions)

    def end(self, number: signal.Signals) -> tuple[int, float, str, set[int]]:
        """Exit code, seconds that it took, last words, and what is left of it."""
        family = self.family()
        assert len(family) >= 4, "code server, its worker, web server, daemon"
        began = time.monotonic()
        self.process.send_signal(number)
        _, words = self.process.communicate(timeout=60)
        return self.process.returncode, time.monotonic() - began, words, alive(family)


def processes() -> dict[int, SimpleNamespace]:
    """Those that run: zombies have ended."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            state, parent, _, session = (folder / "stat").read_text().rpartition(")")[2].split()[:4]
            if state not in "ZX":
                found[int(folder.name)] = SimpleNamespace(parent=int(parent), session=int(session))
    return found


def in_sessions(sessions: set[int]) -> set[int]:
    return {pid for pid, stat in processes().items() if stat.session in sessions}


def alive(pids: set[int]) -> set[int]:
    return pids & processes().keys()


@contextmanager
def opened(home: Home, **environment: str) -> Iterator[Open]:
    """Started as a shell starts its background jobs: with Ctrl-C ignored."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-c", CODE, "ui", "--home", str(home.root), "--port", str(port)],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),
    )
    try:
        said = ""
        while f"http://127.0.0.1:{port}" not in said:
            line = process.stdout.readline()
            assert line, said + process.communicate()[1]
            said += line
        yield Open(process, port)
    finally:
        if process.poll() is None:
            process.terminate()
            process.communicate(timeout=60)


def wait_for(is_so: Callable[[], bool], seconds: float = 120) -> None:
    until = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < until
        time.sleep(0.5)


def kept_states(home: Home) -> dict[str, str]:
    """What the history keeps of schedules."""
    with dg.DagsterInstance.from_config(str(instance_dir(home))) as instance:
        return {state.instigator_name: state.status.value for state in instance.all_instigator_state()}


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_an_interface_opened_closed_and_opened_again(home, monkeypatch):
    """Two starts, each of which costs 20 s: with every schedule on, as they were once, and as they are now."""
    give_parsed(home.root)
    # With a key, so that nothing but the switches keeps anything from being sent.
    monkeypatch.setenv("STRIPE_API_KEY", "sk_test_nobody")
    monkeypatch.setenv("METERHOUSE_STRIPE_API_BASE", f"http://127.0.0.1:{free_port()}")
    with opened(home, METERHOUSE_SCHEDULES="all") as ui:
        assert ui.schedules_on() == BILLING | OTHERS
        ui.switch_off("send_again")
        ui.switch_on("send_again")
        wait_for(lambda: kept_states(home).get("close_month") == "DECLARED_IN_CODE")
        code, seconds, words, left = ui.end(signal.SIGTERM)
    assert (code, left) == (143, set()), words
    assert seconds < 5
    assert words.splitlines()[-1].startswith("Interrupted: ")
    assert kept_states(home)["send_again"] == "RUNNING"

    with opened(home) as ui:
        # On by the code of before is off now; what a person switched on stays on.
        assert ui.schedules_on() == {"send_again"} | OTHERS
        assert not answers(outside_address(), ui.port)
        assert ui.send("GET", "", "/graphql?query=%7B__typename%7D")[0] == 403
        assert ui.send("POST", '{"query": "{ __typename }"}', Host="evil.example")[0] == 403
        for job, needs in (("close", "close_books"), ("send", "send_outbox")):
            refused = ui.launch(job)
            assert refused["__typename"] == "RunConfigValidationInvalid"
            assert needs in refused["errors"][0]["message"]
        nodes = ui.ask("{ assetNodes { assetKey { path } isExecutable isPartitioned } }")["assetNodes"]
        executable = [node["assetKey"]["path"] for node in nodes if node["isExecutable"]]
        money = [["ledger", "issued_documents"], ["stripe", "sent"], ["stripe", "reconciled"]]
        assert all(path in [node["assetKey"]["path"] for node in nodes] for path in money)
        assert not [path for path in money if path in executable]
        assert len(executable) > 50
        assert ui.launch("__ASSET_JOB", assets=[*executable, *money])["__typename"] == "InvalidSubsetError"
        everything = ui.launch("__ASSET_JOB", assets=executable)
        assert everything["__typename"] == "LaunchRunSuccess"
        run_id = everything["run"]["runId"]
        wait_for(lambda: ui.status_of(run_id) == "STARTED")
        assert len(ui.family()) >= 5
        # One at a time: it waits for its turn, and must not get it when somebody opens the interface next week.
        waiting = ui.launch("close", {"ops": {"close_books": {"config": {"through": "2026-03"}}}})["run"][
            "runId"
        ]
        wait_for(lambda: ui.status_of(waiting) == "QUEUED")
        code, seconds, words, left = ui.end(signal.SIGINT)
    assert (code, left) == (130, set()), words
    assert seconds < 5
    with dg.DagsterInstance.from_config(str(instance_dir(home))) as instance:
        assert instance.get_run_by_id(run_id).status == dg.DagsterRunStatus.FAILURE
        assert instance.get_run_by_id(waiting).status == dg.DagsterRunStatus.CANCELED
        assert instance.get_runs_count(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED])) == 0
    with open_ledger(home, "") as ledger:
        assert all_closings(ledger) == []


def answers(address: str, port: int) -> bool:
    with socket.socket() as client:
        client.settimeout(5)
        return client.connect_ex((address, port)) == 0


def outside_address() -> str:
    """An address of this machine that others reach; without any one that leads here all the same."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return "127.0.0.2"
        return probe.getsockname()[0]
