"""The paths of the lake. What is in its files does not belong here."""

from datetime import date
from pathlib import Path

from pipelines.home import Home


def commits_folder(home: Home) -> Path:
    """The commits, by number: ``<n>.parquet``."""
    return home.lake / "commits"


def commit_file(home: Home, number: int) -> Path:
    """The commit of a number, from 1 on."""
    return commits_folder(home) / f"{number}.parquet"


def events_of(day: date) -> str:
    """The folder of a UTC day's events, below the lake."""
    return f"events/event_date={day.isoformat()}"


def staging_folder(home: Home) -> Path:
    """Where a commit is made before it shows: one folder each."""
    return home.lake / ".staging"


def aside_folder(home: Home) -> Path:
    """Where files go that somebody set aside because no commit names them."""
    return home.lake / ".aside"


def schema_file(home: Home, name: str) -> Path:
    """The empty file that carries the columns and types of one kind of file."""
    return home.lake / "schema" / f"{name}.parquet"


def manifests_folder(home: Home) -> Path:
    """Where homes begun before there were commits have one manifest file per batch."""
    return home.lake / "batches"
