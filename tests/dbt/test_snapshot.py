"""daily_snapshot: a row per customer and local day, a column per meter of whatever catalog is in use."""

import shutil
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from rating_lake import RatingHome

from pipelines.catalog import load_configuration
from pipelines.catalog.products import PRODUCTS
from pipelines.catalog.tables import catalog_tables
from pipelines.home import Home

FIXED = {"usage_date", "customer_id", "total_cost_usd"}
OTHER_METERS = [
    {"meter_id": "api", "name": "Calls", "unit": "call"},
    {"meter_id": "API", "name": "Calls of the new interface", "unit": "call"},
    {"meter_id": "Customer_ID", "aggregation": "unique", "field": "user_id"},
    {"meter_id": """people's "peak" %""", "aggregation": "max", "name": "People's peak", "unit": "person"},
]


def shipped_catalog(product: str, root: Path) -> dict[str, list[dict[str, Any]]]:
    home = Home(root).ensure()
    shutil.copytree(PRODUCTS / product / "catalog", home.catalog, dirs_exist_ok=True)
    shutil.copytree(PRODUCTS / product / "accounts", home.accounts, dirs_exist_ok=True)
    configuration = load_configuration(home)
    return {
        table.name: [
            dict(zip([name for name, _ in table.columns], row, strict=True)) for row in table.rows
        ]
        for table in catalog_tables(configuration.catalog, configuration.sources)
        if table.name in ("meters", "meter_event_types", "meter_filters")
    }  # fmt: skip


def usage(event_type: str, quantity: str, at: str, **fields: str) -> dict[str, str]:
    return {"customer_id": "org", "event_type": event_type, "quantity": quantity, "occurred_at": at} | fields


EVENTS = [
    # Feeds ai_requests and users: its cost is in the day once.
    usage("ai_call", "3", "2026-03-10T10:00:00Z", user_id="ada", resource="gpt-4", cost_usd="0.10"),
    usage("ai_token", "100", "2026-03-10T10:00:00Z", resource="gpt-4", cost_usd="0.02"),
    usage("ai_token", "50", "2026-03-10T10:00:01Z", resource="gpt-3.5-turbo", cost_usd="0.003"),
    usage("api_call", "7", "2026-03-10T11:00:00Z", user_id="bob"),
    usage("webhook_delivery", "4", "2026-03-10T12:00:00Z"),
    usage("export", "1", "2026-03-10T12:00:00Z", resource="report_pdf"),
    usage("export", "2", "2026-03-10T12:00:00Z", resource="data_csv"),
    usage("storage", "10", "2026-03-10T12:00:00Z", resource="images"),
    usage("storage", "12.5", "2026-03-10T13:00:00Z", resource="images"),
    usage("storage", "5", "2026-03-10T13:00:00Z", resource="documents"),
    # 11 March in UTC, the 10th where the customer is.
    usage("api_call", "1", "2026-03-11T03:59:59Z", user_id="bob"),
    # A day whose only event feeds no meter.
    usage("login", "1", "2026-03-12T12:00:00Z"),
]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> RatingHome:
    home = RatingHome(tmp_path_factory.mktemp("snapshot"), as_of="2026-03-20T12:00:00+00:00")
    home.documents("accounts", {"customers": [{"customer_id": "org", "timezone": "America/New_York"}]})
    home.documents("catalog", shipped_catalog("mortgage_match_pro", tmp_path_factory.mktemp("product")))
    home.batch(EVENTS)
    home.build(select="+daily_snapshot")
    return home


@pytest.fixture(scope="module")
def shipped(home: RatingHome) -> list[dict[str, Any]]:
    """The snapshot under the catalog that ships with mortgage_match_pro."""
    return home.query("select * from daily_snapshot order by usage_date")


@pytest.fixture(scope="module")
def changed(home: RatingHome, shipped: list[dict[str, Any]]) -> RatingHome:
    """The same home, built on with another catalog."""
    types = {"api": "api_call", "API": "webhook_delivery", "Customer_ID": "api_call"}
    home.documents(
        "catalog",
        {
            "meters": OTHER_METERS,
            "meter_event_types": [
                {"meter_id": meter["meter_id"], "event_type": types.get(meter["meter_id"], "storage")}
                for meter in OTHER_METERS
            ],
        },
    )
    home.build(select="+daily_snapshot")
    return home


def test_the_product_has_the_columns_of_its_snapshot(shipped: list[dict[str, Any]]) -> None:
    assert [(row["usage_date"], row["customer_id"]) for row in shipped] == [
        (date(2026, 3, 10), "org"),
        (date(2026, 3, 12), "org"),
    ]
    expected = {
        "api_calls": "8",
        "ai_requests": "3",
        "ai_tokens_all": "150",
        "ai_tokens": "100",
        "webhook_deliveries": "4",
        "exports": "3",
        "reports": "1",
        "storage_mb": "17.5",
        "users": "2",
        "total_cost_usd": "0.123",
    }
    assert {name: shipped[0][name] for name in expected} == {
        name: Decimal(value) for name, value in expected.items()
    }
    assert shipped[0]["scenarios"] is None


def test_a_day_without_usage_of_a_meter_is_zero_and_a_level_without_reading_null(
    shipped: list[dict[str, Any]],
) -> None:
    levels = {"scenarios", "storage_mb"}
    day = {name: value for name, value in shipped[1].items() if name not in FIXED}
    assert {name for name, value in day.items() if value is None} == levels
    assert {value for name, value in day.items() if name not in levels} == {Decimal(0)}
    assert shipped[1]["total_cost_usd"] is None


def test_the_columns_follow_the_catalog_whatever_its_ids_are(changed: RatingHome) -> None:
    [row] = changed.query("select * from daily_snapshot where usage_date = '2026-03-10'")
    assert {name: value for name, value in row.items() if name not in FIXED} == {
        "API": Decimal(4),
        "api_": Decimal(8),
        "Customer_ID_": Decimal(1),
        """people's "peak" %""": Decimal("12.5"),
    }


def test_the_columns_of_meters_say_what_they_are(changed: RatingHome) -> None:
    comments = changed.query(
        "select column_name, comment from duckdb_columns()"
        " where table_name = 'daily_snapshot' and comment is not null"
    )
    assert {row["column_name"]: row["comment"] for row in comments} == {
        "API": "Calls of the new interface (call): sum of that day alone.",
        "api_": "Calls (call): sum of that day alone.",
        "Customer_ID_": "Customer_ID (unit): unique of that day alone.",
        """people's "peak" %""": "People's peak (person): max of that day alone.",
    }


def test_the_days_of_a_snapshot_are_those_of_daily_usage(changed: RatingHome) -> None:
    [totals] = changed.query(
        """
        select
            (select sum("API" + "api_" + "Customer_ID_") from daily_snapshot) as wide,
            (select sum(quantity) from daily_usage where meter_id in ('API', 'api', 'Customer_ID')) as long
        """
    )
    assert totals["wide"] == totals["long"] > 0
