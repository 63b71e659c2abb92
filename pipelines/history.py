"""Dagster's event log without a new SQLite connection for every event; that was a third of a run's time.

For processes that do one run. The web interface reads thousands of runs, a file each, and must not keep them
open.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa
from dagster._core.storage.event_log import SqliteEventLogStorage
from sqlalchemy.pool import StaticPool


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

    def dispose(self) -> None:
        """Close the files."""
        for engine in self._engines.values():
            engine.dispose()
        self._engines.clear()
        super().dispose()
