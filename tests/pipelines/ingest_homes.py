"""Homes to ingest in, and the lake as plain rows; shared by the tests of ingest."""

import json
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from models.events import SourcesDocument
from pipelines.home import Home
from pipelines.ingest import IngestReport, ingest_inbox
from pipelines.lake.commits import read_lake

AS_OF = datetime(2025, 6, 1, tzinfo=UTC)


def event(event_id: object = "e1", **fields: object) -> dict[str, object]:
    """A good event; ``...`` takes a field away."""
    base = {
        "event_id": event_id,
        "customer_id": "c1",
        "event_type": "call",
        "occurred_at": "2025-05-01T10:00:00Z",
    }
    return {key: value for key, value in {**base, **fields}.items() if value is not ...}


def lines(*records: object) -> str:
    """Records as JSON lines; a str is a line as it stands."""
    return "".join((record if isinstance(record, str) else json.dumps(record)) + "\n" for record in records)


def put(home: Home, name: str, content: str | bytes) -> Path:
    """A file in the inbox."""
    path = home.inbox / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def ingest(
    home: Home, sources: list[dict[str, object]] | None = None, as_of: datetime = AS_OF
) -> IngestReport:
    """Ingest, with mappings as they would stand in sources.yml."""
    return ingest_inbox(home, SourcesDocument.model_validate({"sources": sources or []}), as_of)


def events(home: Home) -> list[dict[str, object]]:
    """All accepted records, by file and row."""
    return _rows(home, "events")


def rejects(home: Home) -> list[dict[str, object]]:
    """All rejected records, by file and row."""
    return _rows(home, "rejects")


def reasons(home: Home) -> list[str]:
    """The reasons of all rejects, in the same order."""
    return [str(row["reason"]) for row in rejects(home)]


def manifests(home: Home) -> list[dict[str, object]]:
    """All manifest rows, by file."""
    return sorted(map(dict, read_lake(home).batches.values()), key=lambda row: str(row["source_file"]))


def listed(home: Home, kind: str = "duplicates") -> list[dict[str, object]]:
    """What is remembered of all duplicates, or conflicts, by file and row."""
    return _rows(home, kind)


def lake_rows(home: Home) -> dict[str, list[dict[str, object]]]:
    """Everything that the commits say is there: manifest rows in order, and records by kind."""
    kinds = ("events", "rejects", "duplicates", "conflicts")
    return {"batches": list(map(dict, read_lake(home).batches.values()))} | {
        kind: _rows(home, kind, live=False) for kind in kinds
    }


def _rows(home: Home, kind: str, *, live: bool = True) -> list[dict[str, object]]:
    """Records of a kind that count, by file and row; with ``live`` false also of batches that were replaced."""
    lake = read_lake(home)
    files = [lake.path(file) for file in lake.files.values() if file.kind == kind]
    if not files:
        return []
    frame = pl.concat([pl.read_parquet(path, hive_partitioning=False) for path in sorted(files)])
    if live:
        frame = frame.filter(pl.col("batch_id").is_in(list(lake.live)))
    return frame.sort("source_file", "source_row", "batch_id").to_dicts()
