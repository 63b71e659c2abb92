"""How long rating takes: customers x meters x cycles, every charge model, all plans compared.

``generate`` writes a home whose usage is settled by arithmetic; ``measure`` rates it with dbt in a process of
its own and takes dbt's start-up off. What the day-level tables cost belongs to the benchmark of the marts.
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import duckdb
import yaml

from pipelines.catalog import load_configuration, save_versions
from pipelines.home import Home
from pipelines.lake.batches import ensure_lake
from pipelines.lake.commits import last_commit
from pipelines.lake.places import files_besides_commits
from pipelines.warehouse.project import PROJECT_DIR

FIRST_DAY = date(2024, 1, 1)
PLANS = 5
EVENTS_A_CYCLE = 4
MODELS = (
    "per_unit",
    "per_unit",
    "package",
    "graduated",
    "volume",
    "per_unit",
    "flat",
    "per_unit",
    "cost_plus",
    "per_unit",
)
MARTS = ("monthly_usage", "overages", "invoice_lines", "invoices", "plan_comparisons")
BEFORE = " ".join(f"+{mart}" for mart in MARTS)
RATED = "path:models/intermediate/rating+"
RATING = " ".join(f"{RATED},+{mart}" for mart in MARTS)
"""From the first rating model to these marts; what was issued lies between."""
BATCH = "0" * 32


@dataclass(frozen=True)
class Result:
    """Seconds of the rating models beyond dbt's start-up; MiB at the peak of either build, days or rating."""

    customers: int
    meters: int
    cycles: int
    charges_rated: int
    seconds: float
    startup_seconds: float
    peak_mib: int


def generate(path: Path, customers: int, meters: int, cycles: int, *, bills_all: bool = False) -> Home:
    """A home under ``path`` with customers on five plans in several time zones.

    Every meter of every customer has about four events a cycle. Equal arguments give equal rows.

    :param bills_all: every charge gives an invoice line, and so does the price of every plan.
    """
    home = Home(path).ensure()
    _write_documents(home, customers, meters, bills_all=bills_all)
    days = cycles * 30
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        connection.execute(f"""
            create table events as
            select
                'e' || c || '-' || m || '-' || k as event_id, printf('cust_%06d', c) as customer_id,
                'type_' || m as event_type,
                timestamptz '{FIRST_DAY} 00:00:00Z'
                + cast(hash(c, m, k) % {days} as bigint) * interval 1 day
                + cast(hash(k, m, c) % 86400 as bigint) * interval 1 second as occurred_at,
                cast(0 as bigint) as revision, false as is_void,
                cast(hash(c, k) % 20 + 1 as decimal(28, 6)) as quantity,
                'user_' || k % 7 as user_id, cast(null as varchar) as resource, 'openai' as provider,
                'gpt-4o-mini' as model, cast(100 as bigint) as input_tokens,
                cast(10 as bigint) as output_tokens, cast(0 as bigint) as cached_input_tokens,
                cast(0.000123 as decimal(28, 12)) as cost_usd, '{{}}' as properties,
                timestamptz '{FIRST_DAY} 00:00:00Z' as ingested_at, '{BATCH}' as batch_id,
                'usage.jsonl' as source_file, cast(1 as bigint) as source_row, 'x' as payload_hash
            from
                range({customers}) as c (c), range({meters}) as m (m),
                range({cycles * EVENTS_A_CYCLE}) as k (k)
        """)
        for number in range(days):
            day = FIRST_DAY + timedelta(days=number)
            folder = home.lake / f"events/event_date={day}"
            folder.mkdir(parents=True)
            connection.execute(
                f"copy (from events where occurred_at >= '{day}'"
                f" and occurred_at < '{day + timedelta(days=1)}') "
                f"to '{folder / BATCH}.parquet' (compression zstd)"
            )
        _write_manifest(connection, home.lake)
    ensure_lake(home)
    save_versions(home, load_configuration(home))
    return home


def measure(home: Home, customers: int, meters: int, cycles: int) -> Result:
    """Build what rating reads, then rate all that ``generate`` wrote; the home's warehouse is replaced."""
    as_of = FIRST_DAY + timedelta(days=cycles * 30 - 1)
    home.warehouse_file.unlink(missing_ok=True)
    _dbt(home, as_of, BEFORE, exclude=RATED)
    started = time.perf_counter()
    _dbt(home, as_of, "int_build_scope")
    startup = time.perf_counter() - started
    started = time.perf_counter()
    _dbt(home, as_of, RATING)
    seconds = time.perf_counter() - started - startup
    with duckdb.connect(str(home.warehouse_file), read_only=True) as connection:
        rated = connection.execute("select count(*) from int_billable_quantities").fetchone() or (0,)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024
    return Result(customers, meters, cycles, rated[0], seconds, startup, peak)


def _dbt(home: Home, as_of: date, select: str, exclude: str = "") -> None:
    configuration = load_configuration(home)
    settings = {
        "home": str(home.root),
        "warehouse_file": str(home.warehouse_file),
        "as_of": f"{as_of}T00:00:00+00:00",
        "build_id": "benchmark",
        "catalog_version": configuration.catalog_version,
        "accounts_version": configuration.accounts_version,
        "code_version": "benchmark",
        "lake_head": str(last_commit(home) or ""),
        "lake_files": files_besides_commits(home, ""),
        "rebuild": {},
    }
    command = [
        str(Path(sys.executable).with_name("dbt")),
        "--quiet",
        "--log-level-file",
        "none",
        "run",
        "--full-refresh",
        "--project-dir",
        str(PROJECT_DIR),
        "--profiles-dir",
        str(PROJECT_DIR),
        "--target-path",
        str(home.cache / "dbt"),
        "--vars",
        json.dumps(settings),
        "--select",
        *select.split(),
    ]
    if exclude:
        command += ["--exclude", *exclude.split()]
    subprocess.run(command, check=True)


def _write_documents(home: Home, customers: int, meters: int, *, bills_all: bool) -> None:
    aggregations = {0: "max", 1: "unique"}
    prices: dict[str, dict[str, object]] = {
        "per_unit": {"unit_amount": "0.02"},
        "package": {"package_size": "10", "package_amount": "0.10"},
        "graduated": {
            "tiers": [{"up_to": "10", "unit_amount": "0.10"}, {"up_to": "unlimited", "unit_amount": "0.05"}]
        },
        "volume": {
            "tiers": [{"up_to": "10", "unit_amount": "0.10"}, {"up_to": "unlimited", "unit_amount": "0.05"}]
        },
        "flat": {"flat_amount": "3"},
        "cost_plus": {"multiplier": "1.2"},
    }
    metered = [
        {
            "id": f"meter_{number}",
            "name": f"Meter {number}",
            "unit": "unit",
            "event_types": [f"type_{number}"],
            "aggregation": aggregations.get(number, "sum"),
            "carry_forward": number == 0,
            "field": "user_id" if number == 1 else "quantity",
        }
        for number in range(meters)
    ]
    plans = [
        {
            "id": f"plan_{plan}",
            "name": f"Plan {plan}",
            "rank": plan + 1,
            "currency": "USD",
            "price": str(29 * (plan + bills_all)),
            "effective_from": "2024-01-01",
            "charges": [
                {
                    "meter": f"meter_{number}",
                    "included": str(5 * (plan + 1)),
                    "reset": "day" if number == 9 else "cycle",
                    "overage": {
                        "model": (model := MODELS[number % len(MODELS)]),
                        "invoice_zero": bills_all,
                        **prices[model],
                    },
                }
                for number in range(meters)
            ],
        }
        for plan in range(PLANS)
    ]
    (home.catalog / "meters.yml").write_text(yaml.safe_dump({"meters": metered}))
    (home.catalog / "plans.yml").write_text(yaml.safe_dump({"plans": plans}))
    zones = ["UTC", "UTC", "Europe/Berlin", "Asia/Kolkata"]
    anchors = [1, 1, 15, 31]
    people = [f"cust_{number:06d},{number},{zones[number % 4]}" for number in range(customers)]
    subscribed = [
        f"sub_{number:06d},cust_{number:06d},plan_{number % PLANS}"
        f",2024-01-{'01' if number % 2 else '10'},{anchors[number % 4]}"
        for number in range(customers)
    ]
    (home.accounts / "customers.csv").write_text("\n".join(["customer_id,name,timezone", *people]) + "\n")
    header = "subscription_id,customer_id,plan_id,started_on,billing_anchor_day"
    (home.accounts / "subscriptions.csv").write_text("\n".join([header, *subscribed]) + "\n")


def _write_manifest(connection: duckdb.DuckDBPyConnection, lake: Path) -> None:
    """As homes had it before there were commits."""
    (lake / "batches").mkdir()
    connection.execute(f"""copy (
        select
            '{BATCH}' as batch_id, 'usage.jsonl' as source_file, 'committed' as status,
            cast(sum(n) as bigint) as rows_read, cast(sum(n) as bigint) as accepted_count,
            cast(0 as bigint) as duplicate_count, cast(0 as bigint) as rejected_count,
            timestamptz '{FIRST_DAY} 00:00:00Z' as ingested_at, cast(null as varchar) as message,
            cast(0 as bigint) as separate_event_count, cast(0 as bigint) as max_revision,
            list({{'event_date': event_date, 'event_count': n}} order by event_date) as event_dates
        from (select cast(occurred_at as date) as event_date, count(*) as n from events group by all)
    ) to '{lake}/batches/{BATCH}.parquet'""")


def main() -> None:
    """Print one measurement: ``python -m benchmarks.rating [CUSTOMERS METERS CYCLES]``."""
    sizes = [int(word) for word in sys.argv[1:4]] or [10_000, 10, 12]
    with tempfile.TemporaryDirectory(prefix="meterhouse-rating-") as folder:
        result = measure(generate(Path(folder), *sizes), *sizes)
    print(json.dumps(result.__dict__))


if __name__ == "__main__":
    main()
