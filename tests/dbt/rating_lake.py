"""A home for rating tests: its lake written directly from rows, and dbt run on it.

No validation and no ingest: what a row says is what the models read.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
from dbt.adapters.duckdb.connections import DuckDBConnectionManager
from dbt.cli.main import dbtRunner
from parsed import parsed_project

from models.frames import BATCHES, empty_frame
from pipelines.home import Home
from pipelines.ingest import ensure_lake
from pipelines.lake.commits import Staging, last_commit, read_lake
from pipelines.lake.places import files_besides_commits

PROJECT = Path(__file__).parents[2] / "dbt_project"
Row = Mapping[str, Any]

MONEY = "decimal(38, 12)"
FILES = "path varchar, sha256 varchar, content varchar"
CATALOG = {
    "meters": """meter_id varchar, name varchar, unit varchar, aggregation varchar, field varchar,
        carry_forward boolean, per varchar, billable boolean""",
    "meter_event_types": "meter_id varchar, event_type varchar",
    "meter_filters": "meter_id varchar, field varchar, value varchar",
    "meter_features": "meter_id varchar, feature varchar",
    "plans": f"""plan_id varchar, effective_from date, name varchar, rank bigint, currency varchar,
        price {MONEY}, proration varchar, features varchar""",
    "charges": f"""plan_id varchar, effective_from date, meter_id varchar, position bigint, included {MONEY},
        prorate_included boolean, reset varchar, "limit" varchar, capacity_unit_amount {MONEY},
        overage_model varchar, unit_amount {MONEY}, package_size {MONEY}, package_amount {MONEY},
        flat_amount {MONEY}, multiplier {MONEY}, invoice_zero boolean""",
    "charge_tiers": f"""plan_id varchar, effective_from date, meter_id varchar, tier_number bigint,
        up_to {MONEY}, unit_amount {MONEY}, flat_amount {MONEY}""",
    "prices": """provider varchar, model varchar, event_type varchar, unit varchar,
        usd_per_unit decimal(38, 18), valid_from date, valid_to date""",
    "fx_rates": f"rate_date date, base varchar, quote varchar, rate {MONEY}",
    "currencies": "currency varchar, minor_units bigint",
    "alert_settings": "key varchar, value varchar",
    "issuer": """name varchar, address varchar, tax_id varchar, email varchar, website varchar,
        payment_terms_days bigint, payment_instructions varchar, note varchar, service_category varchar,
        service_subcategory varchar""",
    "files": FILES,
}
ACCOUNTS = {
    "customers": """customer_id varchar, name varchar, email varchar, timezone varchar, inactive_from date,
        stripe_customer_id varchar""",
    "subscriptions": """subscription_id varchar, customer_id varchar, plan_id varchar, plan_version date,
        started_on date, ended_on date, billing_anchor_day bigint""",
    "overrides": f"""subscription_id varchar, meter_id varchar, included {MONEY}, is_unlimited boolean,
        unit_amount {MONEY}, valid_from date, valid_to date""",
    "budgets": f"""customer_id varchar, period varchar, measure varchar, amount {MONEY}, currency varchar,
        thresholds varchar, pause_at {MONEY}""",
    "files": FILES,
}
EVENTS = """event_id varchar, customer_id varchar, event_type varchar, occurred_at timestamptz,
    revision bigint, is_void boolean, quantity decimal(28, 6), user_id varchar, resource varchar,
    provider varchar, model varchar, input_tokens bigint, output_tokens bigint, cached_input_tokens bigint,
    cost_usd decimal(28, 12), properties varchar, ingested_at timestamptz, batch_id varchar,
    source_file varchar, source_row bigint, payload_hash varchar"""
DEFAULTS: dict[str, dict[str, Any]] = {
    "meters": {
        "unit": "unit",
        "aggregation": "sum",
        "field": "quantity",
        "carry_forward": False,
        "billable": True,
    },
    "plans": {
        "effective_from": "2020-01-01",
        "rank": 1,
        "currency": "USD",
        "price": "0",
        "proration": "day",
        "features": "{}",
    },
    "charges": {
        "effective_from": "2020-01-01",
        "position": 1,
        "prorate_included": False,
        "reset": "cycle",
        "limit": "soft",
        "invoice_zero": False,
    },
    "charge_tiers": {"effective_from": "2020-01-01", "unit_amount": "0", "flat_amount": "0"},
    "customers": {"timezone": "UTC"},
    "subscriptions": {"billing_anchor_day": 1},
    "overrides": {"is_unlimited": False},
    "events": {
        "revision": 0,
        "is_void": False,
        "quantity": "1",
        "properties": "{}",
        "source_file": "usage.jsonl",
        "payload_hash": "",
        "ingested_at": "2026-01-01T00:00:00Z",
    },
}
ISSUER = {
    "name": "Test issuer",
    "service_category": "AI and Machine Learning",
    "service_subcategory": "Generative AI",
}
CURRENCIES = [("USD", 2), ("EUR", 2), ("JPY", 0), ("KWD", 3), ("CLF", 4)]


def _columns(schema: str) -> list[tuple[str, str]]:
    """Names and types of a schema text; types may hold commas."""
    parts, depth, start = [], 0, 0
    for index, letter in enumerate(schema + ","):
        depth += (letter == "(") - (letter == ")")
        if letter == "," and depth == 0:
            name, _, kind = schema[start:index].strip().partition(" ")
            parts.append((name.strip('"'), kind))
            start = index + 1
    return parts


def _text(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return format(value, "f") if isinstance(value, Decimal) else str(value)


def connect(database: str = ":memory:", *, read_only: bool = False) -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect(database, read_only=read_only)
    connection.execute("set TimeZone = 'UTC'")
    return connection


def write_parquet(path: Path, schema: str, rows: Iterable[Row], kind: str = "") -> None:
    """Rows to one Parquet file with exactly the schema; absent columns take the table's defaults."""
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = _columns(schema)
    filled = [DEFAULTS.get(kind, {}) | dict(row) for row in rows]
    unknown = {key for row in filled for key in row} - {name for name, _ in columns}
    assert not unknown, f"{path.name} has no columns {unknown}"
    frame = pl.DataFrame(
        {name: [_text(row.get(name)) for row in filled] for name, _ in columns},
        schema={name: pl.String for name, _ in columns},
    )
    casts = ", ".join(f'cast("{name}" as {kind}) as "{name}"' for name, kind in columns)
    with connect() as connection:
        connection.register("frame", frame)
        connection.execute(f"copy (select {casts} from frame) to '{path}' (format parquet, compression zstd)")


@dataclass
class RatingHome:
    """A home under a folder; every build may bring new catalog, accounts and batches of events."""

    root: Path
    as_of: str = "2024-07-01T12:00:00+00:00"
    builds: int = 0
    batches: int = 0
    versions: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        ensure_lake(Home(self.root))
        (self.root / "warehouse").mkdir(exist_ok=True)

    @property
    def warehouse_file(self) -> Path:
        """Named like every home's, since views and the parsed project name their database."""
        return self.root / "warehouse/meterhouse.duckdb"

    def documents(self, kind: str, tables: Mapping[str, Iterable[Row]]) -> None:
        """A new catalog or accounts version; tables that are not given are empty."""
        schemas = CATALOG if kind == "catalog" else ACCOUNTS
        rows = {name: [dict(row) for row in tables.get(name, [])] for name in schemas}
        if kind == "catalog":
            rows["currencies"] = [{"currency": name, "minor_units": digits} for name, digits in CURRENCIES]
            rows["issuer"] = rows["issuer"] or [ISSUER]
            for meter in rows["meters"]:
                meter.setdefault("name", meter["meter_id"])
            for plan in rows["plans"]:
                plan.setdefault("name", plan["plan_id"])
            for position, charge in enumerate(rows["charges"], 1):
                charge.setdefault("position", position)
        version = hashlib.sha256(json.dumps(rows, default=str, sort_keys=True).encode()).hexdigest()[:32]
        self.versions[kind] = version
        for name, schema in schemas.items():
            write_parquet(self.root / f"lake/{kind}/{version}/{name}.parquet", schema, rows[name], name)

    def batch(self, events: Iterable[Row], replaces: str | None = None) -> str:
        """One batch of accepted events, as ingest would commit it; its id."""
        self.batches += 1
        batch_id = hashlib.sha256(str(self.batches).encode()).hexdigest()[:32]
        rows = [dict(row, batch_id=batch_id, source_row=number) for number, row in enumerate(events, 1)]
        for number, row in enumerate(rows):
            row.setdefault("event_id", f"event-{self.batches}-{number}")
        home = Home(self.root)
        with Staging(home) as staging, connect() as connection:
            aside = staging.folder / "all.parquet"
            write_parquet(aside, EVENTS, rows, "events")
            connection.execute(
                f"create table events as select *, cast(occurred_at as date) as d from '{aside}'"
            )
            days = connection.execute("select d, count(*) from events group by d order by d").fetchall()
            for day, count in days:
                file = staging.folder / f"{day}.parquet"
                connection.execute(
                    f"copy (select * exclude (d) from events where d = '{day}') to '{file}' (format parquet)"
                )
                staging.add(file, "events", row_count=count, batch_ids=[batch_id], event_date=day)
            manifest = {
                "batch_id": batch_id,
                "source_file": f"{self.batches}.jsonl",
                "status": "committed",
                "rows_read": len(rows),
                "accepted_count": len(rows),
                "duplicate_count": 0,
                "rejected_count": 0,
                "ingested_at": datetime.fromisoformat(self.as_of),
                "message": None,
                "separate_event_count": 0,
                "max_revision": max((int(row.get("revision", 0)) for row in rows), default=None),
                "event_dates": [{"event_date": day, "event_count": count} for day, count in days],
                "source": None,
                "mapping_hash": None,
                "replaces": replaces,
            }
            staging.commit(read_lake(home), pl.DataFrame([manifest], schema=empty_frame(BATCHES).schema))
        return batch_id

    def build(
        self,
        *,
        full_refresh: bool = False,
        rebuild: Mapping[str, Any] | None = None,
        command: str = "run",
        select: str = "+invoices +invoice_lines +plan_comparisons +overages +monthly_usage +int_rating_faults",
        told: Mapping[str, Any] | None = None,
    ) -> None:
        """Run dbt on the home; a failure shows what failed."""
        self.builds += 1
        settings = {
            "home": str(self.root),
            "as_of": self.as_of,
            "catalog_version": self.versions["catalog"],
            "accounts_version": self.versions["accounts"],
            "prices_version": self.versions.get("prices", ""),
            "build_id": f"build-{self.builds}",
            "code_version": "tests",
            "lake_head": str(last_commit(Home(self.root)) or ""),
            "lake_files": files_besides_commits(Home(self.root), self.versions.get("prices", "")),
            "rebuild": rebuild or {},
            "warehouse_file": str(self.warehouse_file),
            **(told or {}),
        }
        arguments = [
            command,
            "--project-dir",
            str(PROJECT),
            "--profiles-dir",
            str(PROJECT),
            "--target-path",
            str(self.root / "target"),
            "--log-path",
            str(self.root / "logs"),
            "--select",
            *select.split(),
            "--quiet",
            "--no-use-colors",
            "--log-level-file",
            "none",
            "--no-write-json",
            "--vars",
            json.dumps(settings),
        ]
        if command == "build":
            arguments += ["--exclude-resource-type", "unit_test", "--indirect-selection", "cautious"]
        if full_refresh:
            arguments.append("--full-refresh")
        try:
            result = dbtRunner(manifest=parsed_project()).invoke(arguments)
        finally:
            DuckDBConnectionManager.close_all_connections()
        failed = [
            f"{row.node.name}: {row.message}"
            for row in result.result or []
            if row.status in ("error", "fail")
        ]
        assert result.success, f"{failed or result.exception}"

    def query(self, sql: str) -> list[dict[str, Any]]:
        with connect(str(self.warehouse_file), read_only=True) as connection:
            cursor = connection.execute(sql)
            names = [column[0] for column in cursor.description or []]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
