"""An incremental warehouse equals one built from nothing, after everything that can move usage or money.

Guards against stale rows: a day, cycle or invoice that should have been computed again and was not.
"""

import csv
import json
import shutil
import uuid
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path

import duckdb
import pytest

from pipelines.catalog import copy_product, load_configuration, save_versions
from pipelines.costs import current_version, refresh_prices, resolve_new_names
from pipelines.home import Home
from pipelines.ingest import ingest_inbox
from pipelines.simulate import simulate_usage
from pipelines.warehouse import aside, builds
from pipelines.warehouse.project import PUBLISHED_LAYERS, code_version, models_in
from pipelines.warehouse.scope import BuildSettings

# Ten whole builds; on a busy machine they take longer than other tests may.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

UNTIL = date(2026, 9, 20)


def instant(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def build_warehouse(home: Home, as_of: datetime, *, from_nothing: bool = False) -> None:
    configuration = load_configuration(home)
    save_versions(home, configuration)
    ingest_inbox(home, configuration.sources, as_of)
    refresh_prices(home, as_of)
    resolve_new_names(home, configuration.catalog.alerts.models.substitutes)
    settings = BuildSettings(
        as_of=as_of,
        build_id=uuid.uuid4().hex,
        catalog_version=configuration.catalog_version,
        accounts_version=configuration.accounts_version,
        prices_version=current_version(),
        code_version=code_version(),
    )
    aside.begin_build(home, from_nothing=from_nothing)
    result = builds.build(home, settings, builds.load_manifest(home))
    assert not result.failures, [str(failure) for failure in result.failures]
    aside.promote_build(home)


def marts(home: Home) -> dict[str, list[tuple]]:
    names = [model["name"] for model in models_in(builds.load_manifest(home), PUBLISHED_LAYERS)]
    with duckdb.connect(str(home.warehouse_file), read_only=True) as connection:
        connection.execute("set TimeZone = 'UTC'")
        return {
            name: sorted(connection.execute(f"select * from {name}").fetchall(), key=repr) for name in names
        }


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., None]:
    """A home that is built incrementally, and a function that checks it against a build from nothing."""
    root = tmp_path_factory.mktemp("incremental")
    home = Home(root / "home").ensure()
    copy_product(home, "ai_pair_orchestrator")
    fresh = Home(root / "fresh").ensure()

    def check(step: str, as_of: str, *, compare: bool = True) -> None:
        build_warehouse(home, instant(as_of))
        if not compare:
            return
        for folder in ("catalog", "accounts", "lake", "inbox"):
            shutil.rmtree(fresh.root / folder)
            shutil.copytree(home.root / folder, fresh.root / folder)
        build_warehouse(fresh, instant(as_of), from_nothing=True)
        expected, found = marts(fresh), marts(home)
        assert len(expected) > 10
        differing = {
            name: {"only incremental": only(found[name], rows), "only full": only(rows, found[name])}
            for name, rows in expected.items()
            if rows != found[name]
        }
        assert not differing, f"after {step}: {differing}"

    check.home = home  # type: ignore[attr-defined]
    return check


def only(these: list[tuple], those: list[tuple]) -> list[tuple]:
    return [row for row in these if row not in those][:3]


def edit_csv(file: Path, change: Callable[[list[dict[str, str]]], None]) -> None:
    with file.open(newline="") as handle:
        reader = csv.DictReader(handle)
        header, rows = list(reader.fieldnames or ()), list(reader)
    change(rows)
    with file.open("w", newline="") as handle:
        writer = csv.DictWriter(handle, header)
        writer.writeheader()
        writer.writerows(rows)


def event(event_id: str, **fields: object) -> str:
    base = {
        "event_id": event_id,
        "customer_id": "tundra",
        "event_type": "ai_content_generation",
        "provider": "openai",
    }
    return json.dumps(base | fields) + "\n"


def test_incremental_equals_full(world: Callable[..., None]) -> None:
    home: Home = world.home  # type: ignore[attr-defined]
    waiting = home.root / "waiting"
    files = simulate_usage(
        home, events=4000, days=70, seed=3, until=UNTIL, as_of=instant("2026-09-21T00:00:00Z")
    )
    waiting.mkdir()
    half = sorted(files)[len(files) // 2 :]
    for file in half:
        shutil.move(file, waiting / file.name)
    world("the first half of the files", "2026-08-20T06:00:00Z", compare=False)

    for file in waiting.iterdir():
        shutil.move(file, home.inbox / file.name)
    world("the other half with late data", "2026-09-21T06:00:00Z", compare=False)

    (home.inbox / "corrections.jsonl").write_text(
        # Arrives after nothing: a reading carried into every later cycle, and plain usage.
        event(
            "c1", occurred_at="2026-07-14T10:00:00Z", event_type="storage", quantity="77.5", resource="disk"
        )
        + event("c2", occurred_at="2026-08-31T23:30:00Z", quantity="250", user_id="ada", cost_usd="0.50")
        + event("c3", occurred_at="2026-08-05T12:00:00Z", quantity="40", customer_id="kestrel")
        # Calls of nobody: they feed the meter of users and have none.
        + event("c5", occurred_at="2026-08-06T12:00:00Z", event_type="api_call")
        + event("c6", occurred_at="2026-08-06T12:00:00Z", event_type="api_call")
    )
    world("late readings", "2026-09-22T06:00:00Z", compare=False)

    (home.inbox / "corrections_2.jsonl").write_text(
        event("c2", revision=1, occurred_at="2026-09-01T00:30:00Z", quantity="250", customer_id="northwind")
        + event("c1", revision=2, is_void=True, occurred_at="2026-07-14T10:00:00Z", event_type="storage")
        + event("c3", revision=1, occurred_at="2026-09-02T12:00:00Z", quantity="41", customer_id="kestrel")
        + event("c4", occurred_at="2026-09-03T12:00:00Z", customer_id="newcomer", quantity="9")
        + event("c6", revision=1, occurred_at="2026-08-06T12:00:00Z", event_type="api_call", user_id="ada")
    )
    world("revisions that move day and customer, and a void", "2026-09-23T06:00:00Z")
    [mute] = [row for row in marts(home)["unbilled_usage"] if "no_quantity" in row]
    assert mute[:5] == (date(2026, 8, 6), "tundra", "api_call", "no_quantity", 1)

    def move_customers(rows: list[dict[str, str]]) -> None:
        for row in rows:
            if row["customer_id"] == "bluefin":
                row["timezone"] = "America/New_York"
            if row["customer_id"] == "marigold":
                row["inactive_from"] = "2026-09-10"
        rows.append(dict.fromkeys(rows[0], "") | {"customer_id": "newcomer", "timezone": "Asia/Tokyo"})

    def move_subscriptions(rows: list[dict[str, str]]) -> None:
        for row in rows:
            if row["subscription_id"] == "sub_tundra":
                row["ended_on"] = "2026-09-05"
        template = dict.fromkeys(rows[0], "")
        rows.append(
            template
            | {"subscription_id": "sub_tundra_2", "customer_id": "tundra", "plan_id": "professional"}
            | {"started_on": "2026-09-05", "billing_anchor_day": "1"}
        )
        rows.append(
            template
            | {"subscription_id": "sub_newcomer", "customer_id": "newcomer", "plan_id": "starter"}
            | {"started_on": "2026-09-01", "billing_anchor_day": "31"}
        )

    edit_csv(home.accounts / "customers.csv", move_customers)
    edit_csv(home.accounts / "subscriptions.csv", move_subscriptions)
    plans = home.catalog / "plans.yml"
    plans.write_text(plans.read_text().replace('included: "100"', 'included: "90"', 1))
    world("accounts and an allowance edited", "2026-09-23T08:00:00Z")

    meters = home.catalog / "meters.yml"
    text = meters.read_text()
    assert "event_types: [web_scraping]" in text
    meters.write_text(text.replace("event_types: [web_scraping]", "event_types: [web_scraping, storage]", 1))
    world(
        "a meter fed by one more event type, the clock in the next month",
        "2026-10-02T06:00:00Z",
        compare=False,
    )
    world("the clock back again", "2026-09-15T06:00:00Z")
