"""Ingest of JSON lines against DuckDB's own copy of the same file to partitioned Parquet, in one run.

    python -m benchmarks.ingest [--events 2000000] [--rounds 3]

Both read a file that DuckDB generates: 90 days in order of time, about one record in a hundred a duplicate,
skewed customers. The copy only casts to the types of the event; ingest also checks, maps, rejects, finds
duplicates and commits.
"""

import argparse
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

COLUMNS = (
    "{event_id: 'VARCHAR', customer_id: 'VARCHAR', event_type: 'VARCHAR', occurred_at: 'TIMESTAMPTZ',"
    " revision: 'BIGINT', is_void: 'BOOLEAN', quantity: 'DECIMAL(28,6)', user_id: 'VARCHAR',"
    " resource: 'VARCHAR', provider: 'VARCHAR', model: 'VARCHAR',"
    " input_tokens: 'BIGINT', output_tokens: 'BIGINT',"
    " cached_input_tokens: 'BIGINT', cost_usd: 'DECIMAL(28,12)', properties: 'JSON'}"
)


@dataclass(frozen=True)
class Result:
    """Medians of one comparison; seconds, and MiB at the peak of a process of its own."""

    events: int
    megabytes: float
    copy_seconds: float
    ingest_seconds: float
    copy_cpu_seconds: float
    ingest_cpu_seconds: float
    copy_peak_mib: int
    ingest_peak_mib: int

    @property
    def ratio(self) -> float:
        """How many times as long as the copy ingest takes."""
        return self.ingest_seconds / self.copy_seconds


def generate(path: Path, events: int) -> None:
    """A file of JSON lines with realistic skew; the same for the same number of events."""
    import duckdb

    draw = "(hash(i * {0}) >> 2)::bigint"
    with duckdb.connect(config={"memory_limit": "1GB"}) as connection:
        connection.execute(f"""
            copy (
                with numbers as (
                    select if(i % 97 = 0 and i > 1000, i - hash(i) % 900 - 1, i)::bigint as i
                    from range({events}) r(i)
                )
                select
                    'evt_' || lpad(to_hex(hash(i)), 16, '0') as event_id,
                    'cust_' || ({draw.format(7)} % 1000 * ({draw.format(11)} % 1000)) // 1000 as customer_id,
                    (['ai_content_generation', 'web_scraping', 'storage', 'api_call'])
                        [{draw.format(3)} % 4 + 1] as event_type,
                    strftime(
                        timestamp '2025-01-01' + to_microseconds(i * ({90 * 86_400_000_000} // {events})),
                        '%Y-%m-%dT%H:%M:%S.%fZ'
                    ) as occurred_at,
                    (({draw.format(5)} % 100000)::decimal(18, 3) / 1000)::decimal(18, 3)::varchar as quantity,
                    'user_' || {draw.format(13)} % 20000 as user_id,
                    (['openai', 'anthropic', 'google'])[{draw.format(17)} % 3 + 1] as provider,
                    (['gpt-4o', 'gpt-4o-mini', 'claude-sonnet', 'gemini-pro'])
                        [{draw.format(19)} % 4 + 1] as model,
                    {draw.format(23)} % 8000 as input_tokens,
                    {draw.format(29)} % 2000 as output_tokens,
                    (({draw.format(31)} % 1000000)::decimal(18, 6) * 0.000001)::decimal(18, 8)::varchar
                        as cost_usd,
                    {{
                        'region': (['eu', 'us'])[{draw.format(37)} % 2 + 1],
                        'feature': 'f' || {draw.format(41)} % 30
                    }} as properties
                from numbers
            ) to '{path}' (format json)
        """)


def copy(source: Path, target: Path) -> None:
    """What DuckDB does by itself."""
    import duckdb

    with duckdb.connect() as connection:
        connection.execute("set timezone = 'UTC'; set enable_progress_bar = false")
        connection.execute(f"""
            copy (
                select *, occurred_at::date as event_date
                from read_json('{source}', format = 'newline_delimited', columns = {COLUMNS})
            ) to '{target}' (format parquet, partition_by (event_date))
        """)


def ingest(source: Path, target: Path) -> None:
    """What Meterhouse does."""
    from datetime import UTC, datetime

    from pipelines.home import Home
    from pipelines.ingest import ingest_inbox
    from pipelines.settings import QuietTime

    home = Home(target).ensure()
    (home.inbox / source.name).hardlink_to(source)
    (batch,) = ingest_inbox(home, None, datetime(2026, 1, 1, tzinfo=UTC), quiet=QuietTime(0, 0)).batches
    assert batch.rows_read == batch.accepted_count + batch.duplicate_count + batch.rejected_count
    assert batch.duplicate_count > 0


STEPS: dict[str, Callable[[Path, Path], None]] = {"copy": copy, "ingest": ingest}


def measure(step: str, source: Path) -> tuple[float, float, int]:
    """Wall and processor seconds and peak MiB of a step, imports aside, in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        found = subprocess.run(
            [sys.executable, "-m", "benchmarks.ingest", "--step", step, str(source), f"{folder}/out"],
            check=True,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[1],
        ).stdout.split()
    return float(found[-3]), float(found[-2]), int(found[-1])


def _step(step: str, source: Path, target: Path) -> None:
    import pipelines.ingest  # noqa: F401 - start-up is no part of the comparison

    before = resource.getrusage(resource.RUSAGE_SELF)
    begin = time.perf_counter()
    STEPS[step](source, target)
    seconds = time.perf_counter() - begin
    after = resource.getrusage(resource.RUSAGE_SELF)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(seconds, processor, after.ru_maxrss // 1024)


def compare(events: int = 2_000_000, rounds: int = 3) -> Result:
    """Both steps in turn, ``rounds`` times, on one generated file."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "events.jsonl"
        generate(source, events)
        taken: dict[str, list[tuple[float, float, int]]] = {step: [] for step in STEPS}
        for _ in range(rounds):
            for step in STEPS:
                taken[step].append(measure(step, source))
        size = source.stat().st_size / 1e6

    def median(step: str, position: int) -> float:
        return statistics.median(row[position] for row in taken[step])

    return Result(
        events,
        size,
        median("copy", 0),
        median("ingest", 0),
        median("copy", 1),
        median("ingest", 1),
        max(row[2] for row in taken["copy"]),
        max(row[2] for row in taken["ingest"]),
    )


def main() -> None:
    """Print one comparison."""
    parser = argparse.ArgumentParser(description="JSON lines: ingest against DuckDB's own copy.")
    parser.add_argument("--events", type=int, default=2_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--step", nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.step:
        _step(given.step[0], Path(given.step[1]), Path(given.step[2]))
        return
    result = compare(given.events, given.rounds)
    print(f"{result.events:,} events, {result.megabytes:,.0f} MB of JSON lines, medians of {given.rounds}:")
    for name, seconds, processor, peak in (
        ("DuckDB copy", result.copy_seconds, result.copy_cpu_seconds, result.copy_peak_mib),
        ("ingest", result.ingest_seconds, result.ingest_cpu_seconds, result.ingest_peak_mib),
    ):
        print(f"  {name:12} {seconds:7.2f} s  {processor:7.2f} s cpu  {peak:6,} MiB peak")
    print(f"  {'ratio':12} {result.ratio:7.2f}    {result.ingest_cpu_seconds / result.copy_cpu_seconds:7.2f}")


if __name__ == "__main__":
    main()
