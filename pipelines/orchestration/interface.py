"""Dagster's web interface on a home: started, watched, and ended with every process that it started.

What it shows is put together in ``pipelines.definitions``; who may ask it, in ``webserver`` beside it.
"""

import errno
import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from ipaddress import ip_address
from pathlib import Path
from types import FrameType
from typing import IO, TYPE_CHECKING, Any, Final, Self, cast

import yaml
from filelock import FileLock, Timeout

from pipelines.errors import ConfigurationError, MeterhouseError
from pipelines.home import Home
from pipelines.orchestration.instance import CLOSE_JOB, COMMAND_LINE, SEND_JOB, STARTED_BY, instance_dir
from pipelines.settings import Settings, need_schedule_settings, starts_every_schedule

if TYPE_CHECKING:
    import dagster as dg

DEFAULT_HOST: Final = "127.0.0.1"
_MODULE: Final = "pipelines.definitions"
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_PARTING_SECONDS: Final = 1.5
"""How long processes may take to end by themselves; then they are killed."""
_KILLING_SECONDS: Final = 0.5
_ASKING_SECONDS: Final = 0.3
_KEPT_LINES: Final = 400

Say = Callable[[str], None]


def parse_port(text: str) -> int:
    """A port that one can listen on.

    :raises ConfigurationError: not a number from 1 to 65535.
    """
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and 1 <= int(text) <= 65535):
        raise ConfigurationError(
            f"{text!r} is not a port", where="--port", remedy="write a number from 1 to 65535, e.g. 3001"
        )
    return int(text)


def serve_interface(settings: Settings, host: str, port: int, say: Say) -> int:
    """Serve the interface until a signal comes; nothing that it started is left then.

    :param say: told where it is, and what has to be known about it.
    :returns: the exit code of the signal, e.g. 143.
    :raises ConfigurationError: address, documents or environment do not serve; nothing was started.
    :raises MeterhouseError: it could not be started, or ended by itself.
    """
    from pipelines.catalog import load_configuration

    home = settings.home
    need_schedule_settings()
    _need_address(host, port)
    load_configuration(home)
    if importlib.util.find_spec("dagster_webserver") is None:
        raise MeterhouseError(
            "the package is not installed",
            where="dagster-webserver",
            remedy="install Meterhouse again with all that it needs",
        )
    # A folder for this user alone: whoever reaches the code server's socket in it can start runs.
    with _only_one(home) as instance, tempfile.TemporaryDirectory(prefix="meterhouse-") as folder:
        _settle_runs(instance, home, say)
        with _Processes(home, Path(folder)) as processes:
            say("Starting Dagster; this takes some seconds.")
            _start_all(processes, Path(folder), host, port)
            if processes.signal is None:
                _say_where(host, port, say)
                processes.watch()
        _settle_runs(instance, home, say)
    return 128 + (processes.signal or 0)


def _start_all(processes: "_Processes", folder: Path, host: str, port: int) -> None:
    """Start code server, web server and daemon; returns once the interface answers, or a signal came.

    :raises MeterhouseError: one of them ended, or Dagster cannot load what it should show.
    """
    code, workspace = folder / "code.sock", folder / "workspace.yaml"
    # Dagster knows schedules that a person switched on by the name of their location.
    location = {"grpc_server": {"socket": str(code), "location_name": _MODULE}}
    workspace.write_text(yaml.safe_dump({"load_from": [location]}), encoding="utf-8")
    quiet = ("--log-level", "warning")
    # Without a folder named it would import from the one that the command was started in.
    module = ("-m", _MODULE, "--working-directory", str(folder))
    processes.start("code server", "dagster", "code-server", "start", "--socket", str(code), *module, *quiet)
    processes.wait_until(lambda: code.exists() and _answers(code))
    place = ("--host", host, "--port", str(port))
    processes.start("web server", "pipelines.orchestration.webserver", *place, "--workspace", str(workspace))
    processes.start("daemon", "dagster._daemon", "run", "--workspace", str(workspace), *quiet)
    found = _Found()
    processes.wait_until(lambda: found.ask(host, port))
    if found.error:
        raise MeterhouseError(
            f"Dagster cannot load what it should show: {found.error}",
            where=_MODULE,
            remedy=f"correct that and start it again; all that was said is in {processes.keep_text()}",
        )


def _say_where(host: str, port: int, say: Say) -> None:
    at = f"[{host}]" if ":" in host else host
    say(f"The interface is at http://{at}:{port}; Ctrl+C ends it.")
    if not _is_loopback(host):
        say("Warning: it has no login; whoever reaches this address can read everything, close and send.")


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _answers(code_server: Path) -> bool:
    from dagster._core.errors import DagsterUserCodeUnreachableError
    from dagster._grpc.client import DagsterGrpcClient

    try:
        DagsterGrpcClient(socket=str(code_server)).ping("")
    except DagsterUserCodeUnreachableError:
        return False
    return True


class _Found:
    """What the interface says of itself once it answers."""

    error: str | None = None
    _QUERY: Final = """{ workspaceOrError { __typename ... on PythonError { message } ... on Workspace {
        locationEntries { locationOrLoadError { __typename ... on PythonError { message } } } } } }"""

    def ask(self, host: str, port: int) -> bool:
        """Whether it answers; ``error`` then says what Dagster could not load, if anything."""
        own = {"0.0.0.0": DEFAULT_HOST, "::": "::1", "": DEFAULT_HOST}.get(host, host)  # noqa: S104
        connection = HTTPConnection(own, port, timeout=30)
        try:
            body = json.dumps({"query": self._QUERY})
            connection.request("POST", "/graphql", body, {"Content-Type": "application/json"})
            workspace = json.load(connection.getresponse())["data"]["workspaceOrError"]
        except (OSError, HTTPException, ValueError, KeyError, TypeError):
            return False
        finally:
            connection.close()
        loaded = [entry["locationOrLoadError"] for entry in workspace.get("locationEntries", [])]
        if None in loaded:
            return False
        faults = [one["message"] for one in (workspace, *loaded) if one["__typename"] == "PythonError"]
        self.error = _last_line(faults[0].splitlines()) if faults else None
        return True


def _need_address(host: str, port: int) -> None:
    try:
        [found, *_] = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise _no_address(host, error) from None
    family, kind, protocol, _, address = found
    with socket.socket(family, kind, protocol) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
        except OSError as error:
            if error.errno == errno.EADDRNOTAVAIL:
                raise _no_address(host, error) from None
            reason = "is not free" if error.errno == errno.EADDRINUSE else "cannot be listened on"
            raise ConfigurationError(
                f"port {port} of {host} {reason}: {error.strerror}",
                where="--port",
                remedy="choose another, e.g. --port 3001",
            ) from None


def _no_address(host: str, error: OSError) -> ConfigurationError:
    return ConfigurationError(
        f"{host!r} is no address of this machine: {error.strerror}",
        where="--host",
        remedy="leave it out to listen on this machine alone",
    )


@contextmanager
def _only_one(home: Home) -> Iterator["dg.DagsterInstance"]:
    """The home's history, for one interface at a time: two would run every schedule twice."""
    try:
        folder = instance_dir(home)
        lock = FileLock(folder / "interface.lock")
        lock.acquire(timeout=0)
    except Timeout:
        raise ConfigurationError(
            "an interface is open on this home",
            where=str(home.root),
            remedy="use that one, or end it first",
        ) from None
    except OSError as error:
        raise MeterhouseError(
            f"the folder of Dagster's history cannot be used: {error.strerror}",
            where=str(home.root / ".dagster"),
            remedy="let this user write there; what the folder holds may be deleted",
        ) from None
    try:
        import dagster as dg

        try:
            instance = dg.DagsterInstance.from_config(str(folder))
            instance.get_runs_count()
        except Exception as error:
            raise MeterhouseError(
                f"Dagster's history cannot be read: {_last_line(str(error).splitlines()[:1])}",
                where=str(folder),
                remedy="correct dagster.yaml there, or move the folder away: it holds nothing that is billed",
            ) from error
        with instance:
            yield instance
    finally:
        lock.release()


def _settle_runs(instance: "dg.DagsterInstance", home: Home, say: Say) -> None:
    """Runs whose process is gone have failed, so that they are told and block no other.

    Closing and sending that waited for their turn do not start with the next interface by themselves.
    """
    import dagster as dg

    status = dg.DagsterRunStatus
    under_way = dg.RunsFilter(statuses=[status.STARTING, status.STARTED, status.CANCELING])
    is_held = _is_held(home)
    with suppress(Exception):
        for run in instance.get_runs(under_way):
            # The command line's own run lives as long as it holds the home.
            if run.tags.get(STARTED_BY) != COMMAND_LINE or not is_held:
                instance.report_run_failed(run, "Its process was ended while it was under way.")
        if starts_every_schedule():
            return
        waiting = dg.RunsFilter(statuses=[status.QUEUED, status.NOT_STARTED])
        left = [run for run in instance.get_runs(waiting) if run.job_name in {CLOSE_JOB, SEND_JOB}]
        for run in left:
            instance.report_run_canceled(run, "The interface was ended before it began.")
        if left:
            say(f"{len(left):,} runs of {CLOSE_JOB} or {SEND_JOB} had not begun and were cancelled.")


def _is_held(home: Home) -> bool:
    lock = FileLock(home.lock_file, thread_local=False)
    try:
        lock.acquire(timeout=0)
    except (Timeout, OSError):
        return True
    lock.release()
    return False


@dataclass
class _Process:
    """One process of the interface, in a session of its own with whatever it starts, and its last words."""

    name: str
    popen: subprocess.Popen[str]
    words: deque[str] = field(default_factory=lambda: deque(maxlen=_KEPT_LINES))
    is_public: bool = False
    """Whether its words go to the terminal."""

    def listen(self) -> None:
        """Keep what it says, and pass it on once the interface is open."""
        for line in cast(IO[str], self.popen.stdout):
            self.words.append(line)
            if self.is_public:
                sys.stderr.write(line)

    @property
    def is_gone(self) -> bool:
        """Whether it and all that it started have ended."""
        self.popen.poll()
        with suppress(ChildProcessError):
            # Orphans are ours where this is the first process of a container.
            while os.waitpid(-self.popen.pid, os.WNOHANG)[0]:
                pass
        try:
            os.killpg(self.popen.pid, 0)
        except (ProcessLookupError, PermissionError):
            return True
        return False

    def signal(self, number: signal.Signals) -> None:
        """To it and all that it started."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.popen.pid, number)


class _Processes:
    """The processes of one interface; leaving ends them all, whatever they are doing.

    Signals are answered from entering on, also those that a shell has its background jobs ignore.

    :param folder: an empty one; nothing is imported from where the command was started.
    """

    def __init__(self, home: Home, folder: Path) -> None:
        self._words_file = instance_dir(home) / "interface.log"
        self._environment = {
            **os.environ,
            "DAGSTER_HOME": str(instance_dir(home)),
            "DAGSTER_DISABLE_TELEMETRY": "yes",
            "METERHOUSE_HOME": str(home.root),
            "PYTHONSAFEPATH": "1",
            # Dagster leaves out the first place to import from, believing it that of a script.
            "PYTHONPATH": os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH")])]),
        }
        self._started: list[_Process] = []
        self._signals: list[int] = []
        self._woken = threading.Event()
        self._handlers: dict[int, Any] = {}

    @property
    def signal(self) -> int | None:
        """The first signal that came."""
        return self._signals[0] if self._signals else None

    def __enter__(self) -> Self:
        for number in _SIGNALS:
            found = signal.getsignal(number)
            # With nohup it outlives its terminal.
            if number != signal.SIGHUP or found != signal.SIG_IGN:
                self._handlers[number] = found
                signal.signal(number, self._receive)
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._end()
        finally:
            for number, handler in self._handlers.items():
                signal.signal(number, handler)

    def start(self, name: str, module: str, *arguments: str) -> None:
        """Start one, unless a signal came."""
        if self._signals:
            return
        popen = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
        )
        self._started.append(_Process(name, popen))
        threading.Thread(target=self._started[-1].listen, daemon=True).start()

    def wait_until(self, is_so: Callable[[], bool]) -> None:
        """Return when something is so, or a signal came.

        :raises MeterhouseError: one of them ended.
        """
        while not self._signals:
            for process in self._started:
                if (code := process.popen.poll()) is not None:
                    raise MeterhouseError(
                        f"it ended with code {code}: {_last_line(process.words)}",
                        where=f"Dagster's {process.name}",
                        remedy=f"all that was said is in {self.keep_text()}; start the interface again",
                    )
            if is_so():
                return
            self._woken.wait(_ASKING_SECONDS)

    def watch(self) -> None:
        """Return when a signal comes; what they say goes to the terminal meanwhile.

        :raises MeterhouseError: one of them ended.
        """
        for process in self._started:
            process.is_public = True
        self.wait_until(lambda: False)

    def keep_text(self) -> Path:
        """The file that has their last words, for whoever wants to know more than a line."""
        with suppress(OSError):
            words = [f"{process.name}: {line}" for process in self._started for line in process.words]
            self._words_file.write_text("".join(words), encoding="utf-8")
        return self._words_file

    def _receive(self, number: int, _: FrameType | None) -> None:
        self._signals.append(number)
        self._woken.set()

    def _end(self) -> None:
        for process in self._started:
            process.is_public = False
            process.signal(signal.SIGTERM)
        asked = len(self._signals)
        # Asked again, they are not waited for.
        self._wait_for_all(_PARTING_SECONDS, lambda: len(self._signals) > asked)
        for process in self._started:
            process.signal(signal.SIGKILL)
        self._wait_for_all(_KILLING_SECONDS, lambda: False)

    def _wait_for_all(self, seconds: float, is_enough: Callable[[], bool]) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until and not is_enough():
            if all(process.is_gone for process in self._started):
                return
            time.sleep(0.05)


def _last_line(lines: Iterable[str]) -> str:
    """The last line that says something."""
    said = [line.strip() for line in lines if line.strip()]
    return said[-1] if said else "it said nothing"
