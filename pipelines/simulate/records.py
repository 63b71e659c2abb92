"""Events drawn from the demand, and what goes wrong with some of them on the way. Polars expressions only.

How records look in a file does not belong here. Inside the simulation quantities are thousandths, provider
costs 10^-12 USD and instants microseconds, all integers.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

import polars as pl

from models.catalog import TOKEN_FIELDS
from pipelines.simulate.demand import OFF_LIST_MODEL, Demand
from pipelines.simulate.randomness import bits, heavy_tail, uniform

DAY_US = 86_400_000_000
# Shares of all records written. Copies are records beyond the events; changes are to an event's own record.
COPIES = {
    "duplicate_in_file": 0.005,
    "duplicate_in_later_file": 0.004,
    "revision": 0.008,
    "void": 0.002,
    "conflict": 0.001,
}
CHANGES = {"late": 0.015, "bad": 0.006}
# Of the revisions: to another day, to another customer; the rest correct the quantity.
MOVED_DAY, MOVED_CUSTOMER = 0.15, 0.10
MAX_DAYS_LATE = 30
LATE_FILE_EVERY = 7
HOUR_WEIGHTS = (3, 2, 2, 1, 1, 2, 4, 8, 14, 20, 23, 22, 18, 20, 23, 22, 20, 17, 13, 10, 9, 8, 6, 4)
REGIONS = ("eu-central-1", "us-east-1", "us-west-2", "ap-southeast-1")

_HOURS = [hour for hour, weight in enumerate(HOUR_WEIGHTS) for _ in range(weight)]


class _Below(Protocol):
    """A whole number from 0 to below a limit."""

    def __call__(self, limit: pl.Expr, *salt: object) -> pl.Expr: ...


@dataclass(frozen=True)
class Slice:
    """A part of one day that is drawn at once.

    :param count: records to write, copies included.
    :param roles: how many records play each role of COPIES and CHANGES.
    :param first_index: number of the first event; numbers are the identity of events.
    """

    day: int
    count: int
    roles: Mapping[str, int]
    first_index: int


def draw(
    demand: Demand, part: Slice, *, days: int, start_us: int, seed: int, can_copy: Iterable[int]
) -> pl.DataFrame:
    """The records that begin on one day, with the file they go to (``file_day``, ``is_late``).

    :param can_copy: sources whose records have ids; only these can have copies.
    """
    events = _events(demand, part, start_us, seed)
    return _with_roles(events, demand, part, days=days, start_us=start_us, seed=seed, can_copy=list(can_copy))


def _pick(values: pl.Series, place: pl.Expr) -> pl.Expr:
    return pl.lit(values).gather(place)


def _events(demand: Demand, part: Slice, start_us: int, seed: int) -> pl.DataFrame:
    cells = demand.cells.filter((pl.col("first_day") <= part.day) & (part.day < pl.col("last_day")))
    # Systematic sampling: exact total, every cell within one of its share, small cells in turn.
    offset = uniform(pl.lit(part.first_index), seed, "offset")
    reached = pl.col("rate").cum_sum() * (part.count / pl.col("rate").sum())
    upto = pl.when(pl.col("place") == pl.len() - 1).then(pl.lit(float(part.count))).otherwise(reached)
    cells = cells.with_row_index("place").with_columns(upto=(upto + offset).floor().cast(pl.Int64))
    cells = cells.with_columns(count=pl.col("upto") - pl.col("upto").shift(1, fill_value=0))
    places = cells.select(pl.col("place").repeat_by("count").explode(empty_as_null=False))["place"]
    index = pl.col("index")

    def draw_one(*salt: object) -> pl.Expr:
        return uniform(index, seed, *salt)

    def below(limit: pl.Expr, *salt: object) -> pl.Expr:
        return (draw_one(*salt) * limit).floor().cast(pl.Int64)

    numbers = pl.int_range(part.first_index, part.first_index + part.count, dtype=pl.UInt64)
    frame = (
        cells[places]
        .with_columns(index=numbers)
        .with_columns(
            user=(draw_one("user").pow(2.2) * pl.col("user_count")).floor().cast(pl.Int64),
            resource_place=below(pl.col("resource_count"), "resource"),
            local_hour=_pick(pl.Series(_HOURS, dtype=pl.Int64), below(pl.lit(len(_HOURS)), "hour")),
        )
    )
    session = (
        pl.col("place").cast(pl.UInt64) * 1_000_003
        + pl.col("user").cast(pl.UInt64) * 8191
        + pl.col("local_hour").cast(pl.UInt64) * 131
        + part.day
    )
    frame = frame.with_columns(session=bits(session, seed, "session"))
    # A session starts somewhere in its hour; requests follow each other ever more rarely.
    second = (pl.col("session") % 2700).cast(pl.Float64) - 420 * (1 - draw_one("second")).log()
    hour = (pl.col("local_hour") - pl.col("hour_shift")) % 24
    in_hour = ((second % 3600) * 1_000_000).floor().cast(pl.Int64)
    off_list = (draw_one("off_list") < 0.004) & (pl.col("model_count") > 0) & pl.col("fixed_model").is_null()
    model_place = pl.col("model_first") + (draw_one("model").pow(1.7) * pl.col("model_count")).floor().cast(
        pl.Int64
    )
    listed = pl.when(pl.col("model_count") > 0).then(model_place)
    frame = frame.with_columns(
        occurred=start_us + part.day * DAY_US + hour * 3_600_000_000 + in_hour,
        user_id=pl.coalesce("fixed_user_id", pl.format("{}-u{}", "customer_id", pl.col("user") + 1)),
        provider=pl.coalesce("fixed_provider", _pick(demand.models["provider"], listed)),
        model=pl.when("has_model").then(
            pl.when(off_list)
            .then(pl.lit(OFF_LIST_MODEL))
            .otherwise(pl.coalesce("fixed_model", _pick(demand.models["model"], listed)))
        ),
        input_price=pl.coalesce(_pick(demand.models["input_price"], listed), pl.lit(2_500_000)),
        output_price=pl.coalesce(_pick(demand.models["output_price"], listed), pl.lit(10_000_000)),
        tokens=pl.when("has_tokens").then(
            (pl.col("mean_tokens") * heavy_tail(index, 1.1, seed, "tokens"))
            .clip(1, 1_500_000)
            .floor()
            .cast(pl.Int64)
        ),
        value=_value(part, seed, len(demand.day_weights)),
    )
    # One column may say both how much and how many tokens; nothing tells apart then what went out.
    shared = pl.col("shared_quantity").cast(pl.String)
    counts_tokens = (shared == "tokens").fill_null(False) & ~pl.col("is_gauge")
    frame = frame.with_columns(
        tokens=pl.when(shared == "quantity").then(pl.col("value") // 1000).otherwise("tokens"),
        value=pl.when(counts_tokens).then(pl.col("tokens") * 1000).otherwise("value"),
    )
    output = (pl.col("tokens") * (0.08 + 0.44 * draw_one("output"))).floor().cast(pl.Int64)
    output = pl.when(shared.is_null()).then(output).otherwise(0)
    frame = frame.with_columns(output_tokens=output, input_tokens=pl.col("tokens") - output)
    cached = (pl.col("input_tokens") * 0.8 * draw_one("cached")).floor().cast(pl.Int64)
    spent = pl.col("input_tokens") * pl.col("input_price") + pl.col("output_tokens") * pl.col("output_price")
    plain = pl.format("{}-{}", "event_type", pl.col("resource_place") + 1)
    resource = pl.when("resource_is_model").then(pl.col("model")).otherwise(plain)
    frame = frame.with_columns(
        resource=pl.coalesce("fixed_resource", resource),
        cached_input_tokens=pl.when(draw_one("is_cached") < 0.35).then(cached),
        # Some senders do not know their cost; then it is computed later from the prices.
        cost=pl.when(pl.col("has_model") & (draw_one("knows_cost") < 0.85)).then(spent),
        quantity=pl.when((pl.col("summed") == "quantity") | counts_tokens)
        .then("value")
        .otherwise(pl.lit(1000))
        .cast(pl.Int64),
        region=_pick(pl.Series(REGIONS), below(pl.lit(4.0), "region")),
        **{
            name: pl.when(pl.col("summed") == name).then(pl.col("value") // 1000).otherwise(name)
            for name in TOKEN_FIELDS[:2]
        },
        **_properties(demand, below),
    )
    return frame.select(
        "index",
        "customer_id",
        "event_type",
        "source",
        "occurred",
        "quantity",
        "user_id",
        "resource",
        "provider",
        "model",
        "input_tokens",
        "output_tokens",
        "cached_input_tokens",
        "cost",
        "region",
        pl.format("{}-{}", "user", pl.col("session") % 1_000_000).alias("session"),
        *(f"property_{place}" for place in range(len(demand.property_keys))),
        day=pl.lit(part.day, dtype=pl.Int64),
        revision=pl.lit(0, dtype=pl.Int64),
        is_void=pl.lit(False),
        fault=pl.lit(False),
        file_day=pl.lit(part.day, dtype=pl.Int64),
        is_late=pl.lit(False),
    )


def _value(part: Slice, seed: int, days: int) -> pl.Expr:
    """What the event adds or reads, in thousandths."""
    index = pl.col("index")
    # A resource's share of the level differs and stays; readings grow slowly over the whole time.
    grown = pl.col("level") / pl.col("resource_count") * (0.62 + 0.6 * part.day / days)
    uneven = 1 + 0.3 * (pl.col("resource_place") - (pl.col("resource_count") - 1) / 2)
    noise = 1 + 0.02 * (uniform(index, seed, "noise") - 0.5)
    reading = grown * uneven
    mean = pl.col("mean_quantity")
    extra = (mean - 1).clip(0) * heavy_tail(index, 0.9, seed, "quantity")
    whole = (
        pl.when("is_gauge")
        .then((reading + 0.5).floor())
        .otherwise(1 + (extra + uniform(index, seed, "up")).floor())
    )
    measured = (
        pl.when("is_gauge").then(reading * noise).otherwise(mean * heavy_tail(index, 0.9, seed, "quantity"))
    )
    value = pl.when("is_whole").then(whole * 1000).otherwise((measured * 1000).floor() + 1)
    return value.clip(0, 1e15).cast(pl.Int64)


def _properties(demand: Demand, below: _Below) -> dict[str, pl.Expr]:
    found = {}
    for place, name in enumerate(demand.property_keys):
        column, key = f"property_{place}", f"properties.{name}"
        counted = pl.format("v{}", below(pl.col("value_count"), "value", name) + 1)
        split = pl.format("{}-{}", pl.lit(name), pl.col("resource_place") + 1)
        found[column] = pl.coalesce(
            pl.col(column).cast(pl.String),
            pl.when(pl.col("summed") == key).then(decimal_text(pl.col("value"), 3)),
            pl.when(pl.col("per") == key).then(split),
            pl.when(pl.col("counted") == key).then(counted),
        )
    return found


def decimal_text(value: pl.Expr, scale: int) -> pl.Expr:
    """An integer of 10^-scale as the shortest decimal text; exact. A negative scale multiplies."""
    if scale <= 0:
        return (value * int(10**-scale)).cast(pl.String)
    whole, rest = value // 10**scale, value % 10**scale
    digits = rest.cast(pl.String).str.zfill(scale).str.strip_chars_end("0")
    return (
        pl.when(rest == 0)
        .then(whole.cast(pl.String))
        .otherwise(pl.concat_str(whole.cast(pl.String), pl.lit("."), digits))
    )


def _with_roles(
    events: pl.DataFrame,
    demand: Demand,
    part: Slice,
    *,
    days: int,
    start_us: int,
    seed: int,
    can_copy: list[int],
) -> pl.DataFrame:
    """Give each role its records; copies take the place of the last events, so that the count stays."""
    order = bits(pl.col("index"), seed, "order")
    events = events.sort(~pl.col("source").is_in(can_copy), order)
    able = int(events["source"].is_in(can_copy).sum())
    index = pl.col("index")
    last = days - 1
    copies: list[pl.DataFrame] = []
    used = 0
    for role in COPIES:
        taken = events.slice(used, max(min(part.roles[role], min(able, part.count // 2) - used), 0))
        used += taken.height
        copies.append(taken.with_columns(_copy_of(role, demand, seed, start_us, days)))
    copied = pl.concat(copies)
    kept = events.head(events.height - copied.height)
    # Copied events stay as they are, or a duplicate would not equal its original.
    bad = min(part.roles["bad"], max(kept.height - used, 0))
    late = min(part.roles["late"], max(kept.height - used - bad, 0)) if part.day < last else 0
    place = pl.int_range(pl.len())
    is_late = (place >= used + bad) & (place < used + bad + late)
    behind = (
        (part.day + 1 + uniform(index, seed, "late") * (MAX_DAYS_LATE - LATE_FILE_EVERY))
        .floor()
        .cast(pl.Int64)
    )
    arrival = late_file_day(behind, last)
    kept = kept.with_columns(
        fault=(place >= used) & (place < used + bad),
        is_late=is_late,
        file_day=pl.when(is_late).then(arrival).otherwise("file_day"),
    )
    # What comes after the last day's file goes to the last late file.
    overdue = pl.col("file_day") > last
    return pl.concat([kept, copied]).with_columns(
        is_late=pl.col("is_late") | overdue, file_day=pl.when(overdue).then(last).otherwise("file_day")
    )


def late_file_day(day: pl.Expr, last: int) -> pl.Expr:
    """The day of the late file that takes what arrives on ``day``."""
    closes = (day // LATE_FILE_EVERY) * LATE_FILE_EVERY + LATE_FILE_EVERY - 1
    return pl.when(closes > last).then(last).otherwise(closes)


def _copy_of(role: str, demand: Demand, seed: int, start_us: int, days: int) -> list[pl.Expr]:
    index = pl.col("index")
    later = pl.col("day") + 1 + (uniform(index, seed, "later") * 5).floor().cast(pl.Int64)
    one_more = pl.col("quantity") + 1000
    if role == "duplicate_in_file":
        return []
    if role == "duplicate_in_later_file":
        return [later.alias("file_day")]
    if role == "conflict":
        return [one_more.alias("quantity")]
    # One in ten skips a number, as senders do.
    number = 1 + (uniform(index, seed, "revision") < 0.1).cast(pl.Int64)
    if role == "void":
        return [later.alias("file_day"), number.alias("revision"), pl.lit(True).alias("is_void")]
    what = uniform(index, seed, "what")
    moved_day = what < MOVED_DAY
    moved_customer = (
        (what >= MOVED_DAY) & (what < MOVED_DAY + MOVED_CUSTOMER) & (len(demand.customer_ids) > 1)
    )
    step = (1 + (uniform(index, seed, "step") * 3).floor().cast(pl.Int64)) * DAY_US
    end = start_us + days * DAY_US
    forward, back = pl.col("occurred") + step, pl.col("occurred") - step
    goes_back = (uniform(index, seed, "back") < 0.5) & (back >= start_us) | (forward >= end) & (
        back >= start_us
    )
    moved = pl.when(goes_back).then(back).when(forward < end).then(forward).otherwise("occurred")
    # A name list without customers still needs one entry to look up.
    names = pl.Series(demand.customer_ids or ("",))
    other = _pick(names, (uniform(index, seed, "customer") * len(names)).floor().cast(pl.Int64))
    return [
        pl.when(moved_day).then(moved).otherwise("occurred").alias("occurred"),
        pl.when(moved_customer).then(other).otherwise("customer_id").alias("customer_id"),
        pl.when(moved_day | moved_customer).then("quantity").otherwise(one_more).alias("quantity"),
        number.alias("revision"),
        (later + 3).alias("file_day"),
    ]
