"""Writes simulated usage files into a home's inbox, in the raw shape that its sources.yml describes.

Entry point of the package. Demand, draws and file shapes have their own modules.
"""

import filecmp
import gzip
import os
import shutil
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import BinaryIO, cast

import polars as pl

from models.events import SourcesDocument
from pipelines import interruption
from pipelines.catalog import load_configuration
from pipelines.errors import ConfigurationError, MeterhouseError
from pipelines.files import make_shared_folder, share
from pipelines.home import Home
from pipelines.simulate.demand import Demand, build_demand, meter_fields, property_keys
from pipelines.simulate.file_formats import Shape, needed_fields, shapes_for
from pipelines.simulate.randomness import key
from pipelines.simulate.records import CHANGES, COPIES, LATE_FILE_EVERY, Slice, draw

SLICE_EVENTS = 200_000
"""Events held at once; what arrives later is held beside them (at most 3 % of a month)."""
SMALLEST_WITH_ALL = 500
"""From this many records on every kind of trouble occurs at least once (COPIES, CHANGES)."""

Progress = Callable[[int, int], None]
"""Called with records written so far and in total."""


def simulate_usage(
    home: Home,
    *,
    events: int,
    days: int,
    seed: int,
    until: date,
    as_of: datetime,
    on_progress: Progress | None = None,
) -> list[Path]:
    """Write realistic usage of the home's customers into inbox/: one file per day and source, and late files.

    Exactly ``events`` records are written, duplicates, revisions, voids and bad records among them. Instants
    lie in [until - days, until) UTC, apart from records that are rejected for being in the future. The same
    arguments and home give the same bytes under the same names; files that are already there are left alone.

    :param events: records to write, at least 1.
    :param days: days that the usage covers, at least 1.
    :param until: the first day (UTC) without usage; must have begun by ``as_of``.
    :param as_of: the clock, with an offset.
    :return: the files, sorted by path.
    :raises ConfigurationError: arguments out of range, catalog or accounts with faults, a sources.yml that
        leaves no file name to write to.
    :raises MeterhouseError: a file of that name exists with other content.
    """
    _check(events, days, until, as_of)
    configuration = load_configuration(home)
    start = until - timedelta(days=days)
    meters = configuration.catalog.meters
    shapes = shapes_for(
        configuration.sources or SourcesDocument(),
        property_keys(meters),
        needed_fields(meter_fields(meters)),
    )
    if not shapes:
        raise ConfigurationError(
            "no source takes files that can be simulated, and none is left for plain events",
            where="catalog/sources.yml",
            remedy='give a source a pattern for CSV or JSON lines, such as files: "usage*.csv"',
        )
    demand = build_demand(
        configuration.catalog,
        configuration.accounts,
        [shape.mapping for shape in shapes],
        start=start,
        days=days,
        events=events,
        seed=seed,
    )
    tag = f"{key('files', events, days, seed, until):016x}"[:8]
    writer = _Writer(home, shapes, tag, start, days)
    try:
        done = 0
        for part in _slices(demand, events, days, seed, shapes):
            records = draw(
                demand,
                part,
                days=days,
                start_us=int(datetime.combine(start, time(), UTC).timestamp()) * 1_000_000,
                seed=seed,
                can_copy=[place for place, shape in enumerate(shapes) if shape.has_ids],
            )
            writer.write(part.day, records)
            done += part.count
            if on_progress:
                on_progress(done, events)
        return writer.finish()
    finally:
        writer.discard()


def _check(events: int, days: int, until: date, as_of: datetime) -> None:
    if events < 1 or days < 1:
        name, value = ("--events", events) if events < 1 else ("--days", days)
        raise ConfigurationError(f"{name} is {value}", remedy="give a number from 1 on")
    if days > (until - date(1970, 1, 1)).days:
        raise ConfigurationError(f"{days} days before {until} begin before 1970", remedy="give fewer --days")
    if datetime.combine(until, time(), UTC) > as_of:
        raise ConfigurationError(
            f"--until {until} has not begun at {as_of.isoformat()}, so its last day is not over",
            remedy=f"give {as_of.astimezone(UTC).date()} or an earlier day",
        )


def _slices(demand: Demand, events: int, days: int, seed: int, shapes: list[Shape]) -> Iterator[Slice]:
    """Parts of days in order; their counts and roles add up to the totals exactly."""
    rates = demand.day_rates()
    total_rate = sum(rates)
    totals = {role: share * events for role, share in (COPIES | CHANGES).items()}
    if events >= SMALLEST_WITH_ALL:
        reasons = max(len(shape.reasons()) for shape in shapes)
        totals = {role: max(total, 1.0) for role, total in totals.items()}
        totals["bad"] = max(totals["bad"], min(reasons, events / 25))
    # Roles of few records do not all begin on the same day.
    offsets = {role: key("role", seed, role) / 2**64 for role in totals}
    reached, written = 0.0, 0
    for day in range(days):
        reached += rates[day]
        until = events if day == days - 1 else min(round(events * reached / total_rate), events)
        while written < until:
            count = min(until - written, SLICE_EVENTS)
            after = written + count
            roles = {
                role: int(total * after / events + offsets[role])
                - int(total * written / events + offsets[role])
                for role, total in totals.items()
            }
            yield Slice(day, count, roles, written)
            written = after


@dataclass
class _Open:
    """A file being written aside."""

    path: Path
    target: Path
    stream: BinaryIO
    raw: BinaryIO
    is_empty: bool = True


@dataclass
class _Writer:
    """Collects records per file; a file is closed when its day is over and moved to the inbox at the end."""

    home: Home
    shapes: list[Shape]
    tag: str
    start: date
    days: int
    today: int = 0
    spoiled: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    waiting: dict[tuple[int, int, bool], list[pl.DataFrame]] = field(
        default_factory=lambda: defaultdict(list)
    )
    streams: dict[tuple[int, int, bool], _Open] = field(default_factory=dict)
    done: list[tuple[Path, Path]] = field(default_factory=list)

    @property
    def folder(self) -> Path:
        return self.home.cache / f"simulate-{self.tag}-{os.getpid()}"

    def write(self, day: int, records: pl.DataFrame) -> None:
        """Take the records that begin on a day; days come in order."""
        if day != self.today:
            self._close_until(day)
        for (place,), typed in records.group_by("source", maintain_order=True):
            number = int(str(place))
            shape = self.shapes[number]
            text = shape.as_text(typed, self.tag)
            faults = int(text["fault"].sum())
            text = shape.spoil(text, self.spoiled[number])
            self.spoiled[number] += faults
            for (file_day, is_late), part in text.group_by("file_day", "is_late", maintain_order=True):
                self.waiting[number, int(str(file_day)), bool(is_late)].append(part)
        for number in range(len(self.shapes)):
            self._flush((number, day, False))

    def finish(self) -> list[Path]:
        """Close everything and move it into the inbox."""
        self._close_until(self.days)
        for _, target in self.done:
            if target.exists() and not self._same(target):
                raise MeterhouseError(
                    "a simulated file of this name is there with other content; nothing was written",
                    where=str(target.relative_to(self.home.root)),
                    remedy="the catalog or accounts changed since: simulate with another --seed",
                )
        with interruption.held():
            for path, target in self.done:
                make_shared_folder(target.parent)
                if not target.exists():
                    share(path)
                    path.replace(target)
            interruption.has_done("all files are in the inbox")
        return sorted(target for _, target in self.done)

    def discard(self) -> None:
        """Remove what is still aside."""
        for handle in self.streams.values():
            handle.stream.close()
            handle.raw.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _same(self, target: Path) -> bool:
        path = next(path for path, other in self.done if other == target)
        return filecmp.cmp(path, target, shallow=False)

    def _close_until(self, day: int) -> None:
        """Write out and close the files of the days before ``day``."""
        due = sorted(where for where in self.waiting if where[1] < day)
        for where in due:
            self._flush(where)
        for where in sorted(where for where in self.streams if where[1] < day):
            handle = self.streams.pop(where)
            handle.stream.close()
            handle.raw.close()
            self.done.append((handle.path, handle.target))
        self.today = day

    def _flush(self, where: tuple[int, int, bool]) -> None:
        parts = self.waiting.pop(where, [])
        if not parts:
            return
        # In order of arrival: nearly that of the instants.
        records = pl.concat(parts).sort("occurred", "index", "revision", "quantity")
        handle = self.streams.get(where) or self._open(where)
        handle.stream.write(self.shapes[where[0]].encode(records, is_first=handle.is_empty))
        handle.is_empty = False

    def _open(self, where: tuple[int, int, bool]) -> _Open:
        number, day, is_late = where
        stamp = f"{self.start + timedelta(days=day)}_{self.tag}{'_late' if is_late else ''}"
        # Every fifth daily and every second late file comes zipped.
        zipped = (day // LATE_FILE_EVERY) % 2 == 1 if is_late else day % 5 == 3
        name = self.shapes[number].file_name(stamp, zipped=zipped)
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        raw = path.open("wb")
        stream: BinaryIO = raw
        if name.endswith(".gz"):
            # Without name and time inside, so that equal content is equal bytes.
            stream = cast(
                BinaryIO, gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0, compresslevel=4)
            )
        self.streams[where] = _Open(path, self.home.inbox / name, stream, raw)
        return self.streams[where]
