"""One writing command per home at a time. What the commands do does not belong here."""

import json
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

from pipelines.files import make_shared_folder, tighten
from pipelines.home import Home

_SAY_AGAIN_SECONDS = 30.0


@contextmanager
def hold_home(home: Home, command: str, on_wait: Callable[[str], None] | None = None) -> Iterator[None]:
    """Hold the home's lock. A second holder waits as long as it takes, be it a thread of this process; the
    thread that holds it may enter again.

    The system releases the lock when its process ends, however it ends.

    :param command: what the holder does, for those who wait.
    :param on_wait: called with who holds the lock when waiting begins, and every half minute.
    """
    make_shared_folder(home.root)
    # By thread: each opens the file for itself, and the system tells them apart as it does processes.
    lock = FileLock(home.lock_file, is_singleton=True, thread_local=True)
    is_outermost = not lock.is_locked
    timeout = 0.0
    while True:
        try:
            lock.acquire(timeout=timeout, poll_interval=0.2)
            break
        except Timeout:
            if on_wait:
                on_wait(describe_holder(home))
            timeout = _SAY_AGAIN_SECONDS
    try:
        if is_outermost:
            _write_holder(home, command)
            tighten(home.private_folders)
        yield
    finally:
        if is_outermost:
            with suppress(FileNotFoundError):
                _holder_file(home).unlink()
        lock.release()


def describe_holder(home: Home) -> str:
    """Who holds the lock, in words: command, process and since when."""
    try:
        holder = json.loads(_holder_file(home).read_text(encoding="utf-8"))
        return f"{holder['command']} (process {holder['pid']} on {holder['host']}, since {holder['since']})"
    except (OSError, ValueError, KeyError):
        return "another command, which has not said its name yet"


def _holder_file(home: Home) -> Path:
    return home.lock_file.with_name(home.lock_file.name + "-holder.json")


def _write_holder(home: Home, command: str) -> None:
    since = datetime.now(UTC).isoformat(timespec="seconds")
    holder = {"command": command, "pid": os.getpid(), "host": socket.gethostname(), "since": since}
    temporary = _holder_file(home).with_suffix(".tmp")
    temporary.write_text(json.dumps(holder), encoding="utf-8")
    temporary.replace(_holder_file(home))
