"""Processes that begin warm: forked from one that has imported what senders and commands need.

They are processes like any other, killed by a real ``kill -9``; only the second that importing takes is saved.
"""

import multiprocessing
import os
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
_PRELOADED = ["warm_processes", "dying_sender", "pipelines.cli", "stripe"]
_OURS = ("METERHOUSE_", "STRIPE_")


@dataclass(frozen=True)
class Ended:
    """What a process ended with and said; a return code of -9: it was killed."""

    returncode: int
    stdout: str
    stderr: str


class Warm:
    """A process that runs ``function(*arguments)``."""

    def __init__(
        self, function: Callable[..., object], *arguments: Any, environment: Mapping[str, str]
    ) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self._process: BaseProcess = _context().Process(
            target=_run, args=(function, arguments, dict(environment), self._folder.name)
        )
        self._process.start()

    @property
    def is_running(self) -> bool:
        return self._process.is_alive()

    @property
    def said(self) -> str:
        """What it wrote to stderr so far."""
        file = Path(self._folder.name, "2")
        return file.read_text() if file.exists() else ""

    def kill(self) -> None:
        self._process.kill()

    def interrupt(self, number: int) -> None:
        """Send a signal that the process may answer."""
        os.kill(self._process.pid, number)

    def end(self, timeout: float = 60) -> Ended:
        """Wait for its end."""
        self._process.join(timeout)
        assert not self._process.is_alive(), f"still runs after {timeout} s"
        # One that was killed at once may have said nothing.
        files = [Path(self._folder.name, name) for name in ("1", "2")]
        said = [file.read_text() if file.exists() else "" for file in files]
        ended = Ended(self._process.exitcode, *said)
        self._process.close()
        self._folder.cleanup()
        return ended


def _context() -> multiprocessing.context.ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_PRELOADED)
    # The first process starts the server, which looks for modules where its environment says.
    places = [str(ROOT), str(ROOT / "tests"), str(ROOT / "tests" / "payments")]
    os.environ["PYTHONPATH"], before = os.pathsep.join(places), os.environ.get("PYTHONPATH")
    try:
        multiprocessing.forkserver.ensure_running()
    finally:
        if before is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = before
    return context


def _run(
    function: Callable[..., object], arguments: tuple[Any, ...], environment: dict[str, str], folder: str
) -> None:
    """In the new process: its own words and environment, then the function."""
    for number in (1, 2):
        os.dup2(os.open(Path(folder, str(number)), os.O_CREAT | os.O_WRONLY | os.O_APPEND), number)
    # The server that this was forked from may have given them away.
    sys.stdout, sys.stderr = os.fdopen(1, "w", closefd=False), os.fdopen(2, "w", closefd=False)
    for name in [name for name in os.environ if name.startswith(_OURS)]:
        del os.environ[name]
    os.environ.update(environment)
    function(*arguments)


def command(*arguments: str) -> None:
    """``meterhouse`` with these arguments, as a person runs it."""
    from pipelines.cli import main

    sys.argv = ["meterhouse", *arguments]
    main()
