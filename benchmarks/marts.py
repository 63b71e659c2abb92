"""Lake to marts against one hand-written aggregation, and one more day on a short and on a long history.

    python -m benchmarks.marts [--events 5000000] [--daily 20000] [--day 100000]

The hand-written query reads the same Parquet and gives daily usage per customer and event type with the
highest revision of each event, as an analyst would write it; dbt builds and checks every model. Start-up is
what a build takes that has nothing to do. Whether the marts are right does not belong here.
"""

import argparse
import statistics
import tempfile
import time
import uuid
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import duckdb

from benchmarks.workload import write_accounts, write_jsonl, write_lake
from pipelines.catalog import copy_product, load_configuration, save_versions
from pipelines.costs import current_version, refresh_prices, resolve_new_names
from pipelines.home import Home
from pipelines.ingest import ingest_inbox
from pipelines.serving.publish import Publication, publish, published_tables
from pipelines.settings import QuietTime
from pipelines.warehouse import aside, builds
from pipelines.warehouse.project import code_version
from pipelines.warehouse.scope import BuildSettings

UNTIL = date(2026, 1, 1)
CUSTOMERS = 500
BY_HAND = """
create or replace temp table by_hand as
select
    customer_id, cast(occurred_at at time zone 'UTC' as date) as usage_date, event_type,
    count(*) as event_count, sum(quantity) as quantity, sum(input_tokens) as input_tokens,
    sum(output_tokens) as output_tokens, sum(cost_usd) as cost_usd, max(quantity) as highest,
    count(distinct user_id) as users
from (
    select * from read_parquet('{lake}/events/*/*.parquet')
    qualify revision = max(revision) over (partition by event_id)
)
where not is_void
group by all
"""


@dataclass(frozen=True)
class MartsResult:
    """Seconds of one build from nothing, of a build with nothing to do, and of the hand-written query."""

    events: int
    build_seconds: float
    startup_seconds: float
    by_hand_seconds: float

    @property
    def ratio(self) -> float:
        """How many times as long as the query the build takes beyond its start-up."""
        return (self.build_seconds - self.startup_seconds) / self.by_hand_seconds


@dataclass(frozen=True)
class DayResult:
    """Seconds that one more day takes, publishing apart."""

    history_days: int
    ingest_seconds: float
    build_seconds: float
    publish_seconds: float


def home_with_history(root: Path, *, events: int, days: int) -> Home:
    """A home of ai_pair_orchestrator with a lake of so many events over the days before UNTIL."""
    home = Home(root).ensure()
    copy_product(home, "ai_pair_orchestrator")
    for document in home.accounts.iterdir():
        document.unlink()
    plans = ["starter", "professional", "enterprise"]
    write_accounts(home.accounts, customers=CUSTOMERS, plans=plans, started_on=UNTIL - timedelta(days=days))
    write_lake(home, events=events, days=days, customers=CUSTOMERS, seed=1, until=UNTIL)
    return home


def build_once(home: Home, as_of: datetime) -> float:
    """Build, check and promote the warehouse; seconds."""
    configuration = load_configuration(home)
    save_versions(home, configuration)
    refresh_prices(home, as_of)
    resolve_new_names(home)
    manifest = builds.load_manifest(home)
    settings = BuildSettings(
        as_of=as_of,
        build_id=uuid.uuid4().hex,
        catalog_version=configuration.catalog_version,
        accounts_version=configuration.accounts_version,
        prices_version=current_version(),
        code_version=code_version(),
    )
    start = time.perf_counter()
    aside.begin_build(home, from_nothing=False)
    result = builds.build(home, settings, manifest)
    if result.failures:
        raise SystemExit("\n".join(map(str, result.failures)))
    aside.promote_build(home)
    return time.perf_counter() - start


def marts_against_hand(events: int, rounds: int = 3) -> MartsResult:
    """A build from nothing over 90 days, then the query over the same files; medians of the rounds."""
    as_of = datetime(UNTIL.year, UNTIL.month, UNTIL.day, tzinfo=UTC)
    with tempfile.TemporaryDirectory() as folder:
        home = home_with_history(Path(folder) / "home", events=events, days=90)
        builds, startups, queries = [], [], []
        for _ in range(rounds):
            home.warehouse_file.unlink(missing_ok=True)
            builds.append(build_once(home, as_of))
            startups.append(build_once(home, as_of))
            with duckdb.connect(config={"threads": 2}) as connection:
                start = time.perf_counter()
                connection.execute(BY_HAND.format(lake=home.lake))
                queries.append(time.perf_counter() - start)
    return MartsResult(events, *(statistics.median(taken) for taken in (builds, startups, queries)))


def one_more_day(history_days: int, daily: int, day: int, rounds: int = 3) -> DayResult:
    """Read, build and publish further days of ``day`` events each; medians."""
    with tempfile.TemporaryDirectory() as folder:
        home = home_with_history(Path(folder) / "home", events=daily * history_days, days=history_days)
        build_once(home, datetime(UNTIL.year, UNTIL.month, UNTIL.day, tzinfo=UTC))
        ingests, builds, publishes = [], [], []
        for number in range(1, rounds + 1):
            until = UNTIL + timedelta(days=number)
            as_of = datetime(until.year, until.month, until.day, 1, tzinfo=UTC)
            write_jsonl(
                home.inbox / f"day-{number}.jsonl",
                events=day, days=1, customers=CUSTOMERS, seed=100 + number, until=until,
            )  # fmt: skip
            start = time.perf_counter()
            ingest_inbox(home, None, as_of, quiet=QuietTime(0, 0))
            ingests.append(time.perf_counter() - start)
            builds.append(build_once(home, as_of))
            start = time.perf_counter()
            publication = Publication(as_of, as_of, "", "", "", uuid.uuid4().hex)
            publish(home, published_tables(builds.load_manifest(home)), publication)
            publishes.append(time.perf_counter() - start)
    return DayResult(history_days, *(statistics.median(taken) for taken in (ingests, builds, publishes)))


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=5_000_000, help="events for lake to marts")
    parser.add_argument("--daily", type=int, default=20_000, help="events per day of the histories")
    parser.add_argument("--day", type=int, default=100_000, help="events of the day that is added")
    arguments = parser.parse_args()
    marts = marts_against_hand(arguments.events)
    print(
        f"lake to marts, {marts.events:,} events: {marts.build_seconds:.1f} s, of it start-up "
        f"{marts.startup_seconds:.1f} s; by hand {marts.by_hand_seconds:.1f} s; ratio {marts.ratio:.2f}"
    )
    short = one_more_day(60, arguments.daily, arguments.day)
    long = one_more_day(730, arguments.daily, arguments.day)
    for result in (short, long):
        print(
            f"one more day of {arguments.day:,} on {result.history_days} days: "
            f"ingest {result.ingest_seconds:.1f} s, "
            f"build {result.build_seconds:.1f} s, "
            f"publish {result.publish_seconds:.1f} s"
        )
    taken = [result.ingest_seconds + result.build_seconds for result in (long, short)]
    print(f"long to short history, without publishing: {taken[0] / taken[1]:.2f}")


if __name__ == "__main__":
    main()
