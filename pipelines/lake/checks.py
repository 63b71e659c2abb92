"""Checks of the lake that Dagster shows beside dbt's tests.

Checks of tables are dbt tests and do not belong here.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from models.events import SourcesDocument
from pipelines.home import Home
from pipelines.lake.commits import read_lake

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
    return sorted(
        f"{batch['source_file']}: read {batch['rows_read']}, but accepted {batch['accepted_count']}"
        f" + duplicate {batch['duplicate_count']} + rejected {batch['rejected_count']}"
        for batch in read_lake(home).batches.values()
        if batch["rows_read"] != sum(batch[f"{part}_count"] for part in ("accepted", "duplicate", "rejected"))
    )


def stale_sources(home: Home, sources: SourcesDocument | None, as_of: datetime) -> list[StaleSource]:
    """Sources that sent files before, the last of them longer than ``STALE_AFTER`` before ``as_of``."""
    latest: dict[str, datetime] = {}
    for batch in read_lake(home).batches.values():
        source = sources.source_for(batch["source_file"]) if sources else None
        name = source.name if source else "inbox"
        latest[name] = max(batch["ingested_at"], latest.get(name, batch["ingested_at"]))
    return [StaleSource(name, at) for name, at in sorted(latest.items()) if as_of - at > STALE_AFTER]
