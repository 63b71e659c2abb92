"""Workloads for benchmarks, written by DuckDB alone: raw JSON lines, a lake, and the accounts they belong to.

Skewed like production (few customers hold most events), but without the troubles of ``pipelines.simulate``:
here only volume counts. Measuring does not belong here. Equal arguments give equal rows.
"""

import hashlib
from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

import duckdb

from pipelines.home import Home
from pipelines.lake.batches import ensure_lake

EVENT_TYPES = ("ai_content_generation", "web_scraping", "api_call", "storage")
"""Those of the product ai_pair_orchestrator, the most frequent first."""
MODELS = ("gpt-4o-mini", "gpt-4o", "claude-sonnet-4-5")

_BATCH_COLUMNS = """
    batch_id VARCHAR, source_file VARCHAR, status VARCHAR, rows_read BIGINT, accepted_count BIGINT,
    duplicate_count BIGINT, rejected_count BIGINT, ingested_at TIMESTAMPTZ, message VARCHAR,
    separate_event_count BIGINT, max_revision BIGINT,
    event_dates STRUCT(event_date DATE, event_count BIGINT)[]
"""


def write_jsonl(
    path: Path,
    *,
    events: int,
    days: int,
    customers: int,
    seed: int,
    until: date = date(2026, 1, 1),
    event_types: Sequence[str] = EVENT_TYPES,
) -> Path:
    """Write one file of ``events`` native records (contracts: section 2) over the days before ``until``, UTC.

    Rows are in order of time. Decimals are strings; what an event has not is left out.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with _connect() as connection:
        rows = _events_sql(0, events, days, customers, seed, until - timedelta(days=days), event_types)
        # A COPY to CSV without quotes writes lines as they are; keys without a value are not written.
        connection.execute(f"""
            copy (
                select
                    '{{"event_id":"' || event_id || '","customer_id":"' || customer_id
                    || '","event_type":"' || event_type
                    || '","occurred_at":"' || strftime(occurred_at, '%Y-%m-%dT%H:%M:%S.%fZ')
                    || '","quantity":"' || quantity::varchar || '","user_id":"' || user_id
                    || '","resource":"' || resource || '"'
                    || coalesce(
                        ',"provider":"' || provider || '","model":"' || model
                        || '","input_tokens":' || input_tokens || ',"output_tokens":' || output_tokens
                        || ',"cost_usd":"' || cost_usd::varchar || '"', ''
                    )
                    || ',"properties":' || properties || '}}'
                from ({rows})
            ) to {_text(path)} (format csv, header false, quote '', escape '', delimiter '\x01')
        """)
    return path


def write_lake(
    home: Home,
    *,
    events: int,
    days: int,
    customers: int,
    seed: int,
    until: date = date(2026, 1, 1),
    event_types: Sequence[str] = EVENT_TYPES,
) -> None:
    """Write a lake with one batch per day, as homes had it before there were commits, and take it over.

    ``events`` are spread evenly over the ``days`` before ``until``. The payload_hash of a row is unique,
    but not the one that ingest would compute.
    """
    lake = home.lake
    for folder in ("events", "batches"):
        (lake / folder).mkdir(parents=True, exist_ok=True)
    start = until - timedelta(days=days)
    with _connect() as connection:
        connection.execute(f"create temp table batches ({_BATCH_COLUMNS})")
        for day in range(days):
            first, last = events * day // days, events * (day + 1) // days
            if first < last:
                _write_day(
                    connection, lake, start + timedelta(days=day), first, last, customers, seed, event_types
                )
    ensure_lake(home)


def write_accounts(accounts: Path, *, customers: int, plans: Sequence[str], started_on: date) -> None:
    """Write customers.csv and subscriptions.csv for the customers of these workloads, plans in turn."""
    accounts.mkdir(parents=True, exist_ok=True)
    listed = "[" + ", ".join(_text(plan) for plan in plans) + "]"
    with _connect() as connection:
        connection.execute(f"""
            copy (
                select {_CUSTOMER} as customer_id, 'Customer ' || customer as name, 'UTC' as timezone
                from range({customers}) as numbers(customer)
            ) to {_text(accounts / "customers.csv")} (header)
        """)
        connection.execute(f"""
            copy (
                select
                    'sub_' || customer as subscription_id, {_CUSTOMER} as customer_id,
                    {listed}[(customer % {len(plans)}) + 1] as plan_id, date '{started_on}' as started_on
                from range({customers}) as numbers(customer)
            ) to {_text(accounts / "subscriptions.csv")} (header)
        """)


_PARQUET = "(format parquet, compression zstd)"
_CUSTOMER = "'cust_' || lpad(customer::varchar, 6, '0')"


def _connect() -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    connection.execute("set timezone = 'UTC'")
    return connection


def _text(value: object) -> str:
    return "'" + str(value).replace("'", "''") + "'"


def _events_sql(
    first: int, last: int, days: int, customers: int, seed: int, start: date, event_types: Sequence[str]
) -> str:
    """Rows [first, last) as event fields; the time runs evenly over the days, the rest is hashed."""

    def draw(salt: int) -> str:
        return f"(hash(i, {seed}, {salt}) % 1000003 / 1000003.0::double)"

    types = "[" + ", ".join(_text(name) for name in event_types) + "]"
    models = "[" + ", ".join(_text(name) for name in MODELS) + "]"
    step = f"(i - {first}) * ({days} * 86400000000 / {max(last - first, 1)})"
    # The eighth power of a draw leaves six tenths of the events to the first fiftieth of the customers.
    return f"""
        select
            'evt_{seed}_' || i as event_id,
            {_CUSTOMER} as customer_id,
            event_type,
            timestamp '{start}' + to_microseconds(cast(floor({step}) as bigint)) as occurred_at,
            case when event_type = 'storage' then 1 + (i % 500) else 1 + floor(3 * pow({draw(2)}, 6)) end
                ::decimal(28, 6) as quantity,
            {_CUSTOMER} || '-u' || floor(40 * pow({draw(3)}, 2))::bigint as user_id,
            'resource-' || (hash(i, {seed}, 4) % 5) as resource,
            case when is_model and model like 'gpt%' then 'openai' when is_model then 'anthropic' end
                as provider,
            case when is_model then model end as model,
            case when is_model then tokens end as input_tokens,
            case when is_model then 1 + tokens // 4 end as output_tokens,
            case when is_model then tokens * 0.0000035 end::decimal(28, 12) as cost_usd,
            '{{"region":"eu-' || (hash(i, {seed}, 5) % 4)
                || '","latency_ms":' || (hash(i, {seed}, 6) % 4000) || '}}' as properties,
            i
        from (
            select
                i, customer, event_type, {models}[floor(3 * pow({draw(7)}, 2))::bigint + 1] as model,
                event_type = {_text(event_types[0])} as is_model,
                -- Heavy tail (Pareto) from 150 tokens on, at most 200,000.
                least(floor(150 / pow(1 - {draw(8)}, 0.8)), 200000)::bigint as tokens
            from (
                select
                    i, floor({customers} * pow({draw(0)}, 8))::bigint as customer,
                    {types}[floor({len(event_types)} * pow({draw(1)}, 1.6))::bigint + 1] as event_type
                from range({first}, {last}) as numbers(i)
            )
        )
    """


def _write_day(
    connection: duckdb.DuckDBPyConnection,
    lake: Path,
    day: date,
    first: int,
    last: int,
    customers: int,
    seed: int,
    event_types: Sequence[str],
) -> None:
    name = f"usage_{day}.jsonl"
    batch = hashlib.sha256(f"{seed}:{name}:{first}:{last}".encode()).hexdigest()[:32]
    arrived = datetime.combine(day + timedelta(days=1), time(1), UTC).isoformat()
    folder = lake / "events" / f"event_date={day}"
    folder.mkdir(exist_ok=True)
    rows = _events_sql(first, last, 1, customers, seed, day, event_types)
    connection.execute(f"""
        copy (
            select
                event_id, customer_id, event_type, occurred_at at time zone 'UTC' as occurred_at,
                0::bigint as revision, false as is_void, quantity, user_id, resource, provider, model,
                input_tokens, output_tokens, null::bigint as cached_input_tokens, cost_usd, properties,
                timestamptz '{arrived}' as ingested_at, '{batch}' as batch_id, '{name}' as source_file,
                i - {first} + 1 as source_row, md5('{batch}' || i) as payload_hash
            from ({rows})
        ) to {_text(folder / f"{batch}.parquet")} {_PARQUET}
    """)
    connection.execute("delete from batches")
    connection.execute(
        f"insert into batches select '{batch}', '{name}', 'committed', {last - first}, {last - first}, 0, 0, "
        f"timestamptz '{arrived}', null, 0, 0, "
        f"[{{event_date: date '{day}', event_count: {last - first}}}]"
    )
    connection.execute(f"copy batches to {_text(lake / 'batches' / f'{batch}.parquet')} {_PARQUET}")
