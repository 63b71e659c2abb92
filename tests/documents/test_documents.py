"""Documents say what the published file says, to the digit, whatever the texts in it are."""

import csv
import dataclasses
import io
import json
import re
from datetime import date
from decimal import Decimal
from html.parser import HTMLParser
from pathlib import Path

import duckdb
import pytest
from published_files import APRIL, line, rows, write_published

from pipelines.documents import read_document, read_month, write_documents, write_invoices
from pipelines.documents.chart import bar_chart
from pipelines.documents.compose import Document, cause_text, compose_credit_note, compose_invoice
from pipelines.documents.render import _compiler, render_html, render_pdf
from pipelines.documents.tables import render_csv
from pipelines.documents.text import (
    money_text,
    period_text,
    plain_money_text,
    plain_quantity_text,
    quantity_text,
)
from pipelines.errors import ConfigurationError, MeterhouseError
from pipelines.home import Home


@pytest.fixture(scope="module")
def fonts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fonts")


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_published(tmp_path_factory.mktemp("published") / "meterhouse.duckdb", rows())


def composed(file: Path, name: str) -> Document:
    published = read_document(file, name)
    if published.invoices:
        return compose_invoice(published.invoices[0])
    return compose_credit_note(published.credit_notes[0])


def changed(tmp_path: Path, **tables: list) -> Path:
    return write_published(tmp_path / "changed.duckdb", rows() | tables)


class Text(HTMLParser):
    """The texts that a reader of the page sees, and the tags they came with."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.tags: set[str] = set()
        self.feed(page.decode())

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)

    def handle_data(self, data):
        if data.strip():
            self.texts.append(data.strip())


# Texts of figures


@pytest.mark.parametrize(
    ("minor", "units", "printed", "plain"),
    [
        (0, 2, "0.00", "0.00"),
        (5, 2, "0.05", "0.05"),
        (-5, 2, "−0.05", "-0.05"),
        (123456789, 2, "1,234,567.89", "1234567.89"),
        (123456, 0, "123,456", "123456"),
        (-1, 0, "−1", "-1"),
        (999, 3, "0.999", "0.999"),
        (1000, 3, "1.000", "1.000"),
        (12345, 4, "1.2345", "1.2345"),
        # Beyond what a float can tell apart.
        (9007199254740993, 2, "90,071,992,547,409.93", "90071992547409.93"),
    ],
)
def test_money_has_the_currencys_digits(minor, units, printed, plain):
    assert (money_text(minor, units), plain_money_text(minor, units)) == (printed, plain)


@pytest.mark.parametrize(
    ("quantity", "printed", "plain"),
    [
        ("0.000000000000", "0", "0"),
        ("1234.500000000000", "1,234.5", "1234.5"),
        ("1000000", "1,000,000", "1000000"),
        ("0.000000000001", "0.000000000001", "0.000000000001"),
        ("-3150.25", "−3,150.25", "-3150.25"),
        ("12345678901234567890.123456", "12,345,678,901,234,567,890.123456", "12345678901234567890.123456"),
    ],
)
def test_quantities_keep_every_digit_that_says_something(quantity, printed, plain):
    assert (quantity_text(Decimal(quantity)), plain_quantity_text(Decimal(quantity))) == (printed, plain)


@pytest.mark.parametrize(
    ("first", "last", "words"),
    [
        ("2026-03-01", "2026-03-31", "1 – 31 Mar 2026"),
        ("2026-01-15", "2026-02-14", "15 Jan – 14 Feb 2026"),
        ("2025-12-15", "2026-01-14", "15 Dec 2025 – 14 Jan 2026"),
        ("2026-03-01", "2026-03-01", "1 Mar 2026"),
    ],
)
def test_periods_name_both_days(first, last, words):
    assert period_text(date.fromisoformat(first), date.fromisoformat(last)) == words


# What documents say


def test_an_invoice_has_its_lines_periods_totals_and_usage(file):
    document = composed(file, "INV-000001")
    assert (document.heading, document.number, document.is_draft) == ("Invoice", "INV-000001", False)
    assert document.customer.name == "Acme & Söhne"
    # Issued at 22:30 UTC: the next day in Berlin; due 14 days later.
    assert dict(document.facts) == {
        "Status": "Issued", "Issued": "4 Apr 2026", "Due": "18 Apr 2026", "Billing period": "1 – 31 Mar 2026",
        "Currency": "USD"}  # fmt: skip
    [group] = document.groups
    assert (group.title, group.note) == ("Professional", "Subscription sub_acme")
    assert [(row.quantity, row.amount, row.period) for row in group.lines] == [
        ("", "99.00", "1 – 31 Mar 2026"), ("3,150", "63.00", "1 – 31 Mar 2026"), ("0.5", "0.25", "1 – 31 Mar 2026")
    ]  # fmt: skip
    assert [(row.label, row.amount) for row in document.totals] == [
        ("Total", "USD 162.25"),
        ("Credit note CN-000001 of 4 May 2026", "− USD 2.00"),
        ("After credit notes", "USD 160.25"),
    ]
    calls, seats = document.usage
    assert dict(calls.figures) == {"Used": "4,150", "Included": "1,000", "Beyond": "3,150"}
    assert calls.caption == "highest day: 2,000.5 on 17 Mar"
    assert (calls.first_day, calls.last_day) == ("1 Mar", "31 Mar")
    assert calls.chart.count("<rect") == 30  # the 8th has no usage
    assert (dict(seats.figures), seats.chart, seats.caption) == (
        {"Used": "0", "Included": "unlimited"}, None, "no usage")  # fmt: skip


def test_an_adjustment_is_explained_under_its_own_heading(file):
    document = composed(file, "INV-000002")
    _, corrections = document.groups
    assert corrections.title == "Corrections of earlier invoices"
    [row] = corrections.lines
    assert row.period == "1 – 31 Mar 2026"
    assert row.notes == ("Corrects invoice INV-000001", "Cause: 1 event known later: evt_late_1")
    assert [(total.label, total.amount) for total in document.totals] == [
        ("Charges of this period", "USD 99.00"),
        ("Corrections of earlier invoices", "USD 2.50"),
        ("Total", "USD 101.50"),
    ]
    assert document.figure.label == "Paid"
    assert document.payment == ()


def test_a_credit_note_names_what_it_credits(file):
    document = composed(file, "CN-000001")
    assert dict(document.facts)["Credits invoice"] == "INV-000001"
    assert document.figure.amount == "USD 2.00"
    [row] = document.groups[0].lines
    assert row.amount == "2.00"
    assert row.notes == ("Cause: overrides sub_acme api_calls: included is 1100, was empty",)


@pytest.mark.parametrize(("status", "words"), [("draft", "still open"), ("ready", "has not been issued")])
def test_what_is_not_issued_says_so_wherever_one_looks(tmp_path, fonts, status, words):
    invoices = [
        row | ({"status": status} if row["invoice_id"] == "inv_may" else {}) for row in rows()["invoices"]
    ]
    document = composed(changed(tmp_path, invoices=invoices), "inv_may")
    assert (document.is_draft, document.heading) == (True, "Draft invoice")
    assert words in document.notice
    assert document.file_name == "DRAFT-inv_may"
    assert "Due" not in dict(document.facts)
    assert document.payment == ()
    page = Text(render_html(document))
    assert "Draft invoice" in page.texts
    assert b'class="draft"' in render_html(document)
    assert b'class="draft"' not in render_html(composed(changed(tmp_path / "b"), "INV-000001"))


def test_amounts_follow_the_currency(tmp_path):
    for currency, expected in (("JPY", "JPY 16,225"), ("KWD", "KWD 16.225"), ("EUR", "EUR 162.25")):
        invoices = [row | {"currency": currency} for row in rows()["invoices"]]
        document = composed(changed(tmp_path / currency, invoices=invoices), "INV-000001")
        assert document.totals[0].amount == expected


def test_causes_are_listed_up_to_a_handful():
    events = [{"event_id": f"e{number}", "revision": 0, "batch_id": "b"} for number in range(100)]
    told = json.dumps({"event_count": 1234, "events": events, "account_rows": []})
    assert cause_text(told) == "1,234 events known later: e0, e1, e2, e3, e4 and 1,229 more"
    assert cause_text(json.dumps({"event_count": 0, "events": [], "account_rows": []})) is None
    assert cause_text(None) is None


# How they are rendered


HOSTILE = "<script>alert(1)</script> #panic() $x$ [*b*] \\ \"q\" 'a' &amp; {{ 7*7 }} ${7*7} `c` @r // k"


@pytest.mark.parametrize("text", [HOSTILE, "Ελλάδα Пример 山田 مثال", "x" * 255, "#", "<", "-", "=1+1"])
def test_texts_are_values_and_never_markup(tmp_path, fonts, text):
    tables = rows()
    invoices = [row | {"customer_name": text, "customer_email": text} for row in tables["invoices"]]
    lines = [row | {"description": text} for row in tables["invoice_lines"]]
    said = {"name": text, "address": f"{text}\n{text}", "note": text}
    issuer = [issuer | said for issuer in tables["issuer"]]
    file = changed(tmp_path, invoices=invoices, invoice_lines=lines, issuer=issuer)
    document = composed(file, "INV-000001")
    page = Text(render_html(document))
    assert page.texts.count(text) >= 3 + 1
    assert "script" not in page.tags
    assert render_pdf(document, fonts).startswith(b"%PDF")
    [row, *_] = list(
        csv.DictReader(io.StringIO(render_csv(read_document(file, "INV-000001").invoices[0]).decode()))
    )
    assert row["description"].removeprefix("'") == text


def test_the_same_invoice_gives_the_same_bytes(file, fonts):
    first, second = (composed(file, "INV-000001") for _ in range(2))
    assert render_pdf(first, fonts) == render_pdf(second, fonts)
    assert render_html(first) == render_html(second)
    assert b"2026-04-04T00:00:00Z" in render_pdf(first, fonts)
    # A draft has no date of its own, and none of today either.
    dates = re.findall(
        rb"CreateDate>([^<]*)|CreationDate \(([^)]*)\)", render_pdf(composed(file, "inv_may"), fonts)
    )
    assert not [found for found in dates if not re.search(rb"1970", b"".join(found))]


def pictures(document, fonts):
    """The pages of the PDF as pictures, to count or to look at."""
    told = {"document": json.dumps(dataclasses.asdict(document), ensure_ascii=False)}
    pages = _compiler(fonts).compile(format="png", sys_inputs=told, timestamp=0, ppi=20)
    return pages if isinstance(pages, list) else [pages]


def test_two_hundred_lines_take_several_pages_and_none_is_lost(tmp_path, fonts):
    lines = [
        line(number, description=f"Line number {number} " + "with many words " * (number % 12), quantity=str(number),
             amount_minor=number, meter_id="api_calls")
        for number in range(1, 201)
    ]  # fmt: skip
    document = composed(changed(tmp_path, invoice_lines=lines), "INV-000001")
    assert len(document.groups[0].lines) == 200
    pages = pictures(document, fonts)
    assert 5 <= len(pages) <= 20
    page = Text(render_html(document))
    assert sum(text.startswith("Line number ") for text in page.texts) == 200


def test_an_invoice_without_lines_or_usage_is_a_page(tmp_path, fonts):
    document = composed(changed(tmp_path, invoice_lines=[], monthly_usage=[], credit_notes=[]), "INV-000001")
    assert document.usage == ()
    assert len(pictures(document, fonts)) == 1


def test_charts_scale_to_the_highest_bar_and_the_limit():
    chart = bar_chart([Decimal(5), None, Decimal(10), Decimal(0)], limit=Decimal(20))
    heights = [float(height) for height in re.findall(r'<rect[^>]* height="([\d.]+)"', chart)]
    assert heights == [pytest.approx(15.5), pytest.approx(31)]  # a quarter and a half of 62
    assert "stroke-dasharray" in chart
    assert not re.search(r"<text|[a-z]:[^/]", chart.replace("http://www.w3.org", ""))
    assert bar_chart([None, Decimal(0)]) is None
    assert bar_chart([]) is None


# CSV


def test_csv_adds_up_to_the_total(file):
    published = read_document(file, "INV-000002")
    found = list(csv.DictReader(io.StringIO(render_csv(published.invoices[0]).decode())))
    assert sum(Decimal(row["amount"]) for row in found) == Decimal("101.50")
    assert sum(int(row["amount_minor"]) for row in found) == published.invoices[0].head.total_minor
    assert [row["corrects_document"] for row in found] == ["", "INV-000001"]
    [credit] = csv.DictReader(
        io.StringIO(render_csv(read_document(file, "CN-000001").credit_notes[0]).decode())
    )
    assert (credit["amount"], credit["corrects_document"]) == ("-2.00", "INV-000001")


# Choosing and writing


def test_a_document_is_found_by_number_and_by_id(file):
    assert composed(file, "inv_march") == composed(file, "INV-000001")
    assert composed(file, "cn_1") == composed(file, "CN-000001")
    with pytest.raises(ConfigurationError, match="no invoice or credit note 'INV-000009'"):
        read_document(file, "INV-000009")
    with pytest.raises(ConfigurationError):
        read_document(file, "' or true --")


def test_a_month_holds_the_cycles_that_end_in_it_and_what_was_credited_in_it(file):
    def numbers(month: str, **options: bool) -> tuple[list, list]:
        published = read_month(file, date.fromisoformat(f"{month}-01"), **options)
        return (
            [invoice.head.number for invoice in published.invoices],
            [note.head.number for note in published.credit_notes],
        )

    assert numbers("2026-03") == (["INV-000001"], [])
    assert numbers("2026-04") == (["INV-000002"], [])
    assert numbers("2026-05") == ([], ["CN-000001"])
    assert numbers("2026-05", with_drafts=True) == ([None], ["CN-000001"])
    [invoice] = read_month(file, date(2026, 3, 1)).invoices
    assert [note.head.number for note in invoice.credit_notes] == ["CN-000001"]


@pytest.fixture
def home(tmp_path, file) -> Home:
    home = Home(tmp_path / "home").ensure()
    home.published_file.write_bytes(file.read_bytes())
    return home


def test_files_are_written_once_and_never_overwritten_silently(home, tmp_path):
    output = tmp_path / "out"
    written = write_invoices(home, output, document="INV-000001", formats=["pdf", "html", "csv"])
    assert sorted(path.name for path in written.files) == [
        "INV-000001.csv",
        "INV-000001.html",
        "INV-000001.pdf",
    ]
    again = write_invoices(home, output, document="INV-000001", formats=["pdf", "html", "csv"])
    assert (again.files, len(again.unchanged)) == ([], 3)

    (output / "INV-000001.html").write_text("signed by hand")
    with pytest.raises(MeterhouseError, match=r"1 file holds other content; kept: INV-000001\.html"):
        write_invoices(home, output, document="INV-000001", formats=["html", "csv"])
    assert (output / "INV-000001.html").read_text() == "signed by hand"
    replaced = write_invoices(home, output, document="INV-000001", formats=["html"], replace=True)
    assert len(replaced.files) == 1
    assert not list(output.glob(".*"))


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({}, "either a document or a month"),
        ({"document": "INV-000001", "month": date(2026, 3, 1)}, "either a document or a month"),
        ({"document": "INV-000001", "formats": ["docx"]}, "'docx' is not a format"),
        ({"month": date(2026, 1, 1)}, "nothing was issued for 2026-01"),
    ],
)
def test_what_cannot_be_done_is_said_before_anything_is_written(home, tmp_path, asked, words):
    with pytest.raises(MeterhouseError, match=words):
        write_invoices(home, tmp_path / "out", **asked)
    assert not (tmp_path / "out").exists()


def test_a_home_without_publication_says_what_to_do(tmp_path):
    with pytest.raises(MeterhouseError, match="nothing has been published yet"):
        write_invoices(Home(tmp_path), tmp_path / "out", document="INV-000001")


def test_a_file_of_an_earlier_version_says_what_to_do(home, tmp_path):
    with duckdb.connect(str(home.published_file)) as connection:
        connection.execute("drop table issuer")
    with pytest.raises(MeterhouseError, match="it has no issuer"):
        write_invoices(home, tmp_path / "out", document="INV-000001")


def test_many_documents_are_written_side_by_side(tmp_path, fonts):
    tables = rows()
    march = next(row for row in tables["invoices"] if row["invoice_id"] == "inv_march")
    lines = [row for row in tables["invoice_lines"] if row["invoice_id"] == "inv_march"]
    numbers = range(60)
    many = changed(
        tmp_path,
        invoices=[march | {"invoice_id": f"inv_{n}", "invoice_number": f"INV-{n:06}"} for n in numbers],
        invoice_lines=[
            row | {"invoice_id": f"inv_{n}", "invoice_line_id": f"{row['invoice_line_id']}_{n}"}
            for n in numbers for row in lines
        ],
        credit_notes=[], credit_note_lines=[],
    )  # fmt: skip
    progress = []
    published = read_month(many, date(2026, 3, 1))
    written = write_documents(
        published, ["pdf"], tmp_path / "out", fonts, on_progress=lambda *done: progress.append(done)
    )
    assert len({path.name for path in written.files}) == 60
    assert progress[-1] == (60, 60)
    single = compose_invoice(published.invoices[7])
    assert (tmp_path / "out" / f"{single.file_name}.pdf").read_bytes() == render_pdf(single, fonts)


def test_the_command_writes_and_says_so(cli, home, tmp_path):
    (home.catalog / "meters.yml").write_text("")
    done = cli("invoice", "INV-000001", "--format", "html", "--output", tmp_path / "out", "--home", home.root)
    assert done.returncode == 0, done.stderr
    assert "Wrote 1 file into" in done.stdout
    wrong = cli("invoice", "--month", "2026-13", "--output", tmp_path / "out", "--home", home.root)
    assert (wrong.returncode, "not a month" in wrong.stderr) == (2, True)
    kept = (tmp_path / "out" / "INV-000001.html").write_text("other")
    assert kept
    refused = cli(
        "invoice", "INV-000001", "--format", "html", "--output", tmp_path / "out", "--home", home.root
    )
    assert (refused.returncode, "--replace" in refused.stderr) == (1, True)


def test_a_line_never_issued_can_be_put_right(tmp_path):
    """An add-on known later: an adjustment of a line that no invoice holds."""
    lines = [
        line(1, **APRIL | {"service_start": "2026-03-01", "service_end": "2026-04-01"}, line_type="adjustment",
             description="Add-on", quantity="1", amount_minor=500, adjusts_invoice_id="inv_march")
    ]  # fmt: skip
    document = composed(changed(tmp_path, invoice_lines=lines), "INV-000002")
    [group] = document.groups
    assert group.lines[0].notes == ("Corrects invoice INV-000001",)
