"""How a long step says how far it is. Only showing belongs here; a step decides itself what it reports."""

import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from types import TracebackType
from typing import IO, Protocol, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from pipelines import interruption


class Step(Protocol):
    """A step that is under way."""

    def update(self, done: int, total: int | None = None, detail: str = "") -> None:
        """``done`` of ``total`` parts are done; None: nobody knows how many there are."""


class Steps(Protocol):
    """Where a run shows its steps."""

    def step(self, name: str) -> AbstractContextManager[Step]:
        """Show a step until the context ends."""

    def say(self, text: str) -> None:
        """A line that stays."""


class _Silent:
    def update(self, done: int, total: int | None = None, detail: str = "") -> None:
        pass


class Quiet:
    """Shows nothing; for runs that nobody watches."""

    @contextmanager
    def step(self, name: str) -> Iterator[Step]:
        """Show nothing."""
        yield _Silent()

    def say(self, text: str) -> None:
        """Show nothing."""


class _Bar:
    def __init__(self, bars: Progress, task: TaskID) -> None:
        self._bars, self._task = bars, task

    def update(self, done: int, total: int | None = None, detail: str = "") -> None:
        self._bars.update(self._task, completed=done, total=total, detail=detail)


class Terminal:
    """Steps on stderr: moving bars in a terminal, one line per finished step elsewhere."""

    def __init__(self, stream: IO[str] | None = None) -> None:
        self.console = Console(file=stream or sys.stderr, highlight=False)
        self._bars = Progress(
            SpinnerColumn(finished_text="[green]✓"),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[detail]}", style="dim"),
            TimeElapsedColumn(),
            console=self.console,
            disable=not self.console.is_terminal,
        )

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    @contextmanager
    def step(self, name: str) -> Iterator[Step]:
        """A bar, then a tick; without a terminal a line with the seconds it took."""
        interruption.check()
        started = time.monotonic()
        task = self._bars.add_task(name, total=None, detail="")
        yield _Bar(self._bars, task)
        interruption.check()
        self._bars.update(task, total=1, completed=1)
        if not self.console.is_terminal:
            self.console.print(f"{name}: {time.monotonic() - started:.1f} s", soft_wrap=True)

    def say(self, text: str) -> None:
        """A line above the bars."""
        self.console.print(text, soft_wrap=True, markup=False)
