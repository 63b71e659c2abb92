"""A year of closings with everything that may change in between: each document comes about again, to its hash."""

import io
import json
import random
import shutil
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from issued import find_invoice

from pipelines.books.closing import close_books
from pipelines.books.proof import find_documents, lines_as_known_at, rebuild_documents
from pipelines.books.trace import Selection, trace_lines
from pipelines.cli.show.rebuild import write_rebuilt
from pipelines.cli.show.trace import write_trace
from pipelines.costs import refresh_prices, resolve_new_names
from pipelines.home import Home
from pipelines.ingest import ingest_inbox
from pipelines.ledger import open_ledger
from pipelines.progress import Quiet
from pipelines.session import Session
from pipelines.settings import Settings
from pipelines.warehouse import builds

METERS = """
meters:
  - {id: calls, name: Calls, unit: call, event_types: [call%s], aggregation: sum}
  - {id: users, name: Users, unit: user, event_types: [login], aggregation: unique, field: user_id}
  - {id: disk, name: Disk, unit: GB, event_types: [disk], aggregation: max, carry_forward: true, per: resource}
  - {id: tokens, name: Tokens, unit: token, event_types: [model], aggregation: sum}
"""
PLANS = """
plans:
  - id: basic
    name: Basic
    rank: 1
    currency: USD
    price: "20"
    effective_from: 2024-01-01
    charges:
      - meter: calls
        included: "100"
        overage: {model: graduated, tiers: [{up_to: "50", unit_amount: "0.11"}, {up_to: unlimited, unit_amount: "0.07"}]}
      - {meter: disk, included: "10", overage: {model: per_unit, unit_amount: "0.5"}}
  - id: daily
    name: Daily
    rank: 2
    currency: USD
    price: "0"
    effective_from: 2024-01-01
    charges:
      - {meter: calls, included: "8", reset: day, overage: {model: per_unit, unit_amount: "0.13"}}
  - id: passed_on
    name: Passed on
    rank: 3
    currency: USD
    price: "5"
    effective_from: 2024-01-01
    charges:
      - {meter: tokens, included: "0", overage: {model: cost_plus, multiplier: "1.2"}}
  - id: seats
    name: Seats
    rank: 1
    currency: EUR
    price: "0"
    effective_from: 2024-01-01
    charges:
      - {meter: users, included: "1", overage: {model: per_unit, unit_amount: "3.33"}}
"""
RAISED = """
  - id: basic
    name: Basic
    rank: 1
    currency: USD
    price: "25"
    effective_from: 2025-05-01
    charges:
      - {meter: calls, included: "80", overage: {model: per_unit, unit_amount: "0.09"}}
      - {meter: disk, included: "10", overage: {model: per_unit, unit_amount: "0.5"}}
"""
PRICES = (
    "provider,model,event_type,unit,usd_per_unit,valid_from,valid_to\nacme,m,,quantity,0.013,2024-01-01,%s\n"
)
CHEAPER = "acme,m,,quantity,0.0091,2025-05-01,\n"
CUSTOMERS = "customer_id,name,timezone\nada,Ada,UTC\nbo,Bo,%s\ncy,Cy,America/New_York\ndee,Dee,UTC\n"
SUBSCRIPTIONS = (
    "subscription_id,customer_id,plan_id,started_on,ended_on,billing_anchor_day\n"
    "s-ada,ada,basic,2025-01-01,,1\n"
    "s-bo,bo,daily,2025-01-10,,15\n"
    "s-cy,cy,passed_on,2025-01-01,,31\n"
    "s-dee,dee,seats,%s,,1\n"
)
LAST_NOW = datetime(2026, 1, 5, tzinfo=UTC)


class Year:
    """A home whose files, documents and clock move on."""

    def __init__(self, root):
        self.home = Home(root).ensure()
        self.random = random.Random(5)
        self.files = 0
        self.document("catalog/meters.yml", METERS % "")
        self.document("catalog/plans.yml", PLANS)
        self.document("catalog/prices.csv", PRICES % "")
        self.document("accounts/customers.csv", CUSTOMERS % "Asia/Kolkata")
        self.document("accounts/subscriptions.csv", SUBSCRIPTIONS % "2025-02-01")

    def document(self, name, content):
        (self.home.root / name).write_text(content, encoding="utf-8")

    def usage(self, first, last, per_day=3, **fields):
        """Events of every day of a stretch; some kinds come with what their meter needs."""
        events = []
        day = first
        while day <= last:
            for number in range(per_day):
                kind = self.random.choice(["call", "call", "login", "disk", "model"])
                at = datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(
                    seconds=self.random.randrange(86_400)
                )
                event = {
                    "event_id": f"{self.files}-{day}-{number}",
                    "customer_id": {"login": "dee", "model": "cy"}.get(kind)
                    or self.random.choice(["ada", "bo"]),
                    "event_type": kind,
                    "occurred_at": at.isoformat(),
                    "quantity": str(self.random.randrange(1, 40)),
                    "user_id": f"u-{self.random.randrange(9)}",
                    "resource": self.random.choice("ab"),
                    "provider": "acme",
                    "model": "m",
                }
                events.append(event | fields)
            day += timedelta(days=1)
        return events

    def put(self, events):
        self.files += 1
        content = "".join(json.dumps(event) + "\n" for event in events)
        (self.home.inbox / f"{self.files:02}.jsonl").write_text(content, encoding="utf-8")
        return events

    def read(self, as_of):
        session = Session(Settings(self.home, as_of))
        session.adopt()
        ingest_inbox(self.home, None, as_of)
        refresh_prices(self.home, as_of)
        resolve_new_names(self.home)
        return session

    def close(self, through, as_of):
        return close_books(self.read(as_of), through)


def instant(month, day, year=2025):
    return datetime(year, month, day, 6, tzinfo=UTC)


def changed(event, **fields):
    return event | {"revision": event.get("revision", 0) + 1} | fields


@pytest.fixture(scope="module")
def year(tmp_path_factory):
    """Three closings; between them late usage, revisions, prices, plans, meters, zones and start dates change."""
    invoke = builds._invoke

    def without_checks(command, *rest, **named):
        plain = [word for word in command if not word.startswith("--exclude-resource-type")]
        return invoke(
            [*plain, "--exclude-resource-type", "unit_test", "test"] if plain[0] == "build" else command,
            *rest,
            **named,
        )

    with pytest.MonkeyPatch.context() as patch:
        # The marts' checks have tests of their own and take most of a build's time.
        patch.setattr(builds, "_invoke", without_checks)
        patch.delenv("METERHOUSE_LEDGER_URL", raising=False)
        year = Year(tmp_path_factory.mktemp("year") / "home")
        first = year.put(year.usage(date(2025, 1, 1), date(2025, 4, 30)))
        assert year.close(date(2025, 4, 30), instant(5, 4)).closing

        mine = [event for event in first if event["customer_id"] == "ada" and event["event_type"] == "call"]
        late = year.usage(date(2025, 3, 2), date(2025, 3, 6))
        year.put([changed(mine[-1], quantity="90"), changed(mine[-2], is_void=True), *late])
        year.put(year.usage(date(2025, 5, 1), date(2025, 8, 31)))
        year.document("catalog/plans.yml", PLANS + RAISED)
        year.document("catalog/prices.csv", PRICES % "2025-05-01" + CHEAPER)
        assert year.close(date(2025, 8, 31), instant(9, 4)).closing

        shutil.rmtree(year.home.warehouse)
        later = year.usage(date(2025, 6, 10), date(2025, 6, 12))
        renamed = year.usage(date(2025, 8, 1), date(2025, 8, 3), event_type="call_v2")
        year.put(
            [changed(mine[-1], revision=2, quantity="1"), changed(mine[-3], is_void=True), *later, *renamed]
        )
        year.put(year.usage(date(2025, 9, 1), date(2025, 12, 31)))
        year.document("catalog/meters.yml", METERS % ", call_v2")
        year.document("accounts/customers.csv", CUSTOMERS % "Asia/Tokyo")
        year.document("accounts/subscriptions.csv", SUBSCRIPTIONS % "2025-02-11")
        assert year.close(date(2025, 12, 31), LAST_NOW).closing

        # What came and changed since is none of their business.
        year.put(year.usage(date(2025, 1, 1), date(2025, 12, 31), per_day=1))
        year.document("catalog/meters.yml", METERS % "")
        year.read(LAST_NOW + timedelta(days=1))
        with open_ledger(year.home) as ledger:
            yield year, ledger


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_every_document_of_a_year_comes_about_again(year):
    year, ledger = year
    documents = find_documents(ledger)
    rebuilt = rebuild_documents(year.home, ledger, documents, Quiet())
    assert [found for found in rebuilt if found.difference] == []
    assert {found.document: found.computed_hash for found in rebuilt} == {
        document: document.content_hash for document in documents
    }
    # It was a year in which things happened.
    assert {document.closing_number for document in documents} == {1, 2, 3}
    kinds = [document.kind for document in documents]
    assert kinds.count("invoice") >= 40
    assert kinds.count("credit note") >= 2
    lines = [line for document in documents if document.kind == "invoice"
             for line in find_invoice(ledger, document.number)["lines"]]  # fmt: skip
    assert sum(line["line_type"] == "adjustment" for line in lines) >= 3
    output = io.StringIO()
    assert write_rebuilt(rebuilt, output, "table")
    assert f"{len(documents)} equal, 0 different" in output.getvalue()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_cycle_as_it_was_known(year):
    """Issued in May, put right since: at its closing it was what was issued, before its end a part of that."""
    year, ledger = year
    [march] = [
        found
        for document in find_documents(ledger, month="2025-03")
        if document.kind == "invoice"
        and (found := find_invoice(ledger, document.number))["customer_id"] == "ada"
        and found["closing_number"] == 1
    ]
    known = lines_as_known_at(year.home, march["invoice_number"], instant(5, 4) + timedelta(hours=1), Quiet())
    assert {line["status"] for line in known} == {"issued"}
    assert [(line["invoice_line_id"], line["amount_minor"]) for line in known] == [
        (line["invoice_line_id"], line["amount_minor"]) for line in march["lines"]
    ]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_an_issued_line_is_traced_as_its_closing_knew_it(year):
    """And an adjustment beside it by its two statements and what caused the later one."""
    year, ledger = year
    adjusted = [
        line
        for document in find_documents(ledger)
        if document.kind == "invoice" and document.closing_number == 2
        for line in find_invoice(ledger, document.number)["lines"]
        if line["line_type"] == "adjustment" and line["customer_id"] == "ada"
    ]
    line = adjusted[0]
    with trace_lines(year.home, Selection("invoice", line["invoice_id"]), Quiet()) as traced:
        proofs = traced.execute(
            "select line_type, usage_quantity, unexplained_quantity from line_proofs"
        ).fetchall()
        assert {kind for kind, *_ in proofs} >= {"price", "usage", "adjustment"}
        assert {unexplained for kind, _, unexplained in proofs if kind != "adjustment"} == {Decimal(0)}
        output = io.StringIO()
        write_trace(traced, output, "json")
        told = {found["invoice_line_id"]: found for found in json.loads(output.getvalue())}
        write_trace(traced, output, "table")
    statements = told[line["invoice_line_id"]]["statements"]
    assert statements["adjusts_line_id"] == line["adjusts_line_id"]
    assert statements["restated_amount_minor"] - statements["stated_amount_minor"] == line["amount_minor"]
    assert statements["causes"]
    assert "Causes:" in output.getvalue()


def test_a_difference_is_named_by_its_field():
    from pipelines.books.proof import Document, _compare

    document = Document("invoice", "inv", "INV-000001", "c", 1, "h1")
    head = {"invoice_id": "inv", "total_minor": 5, "content_hash": "h1", "issued_at": instant(4, 4)}
    line = {"line_number": 1, "quantity": Decimal("1.50"), "description": "calls"}
    issued = {("invoice", "inv"): (head, [line])}

    def against(head_changes, *lines):
        computed = {name: value for name, value in (head | head_changes).items() if name != "issued_at"}
        return _compare(document, issued, {("invoice", "inv"): (computed, lines)}, None)

    same = against({}, line | {"quantity": Decimal("1.5")})
    assert same.difference is None
    other = against({"content_hash": "h2"}, line | {"quantity": Decimal("1.51")})
    assert (other.difference.line_number, other.difference.field) == (1, "quantity")
    assert other.computed_hash == "h2"
    assert against({"total_minor": 6}, line).difference.field == "total_minor"
    assert against({"content_hash": "h2"}, line).difference.field == "content_hash"
    assert against({}).difference.computed is None
    assert against({}, line, replace_number(line)).difference.line_number == 2
    absent = _compare(document, issued, {}, "older models")
    assert (absent.computed_hash, absent.difference.computed) == (None, "none")
    output = io.StringIO()
    assert not write_rebuilt([replace(other, issued_by="older")], output, "table")
    assert "line 1, quantity: issued 1.5, computed 1.51" in output.getvalue()
    assert "issued by other versions of the models (older)" in output.getvalue()


def replace_number(line):
    return line | {"line_number": 2}
