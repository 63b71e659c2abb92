"""Changes of several threads in one transaction. What they change does not belong here."""

import threading
from collections.abc import Callable, Sequence
from typing import Any, TypeVar, cast

import sqlalchemy as sa

from pipelines.ledger import Ledger

T = TypeVar("T")


class Commits:
    """Commits together what threads wait to write: every commit waits for the disk or a server.

    A thread goes on only once its own change is durable. A change may run a second time, alone, when one of
    its group fails; the first time it was rolled back.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._waiting: list[_Change] = []
        self._turn = threading.Lock()

    def run(self, change: Callable[[sa.Connection], T]) -> T:
        """Let ``change`` write, together with what else waits; what it returned, once that is committed.

        :raises LedgerError: the database refused it, or is out of reach. What ``change`` raises comes too.
        """
        mine = _Change(change)
        self._waiting.append(mine)
        with self._turn:
            # Whoever had the turn before may have taken this change along.
            if not mine.is_over:
                # Others append meanwhile, behind these: they wait for the next turn.
                group = self._waiting[:]
                del self._waiting[: len(group)]
                self._commit(group)
        if mine.error is not None:
            raise mine.error
        return cast(T, mine.result)

    def _commit(self, group: "Sequence[_Change]") -> None:
        error: BaseException | None = None
        try:
            with self._ledger.writing() as connection:
                for one in group:
                    one.result = one.change(connection)
        except BaseException as raised:
            error = raised
        if error is not None and len(group) > 1:
            for one in group:
                self._commit([one])
            return
        for one in group:
            one.error, one.is_over = error, True


class _Change:
    def __init__(self, change: Callable[[sa.Connection], object]) -> None:
        self.change = change
        self.result: Any = None
        self.error: BaseException | None = None
        self.is_over = False
