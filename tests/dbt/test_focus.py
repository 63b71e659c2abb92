"""focus_charges obeys FOCUS 1.4, and what checks it finds every kind of fault."""

import csv
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest
from books_home import BooksHome
from focus_rules import column_violations, dataset_violations, row_violations
from rating_lake import ISSUER

from models.focus import SERVICE_CATEGORIES
from pipelines.documents import export_focus, read_document, read_month
from pipelines.documents.compose import compose_credit_note, compose_invoice
from pipelines.documents.render import render_html, render_pdf
from pipelines.documents.write import FORMATS, write_documents
from pipelines.errors import ConfigurationError, MeterhouseError
from pipelines.home import Home
from pipelines.serving.publish import Publication, PublishedTable, publish

pytestmark = pytest.mark.slow

METERS = [
    {"meter_id": "calls", "name": "Calls", "unit": "call"},
    {"meter_id": "seats", "name": "Seats", "unit": "seat", "aggregation": "max"},
    {"meter_id": "gb", "name": "Storage", "unit": "GB", "aggregation": "max"},
    {"meter_id": "tokens", "name": "Tokens", "unit": "token"},
]
PLANS = [
    {"plan_id": "pro", "name": "Professional", "price": "99"},
    {"plan_id": "tiers", "name": "Tiered", "price": "0.005", "currency": "KWD"},
]
CHARGES = [
    {"plan_id": "pro", "meter_id": "calls", "included": "100", "overage_model": "per_unit", "unit_amount": "0.007",
     "capacity_unit_amount": "0.02"},
    {"plan_id": "pro", "meter_id": "seats", "included": "2", "overage_model": "per_unit", "unit_amount": "10"},
    {"plan_id": "pro", "meter_id": "gb", "included": "0", "overage_model": "flat", "flat_amount": "3"},
    {"plan_id": "tiers", "meter_id": "tokens", "included": "0", "overage_model": "graduated"},
]  # fmt: skip
TIERS = [
    {"plan_id": "tiers", "meter_id": "tokens", "tier_number": 1, "up_to": "10", "unit_amount": "0.1"},
    {"plan_id": "tiers", "meter_id": "tokens", "tier_number": 2, "unit_amount": "0.05"},
]
CUSTOMERS = [
    {"customer_id": "berlin", "name": "Berlin GmbH", "timezone": "Europe/Berlin"},
    {"customer_id": "kuwait", "name": "Kuwait WLL", "timezone": "Asia/Kuwait"},
    {"customer_id": "agreed", "name": "Agreed Inc.", "timezone": "America/New_York"},
]
SUBSCRIPTIONS = [
    # From 16 March: 16 of 31 days.
    {"subscription_id": "s_berlin", "customer_id": "berlin", "plan_id": "pro", "started_on": "2026-03-16",
     "ended_on": "2026-04-01"},
    {"subscription_id": "s_kuwait", "customer_id": "kuwait", "plan_id": "tiers", "started_on": "2026-03-01"},
    {"subscription_id": "s_agreed", "customer_id": "agreed", "plan_id": "pro", "started_on": "2026-03-01"},
]  # fmt: skip
OVERRIDES = [
    {"subscription_id": "s_agreed", "meter_id": "calls", "included": "150", "unit_amount": "0.005"},
]


def used(customer: str, meter: str, quantity: str, **values: object) -> dict[str, object]:
    instant = "2026-03-20T12:00:00Z"
    return {"event_id": f"{customer}-{meter}", "customer_id": customer, "event_type": meter, "quantity": quantity,
            "occurred_at": instant} | values  # fmt: skip


EVENTS = [
    used("berlin", "calls", "333"),
    used("berlin", "seats", "5"),
    used("berlin", "gb", "12.5"),
    used("kuwait", "tokens", "25.5"),
    used("agreed", "calls", "1000"),
]
LATE = [
    used("berlin", "calls", "100", event_id="late-1"),
    used("kuwait", "tokens", "2", event_id="late-2"),
    used("agreed", "calls", "900", revision=1),
]


DOCUMENTS = (
    "+focus_charges +invoices +credit_notes +credit_note_lines +invoice_lines +monthly_usage +daily_usage +issuer"
    " plans meters customers"
)


def issued_by(home: BooksHome, name: str) -> None:
    """The catalog, with an issuer of this name in it."""
    home.documents("catalog", {
        "meters": METERS, "plans": PLANS, "charges": CHARGES, "charge_tiers": TIERS, "issuer": [ISSUER | {"name": name}],
        "meter_event_types": [{"meter_id": meter["meter_id"], "event_type": meter["meter_id"]} for meter in METERS],
    })  # fmt: skip


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> BooksHome:
    """March is closed, then usage of March arrives, then April is closed.

    berlin, which has left, gets an invoice of its own, kuwait a line on its next invoice, agreed a credit note.
    """
    home = BooksHome(tmp_path_factory.mktemp("focus"), as_of="2026-04-03T00:00:00+00:00")
    issued_by(home, "First issuer")
    home.documents(
        "accounts", {"customers": CUSTOMERS, "subscriptions": SUBSCRIPTIONS, "overrides": OVERRIDES}
    )
    home.batch(EVENTS)
    assert home.close("2026-03-31") is not None
    home.as_of = "2026-05-03T00:00:00+00:00"
    home.batch(LATE)
    issued_by(home, "Second issuer")
    assert home.close("2026-04-30") is not None
    home.build(select=DOCUMENTS)
    return home


@pytest.fixture(scope="module")
def charges(home: BooksHome) -> list[dict[str, Any]]:
    return home.query("select * from focus_charges order by InvoiceId, InvoiceDetailId")


@pytest.fixture(scope="module")
def totals(home: BooksHome) -> dict[str, Decimal]:
    minor_units = {"USD": 2, "KWD": 3}
    documents = home.query(
        "select invoice_number as number, currency, total_minor from invoices where invoice_number is not null"
        " union all select credit_note_number, currency, -amount_minor from credit_notes"
    )
    return {
        row["number"]: Decimal(row["total_minor"]).scaleb(-minor_units[row["currency"]]) for row in documents
    }


def by(charges: list[dict[str, Any]], customer: str, kind: str, meter: str | None = None) -> dict[str, Any]:
    """The charge for March."""
    [found] = [
        row
        for row in charges
        if (row["BillingAccountId"], row["x_LineType"], row["x_MeterId"]) == (customer, kind, meter)
        and row["ChargePeriodStart"] < datetime(2026, 3, 31, tzinfo=UTC)
    ]
    return found


def test_every_charge_conforms(charges, totals):
    assert not column_violations(list(charges[0]))
    assert {row["InvoiceId"]: found for row in charges if (found := row_violations(row))} == {}
    assert not dataset_violations(charges, totals)
    assert {row["x_LineType"] for row in charges} == {"price", "capacity", "usage", "adjustment", "credit"}
    # March's three, April's two, berlin's own and a credit note.
    assert len(totals) == 7


def test_unit_prices_are_the_plans_and_the_customers(charges):
    partial = by(charges, "berlin", "price")
    assert (partial["PricingUnit"], partial["ListUnitPrice"]) == ("Months", 99)
    assert partial["PricingQuantity"] == Decimal("0.516129032258")  # 16 of 31 days
    assert partial["BilledCost"] == Decimal("51.10")

    calls = by(charges, "berlin", "usage", "calls")
    assert (calls["ConsumedQuantity"], calls["ConsumedUnit"]) == (233, "Calls")
    assert (calls["PricingQuantity"], calls["PricingUnit"]) == (233, "Calls")
    assert calls["ListUnitPrice"] == calls["ContractedUnitPrice"] == Decimal("0.007")
    assert (calls["ListCost"], calls["BilledCost"]) == (Decimal("1.631"), Decimal("1.63"))

    # A level is priced for the time it is served.
    seats = by(charges, "berlin", "usage", "seats")
    assert (seats["PricingUnit"], seats["ListUnitPrice"], seats["ContractedUnitPrice"]) == (
        "Seat-Months",
        10,
        10,
    )
    assert (seats["PricingQuantity"], seats["ConsumedQuantity"]) == (Decimal("1.548387096774"), 3)

    # No single unit price: the charge as a whole.
    for customer, meter in (("kuwait", "tokens"), ("berlin", "gb")):
        whole = by(charges, customer, "usage", meter)
        assert (whole["PricingQuantity"], whole["PricingUnit"]) == (1, "Charges")
        assert whole["ListUnitPrice"] == whole["ContractedCost"]
    assert by(charges, "kuwait", "usage", "tokens")["BilledCost"] == Decimal("1.775")
    flat = by(charges, "berlin", "usage", "gb")
    assert (flat["ConsumedUnit"], flat["ListCost"], flat["BilledCost"]) == (
        "GB", Decimal("1.548387096774"), Decimal("1.55"))  # fmt: skip

    # 850 over 150, at the agreed price; the plan's own is the list price.
    agreed = by(charges, "agreed", "usage", "calls")
    assert (agreed["ListUnitPrice"], agreed["ContractedUnitPrice"]) == (Decimal("0.007"), Decimal("0.005"))
    assert (agreed["ListCost"], agreed["ContractedCost"], agreed["BilledCost"]) == (
        Decimal("5.95"), Decimal("4.25"), Decimal("4.25"))  # fmt: skip
    bought = by(charges, "agreed", "capacity", "calls")
    assert (bought["ChargeCategory"], bought["PricingQuantity"], bought["ListUnitPrice"]) == (
        "Purchase", 50, Decimal("0.02"))  # fmt: skip


def test_periods_are_the_customers_days_in_utc(charges):
    partial = by(charges, "berlin", "price")
    assert partial["BillingPeriodStart"] == datetime(2026, 2, 28, 23, tzinfo=UTC)
    assert partial["BillingPeriodEnd"] == datetime(2026, 3, 31, 22, tzinfo=UTC)  # summer time has begun
    assert partial["ChargePeriodStart"] == datetime(2026, 3, 15, 23, tzinfo=UTC)


def test_corrections_are_charges_of_a_later_billing_period(charges):
    expected = {
        # Issued on documents of their own in May; kuwait's is on its invoice of April.
        ("berlin", "adjustment", "calls"): (Decimal("0.70"), "2026-05-01"),
        ("agreed", "credit", "calls"): (Decimal("-0.50"), "2026-05-01"),
        ("kuwait", "adjustment", "tokens"): (Decimal("0.100"), "2026-04-01"),
    }
    for key, (billed, month) in expected.items():
        row = by(charges, *key)
        assert (row["ChargeClass"], row["ChargeCategory"], row["BilledCost"]) == (
            "Correction",
            "Usage",
            billed,
        )
        assert row["ChargePeriodEnd"] <= row["BillingPeriodStart"]
        assert row["x_BillingMonth"].isoformat() == month
        original = by(charges, key[0], "usage", key[2])
        assert row["x_CorrectedInvoiceId"] == original["InvoiceId"] != row["InvoiceId"]
    assert by(charges, "agreed", "credit", "calls")["InvoiceId"] == "CN-000001"


MUTATIONS: list[tuple[str, Callable[[dict[str, Any]], None], str]] = [
    ("a cost that is null", lambda row: row.update(BilledCost=None, EffectiveCost=None), "BilledCost is null"),
    ("a float", lambda row: row.update(ListCost=float(row["ListCost"])), "ListCost is no decimal"),
    ("an empty text", lambda row: row.update(BillingAccountName=""), "empty text"),
    ("an unknown category", lambda row: row.update(ChargeCategory="Fee"), "ChargeCategory is Fee"),
    ("an unknown class", lambda row: row.update(ChargeClass="Refund"), "ChargeClass is Refund"),
    ("an unknown frequency", lambda row: row.update(ChargeFrequency="Monthly"), "ChargeFrequency is Monthly"),
    ("an unknown service", lambda row: row.update(ServiceCategory="AI"), "ServiceCategory is AI"),
    ("a purchase by usage", lambda row: row.update(ChargeCategory="Purchase"), "a purchase is not usage-based"),
    ("no price id", lambda row: row.update(SkuPriceId=None), "SkuPriceId is null on a priced charge"),
    ("no unit price", lambda row: row.update(ListUnitPrice=None), "ListUnitPrice is null on a priced charge"),
    ("no unit", lambda row: row.update(PricingUnit=None), "PricingUnit and PricingQuantity"),
    ("no consumption", lambda row: row.update(ConsumedQuantity=None, ConsumedUnit=None), "ConsumedQuantity is null"),
    ("a cost of its own", lambda row: row.update(ListCost=row["ListCost"] + 1), "ListCost is not ListUnitPrice"),
    ("a negative price", lambda row: row.update(ContractedUnitPrice=-row["ContractedUnitPrice"]), "is negative"),
    ("another effective cost", lambda row: row.update(EffectiveCost=Decimal(0)), "EffectiveCost is not BilledCost"),
    ("a local instant", lambda row: row.update(ChargePeriodStart=datetime(2026, 3, 1)), "is not in UTC"),
    ("a currency in words", lambda row: row.update(BillingCurrency="Euro"), "no ISO 4217"),
    ("a correction of nothing", lambda row: row.update(ChargeClass="Correction"), "ChargeClass must be Correction"),
    ("an unmarked correction",
     lambda row: row.update(BillingPeriodStart=row["ChargePeriodEnd"],
                            BillingPeriodEnd=row["ChargePeriodEnd"] + timedelta(days=30)),
     "ChargeClass must be Correction"),
    ("a foreign property", lambda row: row.update(SkuPriceDetails='{"Model": "per_unit"}'), "neither of FOCUS"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("mutate", "words"), [case[1:] for case in MUTATIONS], ids=[case[0] for case in MUTATIONS]
)
def test_the_rules_find_a_fault(charges, mutate, words):
    row = dict(by(charges, "berlin", "usage", "calls"))
    assert not row_violations(row)
    mutate(row)
    assert any(words in found for found in row_violations(row)), row_violations(row)


def test_the_rules_find_faults_of_the_dataset(charges, totals):
    columns = list(charges[0])
    assert column_violations([name for name in columns if name != "HostProviderName"]) == [
        "HostProviderName is missing"
    ]
    assert column_violations([*columns, "ProviderName"]) == ["ProviderName was removed in 1.4"]
    assert column_violations([*columns, "PlanId"]) == ["PlanId is no FOCUS column and lacks x_"]
    assert column_violations([*columns, "x_plan_id"]) == ["x_plan_id is not in Pascal case"]
    assert any("is not its total" in found for found in dataset_violations(charges[1:], totals))
    assert any("occurs 2 times" in found for found in dataset_violations([*charges, charges[0]], totals))
    moved = dict(by(charges, "berlin", "usage", "calls"), SkuId="meter/other", InvoiceDetailId="other")
    assert any("belongs to" in found for found in dataset_violations([*charges, moved], totals))


def test_the_catalogs_vocabulary_is_that_of_focus():
    from focus_rules import ALLOWED

    assert set(SERVICE_CATEGORIES.values()) == ALLOWED["ServiceCategory"]
    assert SERVICE_CATEGORIES["Generative AI"] == "AI and Machine Learning"


@pytest.fixture(scope="module")
def published(home: BooksHome) -> Path:
    return publish_documents(home)


def publish_documents(home: BooksHome) -> Path:
    tables = (
        "focus_charges", "invoices", "invoice_lines", "credit_notes", "credit_note_lines", "monthly_usage", "daily_usage",
        "plans", "meters", "customers", "issuer",
    )  # fmt: skip
    now = datetime.fromisoformat(home.as_of)
    publication = Publication(now, now, home.versions["catalog"], home.versions["accounts"], "tests", "tests")
    return publish(Home(home.root), [PublishedTable(name) for name in tables], publication).file


MARCH = datetime(2026, 3, 1).date()


def test_csv_says_what_the_mart_says(published, charges, tmp_path):
    exported = export_focus(published, MARCH, tmp_path / "march.csv")
    expected = [row for row in charges if row["x_BillingMonth"] == MARCH]
    with exported.file.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert exported.charge_count == len(rows) == len(expected) > 0
    for row, charge in zip(rows, expected, strict=True):
        assert list(row) == list(charge)
        assert Decimal(row["BilledCost"]) == charge["BilledCost"]
        assert row["BillingPeriodStart"] == charge["BillingPeriodStart"].astimezone(UTC).strftime(
            "%Y-%m-%dT%H:%M:%SZ"
        )
        assert not set("E,") & set(row["ListCost"])
        assert (row["ChargeClass"], row["ChargeDescription"]) == ("", charge["ChargeDescription"])
    again = export_focus(published, MARCH, tmp_path / "again.csv")
    assert again.file.read_bytes() == exported.file.read_bytes()


def test_parquet_keeps_types_and_metadata_names_every_column(published, charges, tmp_path):
    exported = export_focus(published, datetime(2026, 5, 1).date(), tmp_path / "may.parquet")
    table = pl.read_parquet(exported.file)
    assert table.height == 2
    assert table.schema["BilledCost"] == pl.Decimal(38, 24)
    assert set(table["ChargeClass"]) == {"Correction"}
    [schema] = json.loads(exported.metadata_file.read_text())["Schema"]
    assert (schema["FocusVersion"], schema["FocusDatasetId"]) == ("1.4", "CostAndUsage")
    assert (
        [column["ColumnName"] for column in schema["ColumnDefinition"]] == table.columns == list(charges[0])
    )


def test_an_export_overwrites_nothing_and_names_an_empty_month(published, tmp_path):
    with pytest.raises(MeterhouseError, match="nothing was issued for 2026-01"):
        export_focus(published, datetime(2026, 1, 1).date(), tmp_path / "january.csv")
    with pytest.raises(ConfigurationError, match="neither"):
        export_focus(published, MARCH, tmp_path / "march.xlsx")
    (tmp_path / "march.csv").write_text("mine")
    with pytest.raises(ConfigurationError, match="there already"):
        export_focus(published, MARCH, tmp_path / "march.csv")
    assert [path.name for path in tmp_path.iterdir()] == ["march.csv"]
    export_focus(published, MARCH, tmp_path / "march.csv", may_overwrite=True)
    assert (tmp_path / "march.csv").read_text() != "mine"


def test_documents_explain_what_a_closing_corrected(published, charges, tmp_path):
    """The tables that documents read are these marts, not those of a test."""
    adjustment = by(charges, "kuwait", "adjustment", "tokens")
    read = read_document(published, adjustment["InvoiceId"])
    document = compose_invoice(read.invoices[0])
    own, corrections = document.groups
    [line] = corrections.lines
    assert line.notes == (
        f"Corrects invoice {adjustment['x_CorrectedInvoiceId']}",
        "Cause: 1 event known later: late-2",
    )
    assert (line.period, line.quantity, line.amount) == ("1 – 31 Mar 2026", "2", "0.100")
    assert (document.customer.name, [row.amount for row in own.lines]) == ("Kuwait WLL", ["0.005"])
    assert document.totals[-1].amount == "KWD 0.105"
    credited = read_document(published, "CN-000001")
    note = compose_credit_note(credited.credit_notes[0])
    assert note.figure.amount == "USD 0.50"
    assert note.groups[0].lines[0].notes == ("Cause: 1 event known later: agreed-calls",)
    for composed in (document, note):
        assert render_pdf(composed, tmp_path / "fonts").startswith(b"%PDF")


def test_a_dbt_test_holds_the_sums_to_the_documents(home: BooksHome):
    home.build(command="test", select="focus_sums_to_documents")
    with duckdb.connect(str(home.warehouse_file)) as warehouse:
        warehouse.execute("create table kept as from focus_charges")
        warehouse.execute("delete from focus_charges where InvoiceId = 'CN-000001'")
    try:
        with pytest.raises(AssertionError, match="focus_sums_to_documents"):
            home.build(command="test", select="focus_sums_to_documents")
    finally:
        with duckdb.connect(str(home.warehouse_file)) as warehouse:
            warehouse.execute("insert into focus_charges from kept")
            warehouse.execute("drop table kept")


def written(published: Path, folder: Path) -> dict[str, bytes]:
    """Every document of March to May in every format, and their FOCUS files."""
    for month in (3, 4, 5):
        first = datetime(2026, month, 1).date()
        read = read_month(published, first)
        write_documents(read, FORMATS, folder, folder / "fonts")
        export_focus(published, first, folder / f"{month}.csv")
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def test_what_is_issued_keeps_the_issuer_of_its_closing(home: BooksHome, published, charges, tmp_path):
    """issuer.yml was another one at March's closing, and becomes another one now; this test comes last."""
    issuers = {row["InvoiceId"]: row["InvoiceIssuerName"] for row in charges}
    assert issuers["INV-000001"] == "First issuer"
    assert issuers["CN-000001"] == "Second issuer"
    before = written(published, tmp_path / "before")
    assert len(before) > 20
    issued_by(home, "Third issuer")
    home.as_of = "2026-06-03T00:00:00+00:00"
    home.build(select=DOCUMENTS)
    assert written(publish_documents(home), tmp_path / "after") == before
    assert home.close("2026-05-31") is not None
    home.build(select=DOCUMENTS)
    newest = read_month(publish_documents(home), datetime(2026, 5, 1).date())
    assert {invoice.issuer.name for invoice in newest.invoices if invoice.head.period_end.month == 6} == {
        "Third issuer"
    }
    assert b"Third issuer" in render_html(compose_invoice(newest.invoices[0]))
