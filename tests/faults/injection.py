"""Lets the n-th file operation of something fail, or a signal arrive at it, in processes that are forked when ready.

The operations are those of the whole process below one folder, also inside Arrow, Polars and DuckDB: see faults.c.
"""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

KINDS = {
    "ENOSPC": errno.ENOSPC,
    "EIO": errno.EIO,
    "EACCES": errno.EACCES,
    "SIGINT": -signal.SIGINT,
    "SIGTERM": -signal.SIGTERM,
}
ALL = "METERHOUSE_TEST_FAULTS"
"""Environment: `all` tries every operation; else a test tries some of them, others in each run of its steps."""

_SERVER = r"""
import ctypes, importlib, json, os, signal, sys, traceback

library = ctypes.CDLL(sys.argv[1])
work = importlib.import_module(sys.argv[2])

def told(*_):
    raise KeyboardInterrupt("SIGTERM")

print("ready", flush=True)
for line in sys.stdin:
    order = json.loads(line)
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, told)
        answer = {"error": None}
        try:
            prepared = work.prepare(order)
            library.fault_arm(order["folder"].encode(), ctypes.c_long(order["at"]), order["kind"])
            try:
                work.do(order, prepared)
            finally:
                answer["count"] = library.fault_count()
                library.fault_arm(b"", ctypes.c_long(0), 0)
        except BaseException as error:
            answer["error"] = f"{type(error).__name__}: {error}"
            if order.get("trace"):
                answer["trace"] = traceback.format_exc()
        with os.fdopen(writer, "w") as out:
            json.dump(answer, out)
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as told_by:
        said = told_by.read()
    _, status = os.waitpid(child, 0)
    print(said or json.dumps({"error": f"died: {status}", "count": -1}), flush=True)
"""


@dataclass(frozen=True)
class Outcome:
    """What became of one try: how many operations it did, and the error that ended it, if one did."""

    count: int
    error: str | None


class Faulty:
    """A process that does something again and again, each time with another fault."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def do(self, folder: Path, at: int = 0, kind: str = "EIO", **order: object) -> Outcome:
        """Do it with a fault at the operation of that number below a folder; 0: none."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        told = {"folder": str(folder), "at": at, "kind": KINDS[kind], **order}
        self._process.stdin.write(json.dumps(told) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, "the process that tries faults has ended"
        answer = json.loads(line)
        return Outcome(answer.get("count", 0), answer["error"])


def can_build() -> bool:
    """Whether this machine has a compiler for what is preloaded."""
    return sys.platform == "linux" and shutil.which("cc") is not None


def build_library(folder: Path) -> Path:
    """Compile faults.c."""
    library = folder / "faults.so"
    subprocess.run(
        ["cc", "-shared", "-fPIC", "-O1", "-w", "-o", library, Path(__file__).with_name("faults.c"), "-ldl"],
        check=True,
    )
    return library


@contextmanager
def faulty(library: Path, module: str) -> Iterator[Faulty]:
    """A process that has imported a module of ``tests/faults`` with ``prepare(order)`` and ``do(order, prepared)``."""
    root = Path(__file__).parents[2]
    with subprocess.Popen(
        [sys.executable, "-c", _SERVER, str(library), module],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=root,
        env={
            **os.environ,
            "LD_PRELOAD": str(library),
            "PYTHONPATH": ":".join(
                str(root / place) for place in (".", "tests", "tests/faults", "tests/books")
            ),
            # A process that was forked may not use threads that were started before.
            "ARROW_IO_THREADS": "1",
        },
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        try:
            yield Faulty(process)
        finally:
            process.terminate()


@pytest.fixture(scope="module")
def tried(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator["Faulty"]:
    """A process that does what the test's ``DOES`` names, under faults."""
    if not can_build():
        pytest.skip("no C compiler here")
    library = build_library(tmp_path_factory.mktemp("faults"))
    with faulty(library, request.module.DOES) as process:
        yield process


def numbers(count: int, step: int, seed: int) -> Iterator[int]:
    """The operations to try: every one, or of each `step` one, which differs by the seed."""
    if os.environ.get(ALL) == "all":
        step, seed = 1, 0
    yield from range(1 + seed % step, count + 1, step)
