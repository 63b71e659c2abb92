"""The paths of the lake. What is in its files does not belong here."""

from contextlib import suppress
from datetime import date
from pathlib import Path

from pipelines.files import below, matching
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


def days_of_events(home: Home) -> list[date]:
    """The UTC days that have a folder of events, whether or not a commit names what is in it."""
    days = []
    for folder in matching(home.lake / "events", "event_date=*"):
        with suppress(ValueError):
            days.append(date.fromisoformat(folder.name.partition("=")[2]))
    return days


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


def export_folder(home: Home) -> Path:
    """Where the exported tables are: ``<table>.parquet``, always all of them, also when empty."""
    return home.lake / "ledger"


def files_besides_commits(home: Home, prices_version: str) -> list[str]:
    """What a build reads where it is there, below the lake: the ledger's export, a version of prices.

    :param prices_version: empty: of none.
    :raises OSError: the system will not say what is there.
    """
    folders = [export_folder(home), *([prices_folder(home, prices_version)] if prices_version else [])]
    return [path.relative_to(home.lake).as_posix() for folder in folders for path in below(folder)]


def catalog_folder(home: Home, version: str) -> Path:
    """A version of the catalog: one file a table."""
    return home.lake / "catalog" / version


def accounts_folder(home: Home, version: str) -> Path:
    """A version of the accounts: one file a table."""
    return home.lake / "accounts" / version


def prices_folder(home: Home, version: str) -> Path:
    """A version of the price list."""
    return home.lake / "prices" / version


def versions_folder(home: Home) -> Path:
    """Which versions were in use since when: one file a change."""
    return home.lake / "versions"
