"""Names that events give to providers and models, resolved to listed models: once per name, never per event.

Matching is the library's. Files are only looked at once per list version; another version resolves every name
anew. Prices and costs do not belong here.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.costs.price_list import NAMES, current_version, write_parquet
from pipelines.errors import MeterhouseError
from pipelines.files import matching, sync
from pipelines.home import Home
from pipelines.lake.commits import Lake, read_lake
from pipelines.lake.places import prices_folder

Name = tuple[str | None, str | None, str, bool]
"""provider, model and event_type of events, and whether one of them may be a batch request."""
Listed = tuple[str | None, str | None, bool]
"""Provider and id that a model is listed under (None: unknown), and whether the name gave that provider."""
Resolved = tuple[str | None, str | None, str, bool, str | None, str | None, bool]
"""A name and what it means."""
NO_SUBSTITUTES: Mapping[str, Sequence[str]] = MappingProxyType({})
_KEY = ("provider", "model", "event_type", "may_be_batch")


@dataclass(frozen=True)
class ResolvedNames:
    """What one call did: batches it looked at, how many names were new, and which of them the list lacks."""

    batches: int
    names: int
    unknown: tuple[tuple[str | None, str], ...]


def resolve_new_names(home: Home, substitutes: Mapping[str, Sequence[str]] = NO_SUBSTITUTES) -> ResolvedNames:
    """Resolve names that came with batches that were not looked at yet. Call it after ingest and before dbt.

    The caller holds the home's lock and has called ``refresh_prices``. The next call makes up for one that
    was killed.

    :param substitutes: models that may stand in for a model; their names are resolved with it, under the same
        provider and under none, since what they would cost is compared. They count as names, not as unknown.
    :raises MeterhouseError: the price list is not in the lake.
    """
    version = current_version()
    folder = prices_folder(home, version) / "names"
    if not folder.exists():
        raise MeterhouseError(
            f"the price list {version} is not in the lake",
            where=str(folder.parent),
            remedy="run `meterhouse run`; it exports the list first",
        )
    seen_file = home.cache / "prices" / f"{version}.txt"
    seen = set(seen_file.read_text(encoding="ascii").split()) if seen_file.exists() else set()
    lake = read_lake(home)
    committed = set(lake.batches)
    fresh = sorted(committed - seen)
    names: list[Name] = []
    used: set[Name] = set()
    if fresh or substitutes:
        known = _known(folder)
        used = _names_in(lake, set(fresh))
        names = sorted((used | _substitutes_of(used | known, substitutes)) - known, key=_sortable)
    resolved: list[Resolved] = [(*name, *listed_model(name[0], name[1])) for name in names]
    if resolved:
        _write(folder, resolved)
    if fresh:
        seen_file.parent.mkdir(parents=True, exist_ok=True)
        aside = seen_file.with_suffix(".tmp")
        aside.write_text("\n".join(sorted(committed)), encoding="ascii")
        aside.replace(seen_file)
    unknown = {
        (row[0], row[1]) for row in resolved if row[:4] in used and row[1] is not None and row[5] is None
    }
    return ResolvedNames(
        len(fresh), len(names), tuple(sorted(unknown, key=lambda name: (name[0] or "", name[1])))
    )


@cache
def listed_model(provider: str | None, model: str | None) -> Listed:
    """The listed model that a name means, found as the library finds it.

    The provider of the answer is the one that the model is listed under: azure's gpt-4o is openai's.
    """
    from genai_prices.data_snapshot import get_snapshot

    if model is None:
        return None, None, False
    snapshot = get_snapshot()
    try:
        named, found = snapshot.find_provider_model(model, None, provider, None)
    except LookupError:
        return None, None, False
    owner = next(listed for listed in snapshot.providers if any(entry is found for entry in listed.models))
    return owner.id, found.id, owner.id == named.id


def _substitutes_of(names: Iterable[Name], substitutes: Mapping[str, Sequence[str]]) -> set[Name]:
    return {
        (seller, substitute, event_type, may_be_batch)
        for provider, model, event_type, may_be_batch in names
        for substitute in substitutes.get(model or "", ())
        for seller in (provider, None)
    }


def _names_in(lake: Lake, batches: set[str]) -> set[Name]:
    files = [
        str(lake.path(file))
        for file in lake.files.values()
        if file.kind == "events" and not batches.isdisjoint(file.batch_ids)
    ]
    if not files:
        return set()
    with duckdb.connect() as connection:
        rows = connection.execute(
            "select provider, model, event_type, bool_or(contains(properties, 'batch')) "
            "from read_parquet(?, hive_partitioning = false) group by all",
            [files],
        ).fetchall()
    return {(provider, model, event_type, may_be_batch) for provider, model, event_type, may_be_batch in rows}


def _known(folder: Path) -> set[Name]:
    rows: set[Name] = set()
    for file in matching(folder, "*.parquet"):
        columns = pq.read_table(file, columns=list(_KEY)).to_pydict()
        rows.update(zip(*(columns[name] for name in _KEY), strict=True))
    return rows


def _write(folder: Path, rows: list[Resolved]) -> None:
    table = pa.Table.from_pylist([dict(zip(NAMES.names, row, strict=True)) for row in rows], schema=NAMES)
    digest = hashlib.sha256(repr(rows).encode()).hexdigest()[:32]
    aside = folder / f".{digest}.tmp"
    write_parquet(aside, table)
    aside.rename(folder / f"{digest}.parquet")
    sync(folder)


def _sortable(name: Name) -> tuple[str, str, str, bool]:
    return name[0] or "", name[1] or "", name[2], name[3]
