"""Checks of the lake that Dagster shows beside dbt's tests.

Checks of tables are dbt tests and do not belong here.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import duckdb

from models.events import SourcesDocument
from pipelines.home import Home

STALE_AFTER = timedelta(days=2)
"""A source that sent nothing for so long is reported; the longest weekend of a daily export stays quiet."""


@dataclass(frozen=True)
class StaleSource:
    """A source whose last file is too old."""

    name: str
    last_file_at: datetime

    def __str__(self) -> str:
        return f"{self.name}: no new file since {self.last_file_at.isoformat(timespec='minutes')}"


def unbalanced_batches(home: Home) -> list[str]:
    """Batches whose rows read are not accepted + duplicates + rejected, in words; none when all are whole."""
    rows = _batches(
        home,
        "select source_file, rows_read, accepted_count, duplicate_count, rejected_count from batches"
        " where rows_read <> accepted_count + duplicate_count + rejected_count order by all",
    )
    return [
        f"{file}: read {read}, but accepted {accepted} + duplicate {duplicate} + rejected {rejected}"
        for file, read, accepted, duplicate, rejected in rows
    ]


def stale_sources(home: Home, sources: SourcesDocument | None, as_of: datetime) -> list[StaleSource]:
    """Sources that sent files before, the last of them longer than ``STALE_AFTER`` before ``as_of``."""
    latest: dict[str, datetime] = {}
    for file, read_at in _batches(home, "select source_file, max(ingested_at) from batches group by all"):
        source = sources.source_for(file) if sources else None
        name = source.name if source else "inbox"
        latest[name] = max(read_at, latest.get(name, read_at))
    return [StaleSource(name, at) for name, at in sorted(latest.items()) if as_of - at > STALE_AFTER]


def _batches(home: Home, query: str) -> list[tuple[Any, ...]]:
    files = [str(file) for file in sorted((home.lake / "batches").glob("*.parquet"))]
    if not files:
        return []
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        connection.read_parquet(files).create_view("batches")
        return connection.execute(query).fetchall()
