"""Dagster's history of one run, for the process that does it; what it cannot keep does not stop the work.

A new SQLite connection for every event was a third of a run's time. The web interface reads thousands of
runs, a file each, and must not keep them open: it does not use this.
"""

import logging
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa
from dagster import DagsterEvent, EventLogEntry
from dagster._core.storage.event_log import SqliteEventLogStorage
from dagster._core.storage.runs import SqliteRunStorage
from sqlalchemy.pool import StaticPool

_log = logging.getLogger("meterhouse.history")

NOT_KEPT = (sa.exc.SQLAlchemyError, sqlite3.Error, OSError)
"""What a full disk or a damaged file makes of writing the history."""
lost: list[str] = []
"""Why events of this process's run are not in its history, in words."""


class KeptOpenEventLogStorage(SqliteEventLogStorage):
    """The same files as Dagster's own storage, each opened once."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
        self._engines: dict[str, sa.Engine] = {}
        self._present: set[str] = set()
        super().__init__(*args, **kwargs)

    @classmethod
    def from_config_value(cls, inst_data: Any, config_value: Any) -> "KeptOpenEventLogStorage":  # noqa: ANN401
        """How Dagster makes it from settings."""
        return cls(inst_data=inst_data, **config_value)

    def has_table(self, table_name: str) -> bool:
        """Asked with every check; the first yes lasts, since no table is ever dropped."""
        return self._is_present(table_name, super().has_table)

    def has_secondary_index(self, name: str) -> bool:
        """Asked with every asset; the first yes lasts."""
        return self._is_present(name, super().has_secondary_index)

    def _is_present(self, name: str, look: Callable[[str], bool]) -> bool:
        if name not in self._present and look(name):
            self._present.add(name)
        return name in self._present

    @contextmanager
    def _connect(self, shard: str) -> Iterator[sa.Connection]:
        with self._db_lock:
            if shard not in self._engines:
                self._engines[shard] = self._open(shard)
            with self._engines[shard].connect() as connection, connection.begin():
                yield connection

    def _open(self, shard: str) -> sa.Engine:
        engine = sa.create_engine(
            self.conn_string_for_shard(shard),
            poolclass=StaticPool,
            connect_args={"timeout": 300, "check_same_thread": False},
        )
        if shard not in self._initialized_dbs:
            self._initdb(engine)
            self._initialized_dbs.add(shard)
        with engine.connect() as connection:
            # Enough for a write-ahead log: a power cut may lose a history's last events, never damage it.
            connection.execute(sa.text("pragma synchronous = normal"))
        return engine

    def store_event(self, event: EventLogEntry) -> None:
        """Keep an event, if that can be done: the work that it tells of is done whether or not."""
        with _forgiving():
            super().store_event(event)

    def dispose(self) -> None:
        """Close the files."""
        for engine in self._engines.values():
            engine.dispose()
        self._engines.clear()
        super().dispose()


class ForgivingRunStorage(SqliteRunStorage):
    """Dagster's own storage of runs, in which a run that has begun goes on without."""

    @classmethod
    def from_config_value(cls, inst_data: Any, config_value: Any) -> "ForgivingRunStorage":  # noqa: ANN401
        """How Dagster makes it from settings."""
        return cls.from_local(inst_data=inst_data, **config_value)

    def handle_run_event(self, run_id: str, event: DagsterEvent, *rest: Any, **named: Any) -> None:  # noqa: ANN401
        """Keep what became of a run, if that can be done."""
        with _forgiving():
            super().handle_run_event(run_id, event, *rest, **named)


@contextmanager
def _forgiving() -> Iterator[None]:
    try:
        yield
    except NOT_KEPT as error:
        lost.append(" ".join(str(getattr(error, "orig", None) or error).split()))
        _log.warning("the run's history could not be written: %s", lost[-1])
