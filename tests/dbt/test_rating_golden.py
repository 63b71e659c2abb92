"""A month of each product, worked out by hand.

tests/golden/<product>.yml holds accounts, usage and the bill with its arithmetic. The catalogs are those that
ship; all products are rated in one build, told apart by a prefix.
"""

import ast
import operator
import shutil
from collections.abc import Iterator
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import yaml
from rating_lake import RatingHome

from pipelines.catalog import load_configuration
from pipelines.catalog.products import PRODUCTS, list_products
from pipelines.catalog.tables import accounts_tables, catalog_tables
from pipelines.home import Home

GOLDEN = Path(__file__).parents[1] / "golden"
NAMES = ("meter_id", "plan_id", "event_type", "customer_id", "subscription_id")
WRITTEN = {
    "meters",
    "meter_event_types",
    "meter_filters",
    "plans",
    "charges",
    "charge_tiers",
    "customers",
    "subscriptions",
    "overrides",
}
OPERATORS = {ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv}


def worked_out(text: object) -> Fraction:
    """The value of a written sum, exactly."""

    def value(node: ast.expr) -> Fraction:
        if isinstance(node, ast.BinOp):
            return OPERATORS[type(node.op)](value(node.left), value(node.right))
        assert isinstance(node, ast.Constant)
        return Fraction(str(node.value))

    return value(ast.parse(str(text), mode="eval").body)


def golden(product: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.load((GOLDEN / f"{product}.yml").read_text(), Loader=yaml.BaseLoader)
    return found


def rows_of(product: str, root: Path) -> dict[str, list[dict[str, Any]]]:
    """The shipped catalog and the golden accounts, validated, with the product's name before every id."""
    home = Home(root)
    home.ensure()
    for file in (PRODUCTS / product / "catalog").iterdir():
        shutil.copy(file, home.catalog)
    for name in ("customers.csv", "subscriptions.csv", "overrides.csv"):
        (home.accounts / name).write_text(golden(product)[name])
    configuration = load_configuration(home)
    tables = catalog_tables(configuration.catalog, configuration.sources) + accounts_tables(
        configuration.accounts
    )
    found = {}
    for table in tables:
        if table.name in WRITTEN:
            columns = [name for name, _ in table.columns]
            found[table.name] = [
                {
                    column: f"{product}/{cell}" if column in NAMES else cell
                    for column, cell in zip(columns, row, strict=True)
                }
                for row in table.rows
            ]
    assert set(found) == WRITTEN
    return found


def events_of(product: str) -> Iterator[dict[str, Any]]:
    for usage in golden(product)["usage"]:
        fields = {
            key: value for key, value in usage.items() if key not in ("customer", "type", "at", "times")
        }
        for number in range(int(usage.get("times", 1))):
            yield {
                "customer_id": f"{product}/{usage['customer']}",
                "event_type": f"{product}/{usage['type']}",
                "occurred_at": usage["at"],
                **{key: value.replace("{n}", str(number)) for key, value in fields.items()},
            }


@pytest.fixture(scope="module")
def rated(tmp_path_factory: pytest.TempPathFactory) -> RatingHome:
    home = RatingHome(tmp_path_factory.mktemp("golden"), as_of="2026-10-02T12:00:00+00:00")
    merged: dict[str, list[dict[str, Any]]] = {name: [] for name in WRITTEN}
    for product in list_products():
        for name, rows in rows_of(product, tmp_path_factory.mktemp(product)).items():
            merged[name] += rows
    home.documents("catalog", merged)
    home.documents("accounts", merged)
    home.batch(event for product in list_products() for event in events_of(product))
    home.build()
    return home


@pytest.mark.parametrize("product", list_products())
def test_the_bill_of_a_month(product: str, rated: RatingHome) -> None:
    bill = golden(product)
    expected = {
        (line["subscription"], line["line"], line.get("meter"), line["from"]): (
            Decimal(line["quantity"]),
            worked_out(line["amount"]),
            int(line["minor"]),
        )
        for line in bill["lines"]
    }

    def without(name: str | None) -> str | None:
        return name and name.removeprefix(f"{product}/")

    found = {
        (
            without(row["subscription_id"]),
            row["line_type"],
            without(row["meter_id"]),
            str(row["service_start"]),
        ): (row["quantity"], Fraction(row["amount"]), row["amount_minor"])
        for row in rated.query(f"select * from invoice_lines where starts_with(customer_id, '{product}/')")
    }
    assert found == expected
    invoices = {
        (without(row["customer_id"]), row["currency"], str(row["period_start"]), str(row["period_end"])): row[
            "total_minor"
        ]
        for row in rated.query(f"select * from invoices where starts_with(customer_id, '{product}/')")
    }
    assert invoices == {
        (row["customer"], row["currency"], row["from"], row["to"]): worked_out(row["total"])
        for row in bill["invoices"]
    }
