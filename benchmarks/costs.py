"""What costing adds to the one scan over all events, on one lake.

    python -m benchmarks.costs [--events 3000000] [--rounds 5]

Compares the SQL that dbt compiles for int_daily_activity with the bare aggregation of the same columns: no
prices, no meters. The sender gives no cost, so every request is priced from the public list. Whether costs
are right does not belong here.
"""

import argparse
import json
import shutil
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

import duckdb
from dbt.adapters.duckdb.connections import DuckDBConnectionManager
from dbt.cli.main import dbtRunner

from benchmarks.workload import write_accounts, write_lake
from pipelines.catalog import load_configuration, save_versions
from pipelines.catalog.products import copy_product
from pipelines.costs import current_version, refresh_prices, resolve_new_names
from pipelines.home import Home
from pipelines.lake.commits import last_commit
from pipelines.lake.places import files_besides_commits

PROJECT = Path(__file__).parents[1] / "dbt_project"
AS_OF = datetime(2026, 1, 1, tzinfo=UTC)
DAYS, CUSTOMERS = 90, 1_000
PLAIN = """
select
    customer_id, usage_date, event_type, provider, model, count(*) as event_count, sum(quantity) as quantity,
    sum(input_tokens) as input_tokens, sum(output_tokens) as output_tokens,
    sum(cached_input_tokens) as cached_input_tokens, sum(cost_usd) as cost_usd
from ({{ effective_events(event_columns()) }})
group by all
"""


@dataclass(frozen=True)
class Result:
    """The best of the rounds, seconds of the wall clock: what else the machine does only adds to them."""

    events: int
    plain_seconds: float
    costed_seconds: float
    costed_events: int

    @property
    def ratio(self) -> float:
        """How many times as long as the plain aggregation the costed one takes."""
        return self.costed_seconds / self.plain_seconds


def measure(events: int, rounds: int) -> Result:
    """Build a lake, compile both queries, and run them in turn."""
    with tempfile.TemporaryDirectory() as folder:
        home = _home(Path(folder) / "home", events)
        costed, plain = _compiled(home)
        seconds: dict[str, list[float]] = {costed: [], plain: []}
        with duckdb.connect(str(home.warehouse_file), config={"threads": 2}) as connection:
            connection.execute("set timezone = 'UTC'")
            for _ in range(rounds):
                for query, taken in seconds.items():
                    start = time.perf_counter()
                    connection.execute(f"create or replace temp table measured as {query}")
                    taken.append(time.perf_counter() - start)
            (priced,) = connection.execute(
                f"select sum(event_count) from ({costed}) where cost_source = 'public_price'"
            ).fetchall()[0]
    return Result(events, min(seconds[plain]), min(seconds[costed]), int(priced or 0))


def _home(root: Path, events: int) -> Home:
    home = Home(root).ensure()
    copy_product(home, "ai_pair_orchestrator")
    shutil.rmtree(home.accounts)
    plans = ["starter", "professional", "enterprise"]
    write_accounts(home.accounts, customers=CUSTOMERS, plans=plans, started_on=date(2025, 1, 1))
    write_lake(home, events=events, days=DAYS, customers=CUSTOMERS, seed=1, until=AS_OF.date())
    with duckdb.connect(config={"threads": 2}) as connection:
        connection.execute("set timezone = 'UTC'")
        for file in home.lake.glob("events/*/*.parquet"):
            aside = file.with_suffix(".tmp")
            connection.execute(
                f"copy (select * replace (null::decimal(28, 12) as cost_usd) "
                f"from read_parquet('{file}', hive_partitioning = false)) "
                f"to '{aside}' (format parquet, compression zstd)"
            )
            aside.replace(file)
    refresh_prices(home, AS_OF)
    resolve_new_names(home)
    return home


def _compiled(home: Home) -> tuple[str, str]:
    """The SQL of int_daily_activity and of the plain aggregation; what they read is built."""
    configuration = load_configuration(home)
    save_versions(home, configuration)
    told = {
        "home": str(home.root),
        "warehouse_file": str(home.warehouse_file),
        "as_of": AS_OF.isoformat(),
        "build_id": "benchmark",
        "catalog_version": configuration.catalog_version,
        "accounts_version": configuration.accounts_version,
        "prices_version": current_version(),
        "code_version": "benchmark",
        "rebuild": {},
        "lake_head": str(last_commit(home) or ""),
        "lake_files": files_besides_commits(home, current_version()),
    }
    where = [f"--project-dir={PROJECT}", f"--profiles-dir={PROJECT}", f"--target-path={home.cache / 'dbt'}",
             f"--log-path={home.cache / 'dbt'}", f"--vars={json.dumps(told)}", "--quiet"]  # fmt: skip
    built = dbtRunner().invoke(["run", *where, "--select", "+int_daily_activity"])
    assert built.success, built.exception
    inline = dbtRunner().invoke(["compile", *where, "--inline", PLAIN])
    assert inline.success, inline.exception
    DuckDBConnectionManager.close_all_connections()
    (model,) = (result.node for result in built.result.results if result.node.name == "int_daily_activity")
    return model.compiled_code, inline.result.results[0].node.compiled_code


def main() -> None:
    """Print the comparison."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--events", type=int, default=3_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    result = measure(arguments.events, arguments.rounds)
    print(
        f"{result.events:,} events, {result.costed_events:,} of them priced: "
        f"plain {result.plain_seconds:.2f} s, costed {result.costed_seconds:.2f} s, ratio {result.ratio:.2f}"
    )


if __name__ == "__main__":
    main()
