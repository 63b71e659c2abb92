"""How far projections are from what came to be: a simulated month, cut, projected, then lived through.

    python -m benchmarks.projections [--product NAME ...] [--events 60000] [--day 16] [--seed 1]

The home holds 75 days before a cycle's end. It is built with the files up to the given day of the last month,
the clock at that day's first second, and built again when all files are in. Compared are count and sum meters
over service periods that end with the usage, and the invoices of such cycles. Beside it stands the rule of
three: usage so far by days gone.
"""

import argparse
import re
import shutil
import tempfile
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

import duckdb

from pipelines.catalog import copy_product, list_products, load_configuration, save_versions
from pipelines.costs import current_version
from pipelines.home import Home
from pipelines.ingest import ingest_inbox
from pipelines.settings import QuietTime
from pipelines.simulate import simulate_usage
from pipelines.warehouse import aside, builds
from pipelines.warehouse.project import code_version
from pipelines.warehouse.scope import BuildSettings

MONTH = date(2026, 9, 1)
NEXT_MONTH = date(2026, 10, 1)
HISTORY_DAYS = 75


@dataclass(frozen=True)
class Result:
    """Errors are weighted absolute percentage errors: the sum of all deviations / the sum of what came to be.

    ``covered``: share of projections whose bounds held the outcome.
    """

    what: str
    count: int
    error: float
    rule_of_three_error: float | None
    covered: float

    def __str__(self) -> str:
        plain = ""
        if self.rule_of_three_error is not None:
            plain = f", rule of three {self.rule_of_three_error:6.1%}"
        return (
            f"{self.what:<24}{self.count:5} projections  error {self.error:6.1%}{plain}, "
            f"in bounds {self.covered:4.0%}"
        )


def back_test(root: Path, *, product: str, events: int, day: int, seed: int) -> list[Result]:
    """Project the month from the given day of it and compare, in a home under ``root``."""
    home = Home(root / "home").ensure()
    copy_product(home, product)
    end = datetime.combine(NEXT_MONTH, time(), UTC) + timedelta(days=2)
    files = simulate_usage(home, events=events, days=HISTORY_DAYS, seed=seed, until=NEXT_MONTH, as_of=end)
    cut = MONTH + timedelta(days=day - 1)
    waiting = root / "waiting"
    waiting.mkdir()
    for file in files:
        if _day_of(file) >= cut:
            shutil.move(file, waiting / file.name)
    _build(home, datetime.combine(cut, time(), UTC))
    with duckdb.connect(str(home.warehouse_file), read_only=True) as connection:
        connection.execute(f"copy usage_projections to '{root}/usage.parquet'")
        connection.execute(f"copy projected_invoices to '{root}/invoices.parquet'")

    for file in waiting.iterdir():
        shutil.move(file, home.inbox / file.name)
    _build(home, end)
    return _compare(home, root)


def _day_of(file: Path) -> date:
    found = re.search(r"\d{4}-\d{2}-\d{2}", file.name)
    assert found, f"{file.name} names no day"
    return date.fromisoformat(found.group())


def _build(home: Home, as_of: datetime) -> None:
    configuration = load_configuration(home)
    save_versions(home, configuration)
    ingest_inbox(home, configuration.sources, as_of, quiet=QuietTime(0, 0))
    settings = BuildSettings(
        as_of=as_of,
        build_id=uuid.uuid4().hex,
        catalog_version=configuration.catalog_version,
        accounts_version=configuration.accounts_version,
        code_version=code_version(),
        prices_version=current_version(),
    )
    aside.begin_build(home, from_nothing=False)
    result = builds.build(home, settings, builds.load_manifest(home))
    assert not result.failures, [str(failure) for failure in result.failures]
    aside.promote_build(home)


_MEASURES = """
    count(*),
    sum(abs(projected - actual))::double / nullif(sum(actual), 0)::double,
    sum(abs(plain - actual))::double / nullif(sum(actual), 0)::double,
    avg(cast(actual between low and high as integer))
"""


def _compare(home: Home, root: Path) -> list[Result]:
    with duckdb.connect(str(home.warehouse_file), read_only=True) as connection:
        meters = connection.execute(f"""
            with compared as (
                select
                    meter_id, projected_quantity as projected, low_quantity as low, high_quantity as high,
                    usage.quantity as actual,
                    projected.quantity::double * (service_end - service_start)
                    / greatest(1, projected_on - service_start) as plain
                from '{root}/usage.parquet' as projected
                inner join monthly_usage as usage
                    using (subscription_id, meter_id, period_start, service_start, service_end)
                inner join meters using (meter_id)
                where
                    meters.aggregation in ('count', 'sum')
                    and (usage.quantity > 0 or projected_quantity > 0)
                    and service_end <= date '{NEXT_MONTH}'
            )
            select meter_id, {_MEASURES} from compared group by meter_id order by meter_id
        """).fetchall()
        invoices = connection.execute(f"""
            with compared as (
                select
                    projected_total_minor as projected, low_total_minor as low, high_total_minor as high,
                    coalesce(invoices.total_minor, 0) as actual, null::double as plain
                from '{root}/invoices.parquet' as projected
                left join invoices using (customer_id, currency, period_start, period_end)
                where period_end <= date '{NEXT_MONTH}'
            )
            select 'invoices', {_MEASURES} from compared
        """).fetchall()
    return [Result(*row) for row in meters + invoices if row[1]]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a back-test per product and print one line per meter, and one for invoices."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--product", nargs="+", choices=list_products(), default=list_products())
    parser.add_argument("--events", type=int, default=60_000)
    parser.add_argument("--day", type=int, default=16, help="day of the month to project from")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    for product in options.product:
        print(f"{product}, from day {options.day} of the month", flush=True)
        with tempfile.TemporaryDirectory() as folder:
            for result in back_test(
                Path(folder), product=product, events=options.events, day=options.day, seed=options.seed
            ):
                print(f"  {result}", flush=True)


if __name__ == "__main__":
    main()
