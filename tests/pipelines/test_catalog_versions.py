"""Versions of catalog and accounts in the lake: named by facts, whole or absent, never changed."""

from datetime import date
from decimal import Decimal

import duckdb
import pyarrow.parquet as pq
import pytest

from pipelines.catalog import copy_product, list_products, load_configuration, save_versions
from pipelines.errors import ConfigurationError, any_of
from pipelines.home import Home

CATALOG_TABLES = {
    "meters",
    "meter_event_types",
    "meter_filters",
    "meter_features",
    "plans",
    "charges",
    "charge_tiers",
    "prices",
    "fx_rates",
    "currencies",
    "alert_settings",
    "issuer",
    "sources",
    "files",
}
ACCOUNTS_TABLES = {"customers", "subscriptions", "overrides", "budgets", "files"}


@pytest.fixture
def home(tmp_path):
    home = Home(tmp_path / "home")
    copy_product(home, "crm_usage_billing")
    return home


def edit(home, name, before, after):
    path = home.root / name
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after))


def versions(home):
    configuration = load_configuration(home)
    return configuration.catalog_version, configuration.accounts_version


def table(home, part, name):
    configuration = load_configuration(home)
    version = configuration.catalog_version if part == "catalog" else configuration.accounts_version
    return pq.read_table(home.lake / part / version / f"{name}.parquet")


def test_a_version_is_a_folder_with_every_table(home):
    save_versions(home, load_configuration(home))
    catalog, accounts = versions(home)
    assert {path.stem for path in (home.lake / "catalog" / catalog).iterdir()} == CATALOG_TABLES
    assert {path.stem for path in (home.lake / "accounts" / accounts).iterdir()} == ACCOUNTS_TABLES
    assert [path.name for path in (home.lake / "catalog").iterdir()] == [catalog]
    assert len(catalog) == len(accounts) == 32


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        ("catalog/plans.yml", '"29.00"', '"29"'),
        ("catalog/plans.yml", "# What is sold.", "# Sold:"),
        ("catalog/plans.yml", "limit: hard}", "limit: hard, reset: cycle}"),
        ("catalog/plans.yml", "effective_from: 2024-01-01", 'effective_from: "2024-01-01"'),
        ("catalog/alerts.yml", '["0.75", "0.9", "1"]', '["1", "0.90", "0.75"]'),
        ("accounts/customers.csv", "user_ada,Ada Moreau", " user_ada , Ada Moreau"),
        ("accounts/subscriptions.csv", "2026-01-01,,1\nsub_ben_1", "2026-01-01,,\nsub_ben_1"),
    ],
)
def test_formatting_does_not_change_a_version(home, name, before, after):
    was = versions(home)
    edit(home, name, before, after)
    assert versions(home) == was


def test_the_order_of_rows_does_not_change_a_version(home):
    was = versions(home)
    path = home.accounts / "customers.csv"
    header, *rows = path.read_text().splitlines()
    path.write_text("\n".join([header, *reversed(rows)]) + "\n")
    assert versions(home) == was


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        ("catalog/plans.yml", '"29.00"', '"29.01"'),
        ("catalog/meters.yml", "field: total_tokens", "field: input_tokens"),
        ("catalog/alerts.yml", '"0.9"', '"0.95"'),
        ("catalog/sources.yml", "occurred_at: created_at", "occurred_at: at"),
        ("catalog/plans.yml", '{meter: api_calls, included: "1000", limit: hard}\n', ""),
    ],
)
def test_a_fact_changes_the_version_of_the_catalog_alone(home, name, before, after):
    if not after:
        before = "      - " + before
    was = versions(home)
    edit(home, name, before, after)
    now = versions(home)
    assert now[0] != was[0]
    assert now[1] == was[1]


def test_a_fact_of_the_accounts_changes_their_version_alone(home):
    was = versions(home)
    edit(home, "accounts/customers.csv", "Europe/Paris", "Europe/Rome")
    now = versions(home)
    assert now[0] == was[0]
    assert now[1] != was[1]


def test_the_order_of_charges_is_a_fact(home):
    was = versions(home)
    first = "      - {meter: api_calls, included: unlimited}\n"
    second = "      - {meter: ai_tokens, included: unlimited}\n"
    edit(home, "catalog/plans.yml", first + second, second + first)
    assert versions(home)[0] != was[0]


def test_a_version_that_is_there_is_not_touched_and_others_stay(home):
    save_versions(home, load_configuration(home))
    old = home.lake / "catalog" / versions(home)[0]
    stamps = {path: path.stat().st_mtime_ns for path in old.iterdir()}
    edit(home, "catalog/plans.yml", "# What is sold.", "# Sold:")
    save_versions(home, load_configuration(home))
    edit(home, "catalog/plans.yml", '"29.00"', '"31.00"')
    save_versions(home, load_configuration(home))
    assert {path: path.stat().st_mtime_ns for path in old.iterdir()} == stamps
    assert len(list((home.lake / "catalog").iterdir())) == 2


def test_what_a_killed_run_left_is_no_version(home):
    configuration = load_configuration(home)
    leftover = home.lake / "catalog" / f".{configuration.catalog_version}.1.tmp"
    leftover.mkdir(parents=True)
    (leftover / "meters.parquet").write_bytes(b"half")
    save_versions(home, configuration)
    assert [path.name for path in (home.lake / "catalog").iterdir()] == [configuration.catalog_version]


def test_money_is_exact_and_typed(home):
    save_versions(home, load_configuration(home))
    charges = table(home, "catalog", "charges")
    assert str(charges.schema.field("included").type) == "decimal128(38, 12)"
    assert str(charges.schema.field("effective_from").type) == "date32[day]"
    assert str(table(home, "catalog", "prices").schema.field("usd_per_unit").type) == "decimal128(38, 18)"
    [row] = [
        row
        for row in charges.to_pylist()
        if (row["plan_id"], row["meter_id"]) == ("pay_per_use", "api_calls")
    ]
    assert row == {
        "plan_id": "pay_per_use",
        "effective_from": date(2024, 1, 1),
        "meter_id": "api_calls",
        "position": 1,
        "included": Decimal("0E-12"),
        "prorate_included": False,
        "reset": "cycle",
        "limit": "soft",
        "capacity_unit_amount": None,
        "overage_model": "package",
        "unit_amount": None,
        "package_size": Decimal(1000),
        "package_amount": Decimal("0.10"),
        "flat_amount": None,
        "multiplier": None,
        "invoice_zero": False,
    }
    tiers = table(home, "catalog", "charge_tiers").to_pylist()
    assert [(tier["tier_number"], tier["up_to"], tier["unit_amount"]) for tier in tiers] == [
        (1, Decimal(1000000), Decimal("0.002")),
        (2, Decimal(10000000), Decimal("0.0016")),
        (3, None, Decimal("0.0012")),
    ]


def test_duckdb_reads_every_table_with_the_promised_types(home):
    (home.accounts / "overrides.csv").write_text(
        "subscription_id,meter_id,included\nsub_ada,storage_gb,unlimited\n"
    )
    configuration = load_configuration(home)
    save_versions(home, configuration)
    folder = home.lake / "accounts" / configuration.accounts_version
    with duckdb.connect() as connection:
        rows = connection.execute(
            "select included, is_unlimited, typeof(included), typeof(valid_from)"
            f" from '{folder}/overrides.parquet'"
        ).fetchall()
    assert rows == [(None, True, "DECIMAL(38,12)", "DATE")]


def test_the_documents_are_kept_as_read(home):
    save_versions(home, load_configuration(home))
    kept = {row["path"]: row["content"] for row in table(home, "accounts", "files").to_pylist()}
    assert kept["accounts/customers.csv"] == (home.accounts / "customers.csv").read_text()
    assert all(path.startswith("accounts/") for path in kept)


def test_alert_settings_are_complete_also_without_a_document(home):
    (home.catalog / "alerts.yml").unlink()
    save_versions(home, load_configuration(home))
    settings = {row["key"]: row["value"] for row in table(home, "catalog", "alert_settings").to_pylist()}
    assert settings == {
        "usage_thresholds": '["0.75","0.9","1"]',
        "budget_thresholds": '["0.5","0.8","1"]',
        "spike": '{"lookback_days":7,"min_quantity":"100","ratio":"2"}',
        "recommendations": (
            '{"downgrade_below":"0.3","lookback_cycles":3,"max_cost_per_request":"0.05",'
            '"meters":null,"upgrade_above":"0.9"}'
        ),
        "models": '{"allowed":null,"fallback":null,"substitutes":{}}',
        "destinations": '["env:METERHOUSE_ALERT_URL"]',
    }


def test_the_feature_that_a_meter_requires_is_a_fact(home):
    save_versions(home, load_configuration(home))
    assert table(home, "catalog", "meter_features").to_pylist() == []
    before = versions(home)
    meter = "    event_types: [api_call]\n"
    edit(home, "catalog/meters.yml", meter, f"{meter}    requires_feature: billing_type\n")
    save_versions(home, load_configuration(home))
    assert versions(home) != before
    required = {"meter_id": "api_calls", "feature": "billing_type"}
    assert table(home, "catalog", "meter_features").to_pylist() == [required]


def test_a_product_is_copied_once_and_never_over_other_documents(home):
    copy_product(home, "crm_usage_billing")
    edit(home, "catalog/plans.yml", '"29.00"', '"31.00"')
    before = {path: path.read_bytes() for path in home.root.rglob("*.*") if path.is_file()}
    with pytest.raises(ConfigurationError, match=r"catalog/plans\.yml") as caught:
        copy_product(home, "crm_usage_billing")
    assert caught.value.exit_code == 2
    with pytest.raises(ConfigurationError, match="its own catalog"):
        copy_product(home, "coachos")
    assert {path: path.read_bytes() for path in home.root.rglob("*.*") if path.is_file()} == before


def test_an_unknown_product_names_the_known_ones(tmp_path):
    with pytest.raises(ConfigurationError, match=f"write {any_of(list_products())}"):
        copy_product(Home(tmp_path / "home"), "crm")
    assert not (tmp_path / "home").exists()
