"""Ctrl-C and SIGTERM: the command ends, one line says whether it is as before or done, exit 130 or 143.

A signal raises ``Interrupted`` in the main thread, and the stack unwinds as after any error: who began
something cleans it up. Libraries may swallow it or make another error of it; what counts is that a signal
came, and what the command said of itself (D-run-interrupted). Nothing but the standard library may be
imported here: signals are answered before anything else.
"""

import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any, Final, NoReturn

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
_ALL: Final = "all of it"
AS_BEFORE: Final = "everything is as before; the command may be run again"
_SAME_SECONDS: Final = 1.0
"""A terminal and whoever started the command may both pass one Ctrl-C on."""


class Interrupted(KeyboardInterrupt):
    """A signal asks the command to end. No ``except Exception`` stops it, and libraries know what it is."""


@dataclass
class _State:
    number: int | None = None
    at: float = 0.0
    held: int = 0
    before: str = AS_BEFORE
    done: str | None = None
    is_told: bool = False


_state = _State()


@contextmanager
def told(*, is_last: bool = False) -> Iterator[None]:
    """A command: after a signal its last words are one line, and its exit code is the signal's.

    :param is_last: nothing follows but the end of the process, which no signal disturbs any more.
    :raises SystemExit: a signal came, and the line is written.
    """
    if signal.getsignal(signal.SIGTERM) is not _receive:
        vars(_state).update(vars(_State()))
    found: dict[int, Any] = {}
    is_done = False
    try:
        found = _listen()
        yield
        is_done = True
    except SystemExit as ended:
        is_done = not ended.code
        if _state.number is None or _state.is_told:
            # A signal from here on comes too late to stop anything.
            _state.done = (_state.done or _ALL) if is_done else _state.done
            raise
    except BaseException:
        if _state.number is None:
            raise
    finally:
        for number, handler in found.items():
            signal.signal(number, signal.SIG_IGN if is_last and handler is not _receive else handler)
    if _state.number is not None and not _state.is_told:
        if is_done and _state.done is None:
            _state.done = _ALL
        _tell()
        sys.exit(128 + _state.number)


def expect(before: str) -> None:
    """Say how things are as long as nothing else is said: what stays as it was, and how to go on."""
    _state.before = before


def has_done(what: str) -> None:
    """Say what is done for good; within ``held``, so that nothing comes between doing and saying."""
    _state.done = what


@contextmanager
def held() -> Iterator[None]:
    """Signals wait until the block is over: for what takes moments and must not be left open in between."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _state.held += 1
    try:
        yield
    finally:
        _state.held -= 1
    check()


def check() -> None:
    """Go on only if no signal came: after libraries that may have swallowed it.

    :raises Interrupted: one did; in the main thread only.
    """
    is_main = threading.current_thread() is threading.main_thread()
    if _state.number is not None and not _state.held and not _state.is_told and is_main:
        raise Interrupted


def _listen() -> dict[int, Any]:
    """Answer the signals from now on; who answered before. One that is ignored stays so (nohup, ``&``)."""
    if threading.current_thread() is not threading.main_thread():
        return {}
    found: dict[int, Any] = {number: signal.getsignal(number) for number in SIGNALS}
    heard = {number: handler for number, handler in found.items() if handler is not signal.SIG_IGN}
    for number in heard:
        signal.signal(number, _receive)
    return heard


def _receive(number: int, _frame: FrameType | None) -> None:
    if _state.is_told:
        return
    if _state.number is None:
        _state.number, _state.at = number, time.monotonic()
        # What unwinding leaves to destructors, threads and libraries has nothing to say to a person.
        logging.lastResort = logging.NullHandler()
        sys.unraisablehook = _silent
        threading.excepthook = _silent
        if not _state.held:
            raise Interrupted
    elif not _state.held and time.monotonic() - _state.at > _SAME_SECONDS:
        _leave_at_once(128 + _state.number)


def _leave_at_once(code: int) -> NoReturn:
    """Asked twice: end as a kill does. What is half made is aside, and the next command removes it."""
    _tell()
    os._exit(code)


def _tell() -> None:
    _state.is_told = True
    what = f"but done: {_state.done}" if _state.done is not None else _state.before
    mark = ", " if _state.done is not None else ": "
    # A progress bar may have hidden the cursor.
    cursor = "\x1b[?25h" if sys.stderr.isatty() else ""
    sys.stderr.write(f"{cursor}Interrupted{mark}{what}.\n")
    sys.stderr.flush()


_silent: Callable[[Any], None] = lambda _: None  # noqa: E731
