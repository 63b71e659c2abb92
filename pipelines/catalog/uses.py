"""Which versions of catalog, accounts and price list a home used, since when: an append-only history.

The versions themselves are kept in the lake by ``versions.py`` and ``pipelines.costs``; what is computed with
them does not belong here.
"""

from dataclasses import astuple, dataclass
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.files import matching, on_disk
from pipelines.home import Home
from pipelines.lake.places import versions_folder

_SCHEMA = pa.schema(
    [
        ("use_number", pa.int64()),
        ("used_from", pa.timestamp("us", tz="UTC")),
        ("catalog_version", pa.string()),
        ("accounts_version", pa.string()),
        ("prices_version", pa.string()),
    ]
)


@dataclass(frozen=True)
class Versions:
    """What a home uses at one time; each names a folder of the lake."""

    catalog_version: str
    accounts_version: str
    prices_version: str


@dataclass(frozen=True)
class Use:
    """Versions in use from an instant (of the run's clock) on, until the next use; numbers count from 1."""

    use_number: int
    used_from: datetime
    versions: Versions


def record_use(home: Home, versions: Versions, used_from: datetime) -> bool:
    """Add to the history that these versions are in use, if the last use was of others; whether it was added.

    A version that was in use before is added again when it returns. The caller holds the home's lock.
    """
    last = _read(numbers[-1]) if (numbers := _files(home)) else None
    if last is not None and last.versions == versions:
        return False
    number = last.use_number + 1 if last else 1
    path = versions_folder(home) / f"{number:08}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}")
    row = dict(zip(_SCHEMA.names, (number, used_from, *astuple(versions)), strict=True))
    with on_disk(aside) as sink:
        pq.write_table(pa.Table.from_pylist([row], schema=_SCHEMA), sink)
    aside.replace(path)
    return True


def recorded_uses(home: Home) -> list[Use]:
    """The whole history, in the order in which it was written."""
    return [_read(file) for file in _files(home)]


def versions_at(home: Home, instant: datetime) -> Versions | None:
    """The versions in use at an instant: those of the last recorded use that began then or before.

    None: none was recorded. Homes begun before this history was kept have one from their next run on.
    """
    # Also where somebody set the clock back: what was recorded last is what was known.
    for use in reversed(recorded_uses(home)):
        if use.used_from <= instant:
            return use.versions
    return None


def _files(home: Home) -> list[Path]:
    return matching(versions_folder(home), "[0-9]*.parquet")


def _read(file: Path) -> Use:
    [row] = pq.read_table(file).to_pylist()
    number, used_from, *versions = (row[name] for name in _SCHEMA.names)
    return Use(number, used_from, Versions(*versions))
