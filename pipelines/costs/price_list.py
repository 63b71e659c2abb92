"""The public price list of genai-prices, exported once per version to rows that SQL can join.

Every row is a price per unit for a model in an interval of UTC days, a time of day and a range of input
tokens. The library itself is asked what it would charge in each of these segments, so its rules live in one
place. Home prices (``prices.csv``), names of events and costs do not belong here.
"""

import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import ROUND_HALF_UP, Decimal
from importlib.metadata import version as installed_version
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from models.money import PRECISION, PRICE_SCALE
from pipelines.files import matching, on_disk, sync
from pipelines.home import Home
from pipelines.lake.places import prices_folder

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo, ModelPrice, TieredPrices

T = TypeVar("T", int, date)

LIBRARY = "genai-prices"
EXPORT = 1
"""Counts changes of how rows are derived from the library: part of the version."""

BATCH = {"processing": "batch"}
"""What the library calls a request of a provider's batch interface."""
DAY = 86_400_000_000
"""Microseconds of a day."""

# The library's price keys that an event's fields can be counted in, and how many units each price is for.
_UNITS = {
    "input_mtok": ("input_token", 6),
    "output_mtok": ("output_token", 6),
    "cache_read_mtok": ("cached_input_token", 6),
    "requests_kcount": ("request", 3),
}
# Prices as published have at most this many digits; more are left-overs of binary arithmetic.
_PUBLISHED_DIGITS = Decimal("1e-9")

ROWS = pa.schema(
    [
        ("provider", pa.string()),
        ("model", pa.string()),
        ("is_batch", pa.bool_()),
        ("valid_from", pa.date32()),
        ("valid_to", pa.date32()),
        ("day_from", pa.int64()),
        ("day_to", pa.int64()),
        ("input_tokens_above", pa.int64()),
        ("input_tokens_up_to", pa.int64()),
        ("unit", pa.string()),
        ("usd_per_unit", pa.decimal128(PRECISION, PRICE_SCALE)),
        ("is_assumed", pa.bool_()),
        ("is_rounded", pa.bool_()),
    ]
)
"""Null bounds are open. ``valid_to``, ``day_to`` (microseconds of the UTC day) and ``input_tokens_above`` are
exclusive, ``input_tokens_up_to`` is inclusive. ``is_assumed``: the list does not say that the price held."""
NAMES = pa.schema(
    [
        ("provider", pa.string()),
        ("model", pa.string()),
        ("event_type", pa.string()),
        ("may_be_batch", pa.bool_()),
        ("price_provider", pa.string()),
        ("price_model", pa.string()),
        ("is_own", pa.bool_()),
    ]
)
"""Names of events and the listed model they mean; null where the list knows none. ``may_be_batch``: the word
batch is in some event's properties. ``is_own``: the provider named is the one that lists the model."""
_LIST = pa.schema(
    [
        ("library", pa.string()),
        ("library_version", pa.string()),
        ("exported_at", pa.timestamp("us", tz="UTC")),
    ]
)


@dataclass(frozen=True)
class PriceListVersion:
    """A price list in the lake: its folder's name, where it came from, and whether this call wrote it."""

    version: str
    library_version: str
    rows: int
    is_new: bool


@dataclass(frozen=True)
class _Segment:
    """Days, times and input tokens in which every unit of a model has one price."""

    valid_from: date | None
    valid_to: date | None
    day_from: int
    day_to: int
    above: int | None
    up_to: int | None


def current_version() -> str:
    """The version that the installed library would be exported as; also the name of its folder."""
    return f"{LIBRARY}-{installed_version(LIBRARY)}-{EXPORT}"


def refresh_prices(home: Home, as_of: datetime) -> PriceListVersion:
    """Put the installed library's price list into the lake unless it is there; what is there stays as it is.

    The caller holds the home's lock. The library is loaded only if there is something to write.

    :param as_of: kept beside the list as the time of its export; no price depends on it.
    """
    version, library_version = current_version(), installed_version(LIBRARY)
    folder = prices_folder(home, version)
    is_new = not folder.exists()
    if is_new:
        for leftover in matching(folder.parent, ".*.tmp"):
            shutil.rmtree(leftover)
        aside = folder.with_name(f".{version}.{os.getpid()}.tmp")
        (aside / "names").mkdir(parents=True)
        write_parquet(aside / "rows.parquet", pa.Table.from_pylist(list(export_rows()), schema=ROWS))
        origin = {"library": LIBRARY, "library_version": library_version, "exported_at": as_of}
        write_parquet(aside / "list.parquet", pa.Table.from_pylist([origin], schema=_LIST))
        aside.rename(folder)
        sync(folder.parent)
    rows = pq.read_metadata(folder / "rows.parquet").num_rows
    return PriceListVersion(version, library_version, rows, is_new)


def export_rows() -> Iterator[dict[str, Any]]:
    """Rows of ``ROWS`` for every listed model, for single requests and for batch ones."""
    from genai_prices.data_snapshot import get_snapshot

    for provider in get_snapshot().providers:
        for model in provider.models:
            for is_batch in (False, True):
                for row in _model_rows(model, is_batch):
                    yield {"provider": provider.id, "model": model.id, "is_batch": is_batch, **row}


def write_parquet(path: Path, table: pa.Table) -> None:
    """Write a file and wait until it is on the disk."""
    with on_disk(path) as sink:
        pq.write_table(table, sink, compression="zstd")


def _model_rows(model: "ModelInfo", is_batch: bool) -> Iterator[dict[str, Any]]:
    for valid_from, valid_to in _between(_days(model, is_batch)):
        for start, end in _between(_times(model, is_batch)):
            instant = datetime.combine(valid_from or date.min, time.min, UTC) + timedelta(
                microseconds=start or 0
            )
            prices = model.get_prices(instant, BATCH if is_batch else None)
            is_assumed = valid_from is None or (is_batch and not _has_batch_price(model, instant))
            for above, up_to in _between(_token_bounds(prices)):
                segment = _Segment(
                    valid_from, valid_to, start or 0, DAY if end is None else end, above, up_to
                )
                yield from _segment_rows(prices, segment, is_assumed)


def _segment_rows(prices: "ModelPrice", segment: _Segment, is_assumed: bool) -> Iterator[dict[str, Any]]:
    for key, (unit, digits) in _UNITS.items():
        if (listed := getattr(prices, key)) is None:
            continue
        price = _price_above(listed, segment.above)
        published = _as_published(price)
        yield {
            "valid_from": segment.valid_from,
            "valid_to": segment.valid_to,
            "day_from": segment.day_from,
            "day_to": segment.day_to,
            "input_tokens_above": segment.above,
            "input_tokens_up_to": segment.up_to,
            "unit": unit,
            "usd_per_unit": published.scaleb(-digits),
            "is_assumed": is_assumed,
            "is_rounded": published != price,
        }


def _price_above(listed: "Decimal | TieredPrices", above: int | None) -> Decimal:
    """The price for more input tokens than ``above``; tiers are cliffs that begin strictly above a start."""
    from genai_prices.types import TieredPrices

    if not isinstance(listed, TieredPrices):
        return listed
    reached = [tier.price for tier in listed.tiers if above is not None and tier.start <= above]
    return reached[-1] if reached else listed.base


def _as_published(price: Decimal) -> Decimal:
    return price.quantize(_PUBLISHED_DIGITS, ROUND_HALF_UP)


def _has_batch_price(model: "ModelInfo", instant: datetime) -> bool:
    """Whether the list has a price for batch requests that it dates on or before the instant."""
    return any(
        variant.when == BATCH and variant.constraint is not None and variant.constraint.active(instant)
        for variant in model.price_variants or ()
    )


def _constraints(model: "ModelInfo", is_batch: bool) -> list[Any]:
    dated = model.prices if isinstance(model.prices, list) else []
    variants = [variant for variant in model.price_variants or () if is_batch and variant.when == BATCH]
    conditions = [price.constraint for price in dated] + [variant.constraint for variant in variants]
    return [condition for condition in conditions if condition is not None]


def _days(model: "ModelInfo", is_batch: bool) -> set[date]:
    from genai_prices.types import StartDateConstraint

    return {c.start_date for c in _constraints(model, is_batch) if isinstance(c, StartDateConstraint)}


def _times(model: "ModelInfo", is_batch: bool) -> set[int]:
    from genai_prices.types import TimeOfDateConstraint

    ends = (
        end
        for c in _constraints(model, is_batch)
        if isinstance(c, TimeOfDateConstraint)
        for end in (c.start_time, c.end_time)
    )
    return {moment for end in ends if (moment := _microseconds(end))}


def _microseconds(moment: time) -> int:
    """Of the UTC day; a time without offset is UTC, as in the library."""
    aware = datetime.combine(date(1970, 1, 2), moment, moment.tzinfo or UTC).astimezone(UTC)
    return (aware - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) % DAY


def _token_bounds(prices: "ModelPrice") -> set[int]:
    from genai_prices.types import TieredPrices

    listed = (getattr(prices, key) for key in _UNITS)
    return {tier.start for price in listed if isinstance(price, TieredPrices) for tier in price.tiers}


def _between(bounds: Iterable[T]) -> Sequence[tuple[T | None, T | None]]:
    """The stretches that the bounds cut a line into; None: no end."""
    ordered: list[T | None] = [None]
    ordered.extend(sorted(bounds))
    ordered.append(None)
    return list(pairwise(ordered))
