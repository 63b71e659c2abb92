"""A home whose usage, documents and clock move on, with every kind of meter and two currencies. No tests here."""

import io
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from pipelines.books.closing import ClosingOutcome, close_books
from pipelines.cli import main
from pipelines.costs import refresh_prices, resolve_new_names
from pipelines.home import Home
from pipelines.ingest import ingest_inbox
from pipelines.serving.publish import publish_build
from pipelines.session import Session
from pipelines.settings import Settings
from pipelines.warehouse import aside, builds

METERS = """
meters:
  - {id: requests, name: Requests, unit: request, event_types: [request], aggregation: count}
  - {id: calls, name: Calls, unit: call, event_types: [call], aggregation: sum, field: quantity}
  - {id: seats, name: Seats, unit: seat, event_types: [seat], aggregation: max, field: quantity, per: resource, carry_forward: true}
  - {id: disk, name: Disk, unit: GB, event_types: [disk], aggregation: latest, field: quantity}
  - {id: users, name: Users, unit: user, event_types: [login], aggregation: unique, field: user_id}
  - {id: tokens, name: Tokens, unit: token, event_types: [model], aggregation: sum, field: quantity}
"""
PLANS = """
plans:
  - id: team
    name: Team
    rank: 1
    currency: USD
    price: "31"
    effective_from: 2025-01-01
    charges:
      - {meter: requests, included: "5", capacity: {unit_amount: "0.4"}, overage: {model: per_unit, unit_amount: "0.5"}}
      - meter: calls
        included: "100"
        overage: {model: graduated, tiers: [{up_to: "50", unit_amount: "0.11"}, {up_to: unlimited, unit_amount: "0.07"}]}
      - {meter: seats, included: "2", overage: {model: per_unit, unit_amount: "4"}}
      - {meter: disk, included: "1", overage: {model: per_unit, unit_amount: "0.5"}}
      - {meter: users, included: "1", overage: {model: per_unit, unit_amount: "3.33"}}
  - id: enterprise
    name: Enterprise
    rank: 2
    currency: USD
    price: "40"
    effective_from: 2025-01-01
    charges:
      - {meter: requests, included: "1000"}
      - {meter: calls, included: "9000"}
      - {meter: seats, included: "90"}
      - {meter: disk, included: "900"}
      - {meter: users, included: "90"}
  - id: daily
    name: Daily
    rank: 1
    currency: EUR
    price: "20"
    effective_from: 2025-01-01
    charges:
      - {meter: calls, included: "8", reset: day, overage: {model: per_unit, unit_amount: "0.13"}}
  - id: passed_on
    name: Passed on
    rank: 3
    currency: USD
    price: "5"
    effective_from: 2025-01-01
    charges:
      - {meter: tokens, included: "0", overage: {model: cost_plus, multiplier: "1.2"}}
"""
PRICES = (
    "provider,model,event_type,unit,usd_per_unit,valid_from,valid_to\nacme,m,,quantity,0.013,2025-01-01,\n"
)
CUSTOMERS = (
    "customer_id,name,timezone,stripe_customer_id\n"
    "ada,Ada,UTC,cus_ada\nbo,Bo,Asia/Kolkata,cus_bo\ncy,Cy,America/New_York,cus_cy\n"
)
SUBSCRIPTIONS = (
    "subscription_id,customer_id,plan_id,started_on,ended_on,billing_anchor_day\n"
    "s-ada,ada,team,2026-01-01,,1\ns-bo,bo,daily,2026-01-01,,15\ns-cy,cy,passed_on,2026-01-01,,%s\n"
)
BUDGETS = (
    "customer_id,period,measure,amount,currency,thresholds,pause_at\n"
    "ada,month,invoice,50,USD,,\ncy,month,provider_cost,1,USD,,\n"
)
KINDS = {"ada": ("request", "call", "seat", "disk", "login"), "bo": ("call",), "cy": ("model",)}
Event = dict[str, Any]


def at_six(month: int, day: int) -> datetime:
    """A clock in 2026."""
    return datetime(2026, month, day, 6, tzinfo=UTC)


@dataclass
class MovingHome:
    """A home on a folder; what it is given waits until ``read`` or ``close``."""

    root: Path
    files: int = 0
    home: Home = field(init=False)
    session: Session | None = None
    """That of the last closing."""

    def __post_init__(self) -> None:
        self.home = Home(self.root).ensure()
        self.document("catalog/meters.yml", METERS)
        self.document("catalog/plans.yml", PLANS)
        self.document("catalog/prices.csv", PRICES)
        self.document("accounts/customers.csv", CUSTOMERS)
        self.document("accounts/subscriptions.csv", SUBSCRIPTIONS % 1)
        self.document("accounts/budgets.csv", BUDGETS)

    def document(self, name: str, content: str) -> None:
        (self.root / name).write_text(content, encoding="utf-8")

    def put(self, events: list[Event]) -> list[Event]:
        """A file in the inbox."""
        self.files += 1
        content = "".join(json.dumps(event) + "\n" for event in events)
        (self.home.inbox / f"{self.files:02}.jsonl").write_text(content, encoding="utf-8")
        return events

    def usage(self, first: date, last: date) -> list[Event]:
        """An event of every kind and customer on every other day: equal arguments, equal events."""
        events = []
        for number in range(0, (last - first).days + 1, 2):
            day = first + timedelta(days=number)
            events += [
                {
                    "event_id": f"{customer}-{kind}-{day}",
                    "customer_id": customer,
                    "event_type": kind,
                    "occurred_at": f"{day}T{5 + number % 17:02}:30:00Z",
                    "quantity": str(2 + number % 13),
                    "user_id": f"u-{number % 5}",
                    "resource": "ab"[number % 4 // 2],
                    "provider": "acme",
                    "model": "m",
                }
                for customer, kinds in KINDS.items()
                for kind in kinds
            ]
        return events

    def read(self, as_of: datetime) -> Session:
        """Take in what waits, as a run does before it builds."""
        session = Session(Settings(self.home, as_of))
        session.adopt()
        ingest_inbox(self.home, None, as_of)
        refresh_prices(self.home, as_of)
        resolve_new_names(self.home)
        return session

    def run(self, as_of: datetime) -> None:
        """Take in what waits, build and publish, as a run does."""
        session, manifest = self.read(as_of), builds.load_manifest(self.home)
        settings = session.dbt_settings({})
        aside.begin_build(self.home, from_nothing=aside.built_with(self.home) != settings.code_version)
        result = builds.build(self.home, settings, manifest)
        assert result.failures == []
        aside.promote_build(self.home)
        publish_build(self.home, settings, manifest, session.settings.now())

    def close(self, through: date, as_of: datetime) -> ClosingOutcome:
        self.session = self.read(as_of)
        return close_books(self.session, through)

    def published(self, sql: str) -> list[tuple[Any, ...]]:
        with duckdb.connect(str(self.home.published_file), read_only=True) as connection:
            connection.execute("set TimeZone = 'UTC'")
            return connection.execute(sql).fetchall()

    def published_rows(self) -> dict[str, list[tuple[Any, ...]]]:
        """All that people read, by table."""
        return published_rows(self.home)


def published_rows(home: Home) -> dict[str, list[tuple[Any, ...]]]:
    """All that people read, by table; when and by which build it was made aside, and when closings were."""
    with duckdb.connect(str(home.published_file), read_only=True) as connection:
        connection.execute("set TimeZone = 'UTC'")
        tables = [name for (name,) in connection.execute("show tables").fetchall()]
        return {
            name: connection.execute(
                f"""select columns(lambda name: name != 'recorded_at') from "{name}" order by all"""
            ).fetchall()
            for name in tables
            if name != "meterhouse_publication"
        }


def meterhouse(home: Home, *arguments: str) -> tuple[int, str, str]:
    """The command line in this process: exit code, what it says and what it complains of."""
    said, complaints = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(said), redirect_stderr(complaints):
        patch.setattr(sys, "argv", ["meterhouse", *arguments, "--home", str(home.root)])
        patch.setenv("COLUMNS", "200")
        with pytest.raises(SystemExit) as ended:
            main()
    return int(ended.value.code or 0), said.getvalue(), complaints.getvalue()


@contextmanager
def without_checks() -> Iterator[None]:
    """The marts' checks have tests of their own and take most of a build's time."""
    invoke = builds._invoke

    def quicker(command: list[str], *rest: Any, **named: Any) -> Any:
        if command[0] == "build":
            command = [word for word in command if not word.startswith("--exclude-resource-type")]
            command += ["--exclude-resource-type", "unit_test", "test"]
        return invoke(command, *rest, **named)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(builds, "_invoke", quicker)
        yield


def home_with_three_months(root: Path, as_of: datetime) -> Home:
    """A home after a run in 2026, whose first three months nobody has closed."""
    with pytest.MonkeyPatch.context() as patch, without_checks():
        patch.delenv("METERHOUSE_LEDGER_URL", raising=False)
        moving = MovingHome(root)
        moving.put(moving.usage(date(2026, 1, 1), date(2026, 3, 31)))
        moving.run(as_of)
    return moving.home


def changed(event: Event, **fields: object) -> Event:
    """The next revision of an event."""
    return event | {"revision": event.get("revision", 0) + 1} | fields
