"""Corrections that come to less than a closing asks for wait, by original invoice, and none is lost.

One home, many customers: each is a case of its own. January is closed four times: first as it was known, then twice
with corrections from 5 (dollars, dinars, yen) on, in the end with every correction.
"""

import csv
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

import pytest
from books_home import BooksHome
from rich.console import Console
from test_books import Facts, Row, known_from_the_start, of, rated

from pipelines.books.closing import ClosingOutcome
from pipelines.books.plan import ClosingPlan
from pipelines.books.proof import compute_closing, find_documents, rebuild_documents
from pipelines.cli.show.closing import print_outcome
from pipelines.cli.show.listing import COLUMNS, print_listing, write_listing
from pipelines.home import Home
from pipelines.ledger import open_ledger
from pipelines.ledger.books import Documents, all_closings, next_numbers
from pipelines.progress import Quiet

# Builds of a warehouse; on a busy machine they take longer than other tests may.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

JANUARY = "2024-01-31"
CLOCK = "2024-02-04"
UNITS = {"cents": ("USD", "0.01"), "fils": ("KWD", "0.001"), "yen": ("JPY", "1")}


def catalog(*, retries_count: bool = False) -> dict[str, list[Row]]:
    """A call costs the smallest unit of its currency, and so does an extra."""
    return {
        "meters": [{"meter_id": meter, "name": meter.capitalize()} for meter in ("calls", "extras")],
        "meter_event_types": [
            {"meter_id": "calls", "event_type": "call"},
            {"meter_id": "extras", "event_type": "extra"},
            *([{"meter_id": "calls", "event_type": "retry"}] if retries_count else []),
        ],
        "plans": [
            {"plan_id": "small", "price": "4"},
            *({"plan_id": plan, "price": "31", "currency": currency} for plan, (currency, _) in UNITS.items()),
        ],
        "charges": [
            {"plan_id": plan, "meter_id": meter, "included": "0", "overage_model": "per_unit", "unit_amount": amount}
            for plan, (_, amount) in UNITS.items()
            for meter in ("calls", "extras")
        ],
    }  # fmt: skip


PLANS = {"fils_at": "fils", "fils_below": "fils", "yen_at": "yen", "yen_below": "yen"}
CUSTOMERS = (
    "at", "below", "credit_at", "credit_below", "net_at", "net_below", "even", "two", "gone", "added", "carried",
    "held", *PLANS,
)  # fmt: skip


def known_first(facts: Facts) -> None:
    for customer in CUSTOMERS:
        plan = PLANS.get(customer, "cents")
        facts.subscribe(customer, plan, "2023-12-01" if customer == "two" else "2024-01-01")
        if customer != "carried":
            facts.subscriptions[customer]["ended_on"] = "2024-02-01"
        facts.use(customer, "2024-01-10", 1000, f"{customer}-base")
        facts.use(customer, "2024-01-10", 1000, f"{customer}-extra", event_type="extra")


def known_second(facts: Facts) -> None:
    """The smallest case that waits and the nearest that does not: 4.99 and 5.00, 4.999 and 5.000, 4 and 5."""
    for customer, more in {"at": 500, "below": 499, "fils_at": 5000, "fils_below": 4999, "yen_at": 5, "yen_below": 4}.items():  # fmt: skip
        facts.use(customer, "2024-01-20", more, f"{customer}-late")
    facts.use("credit_at", "2024-01-10", 500, "credit_at-base", revision=1)
    facts.use("credit_below", "2024-01-10", 501, "credit_below-base", revision=1)
    # More calls, fewer extras: the net counts.
    for customer, calls, extras in (("net_at", 600, 900), ("net_below", 600, 899), ("even", 300, 700)):
        facts.use(customer, "2024-01-20", calls, f"{customer}-late")
        facts.use(customer, "2024-01-10", extras, f"{customer}-extra", event_type="extra", revision=1)
    # Two invoices, 3.00 each: what counts is the original invoice.
    facts.use("two", "2023-12-20", 300)
    facts.use("two", "2024-01-20", 300)
    facts.use("gone", "2024-01-20", 400, "gone-late")
    facts.subscribe("added", "small", name="added-small", ended_on="2024-02-01")
    facts.use("carried", "2024-01-20", 600)
    facts.use("held", "2024-01-20", 499, "held-late")


def known_third(facts: Facts) -> None:
    """One unit more each; and what waited is taken back."""
    for customer in ("below", "fils_below", "yen_below", "held"):
        facts.use(customer, "2024-01-21", 1, f"{customer}-later")
    facts.use("credit_below", "2024-01-10", 500, "credit_below-base", revision=2)
    facts.use("net_below", "2024-01-10", 900, "net_below-extra", event_type="extra", revision=2)
    facts.use("gone", "2024-01-20", 400, "gone-late", revision=1, is_void=True)
    # Retries were no calls in January.
    facts.use("held", "2024-01-21", 5000, event_type="retry")


@dataclass
class Closed:
    home: BooksHome
    facts: Facts
    plans: list[ClosingPlan]
    outcomes: list[ClosingOutcome]
    issued: list[Mapping[str, list[Row]]]
    hash_at_another_clock: str


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Closed:
    root = tmp_path_factory.mktemp("waiting") / "home"
    root.mkdir()
    home, facts = BooksHome(root), Facts()
    plans: list[ClosingPlan] = []
    outcomes: list[ClosingOutcome] = []
    issued: list[Mapping[str, list[Row]]] = []
    hash_at_another_clock = ""
    for number, (learn, least) in enumerate(
        [(known_first, "0"), (known_second, "5"), (known_third, "5.000"), (lambda _: None, "0")], 1
    ):
        learn(facts)
        home.as_of = f"{CLOCK}T12:00:00+00:00"
        facts.hand_over(home, catalog(retries_count=number == 3))
        if number == 2:
            home.as_of = "2024-02-20T12:00:00+00:00"
            hash_at_another_clock = home.plan(JANUARY, least).documents.hash()
            home.as_of = f"{CLOCK}T12:00:00+00:00"
        plan = home.plan(JANUARY, least)
        with open_ledger(Home(root), "") as ledger:
            outcomes.append(ClosingOutcome(plan, None, *next_numbers(ledger, plan.documents)))
        plans.append(plan)
        issued.append(home.documents_of(home.issue(plan)))
    return Closed(home, facts, plans, outcomes, issued, hash_at_another_clock)


def corrected(documents: Mapping[str, list[Row]]) -> dict[str, list[int]]:
    """What customers are charged afterwards and given back, in minor units."""
    found: dict[str, list[int]] = {}
    for customer in CUSTOMERS:
        amounts = [row[2] for row in of(documents, "lines", customer) if row[0] == "adjustment"]
        amounts += [-row[2] for row in of(documents, "credits", customer)]
        if amounts:
            found[customer] = sorted(amounts)
    return found


def waiting(plan: ClosingPlan, waits_for: str = "amount") -> dict[str, int]:
    found: dict[str, int] = {}
    for row in plan.corrections:
        if row["waits_for"] == waits_for:
            found[row["customer_id"]] = found.get(row["customer_id"], 0) + row["amount_minor"]
    return found


def test_what_comes_to_the_amount_is_issued_and_what_is_below_waits(closed):
    assert corrected(closed.issued[1]) == {
        "at": [500],
        "credit_at": [-500],
        "net_at": [-100, 600],
        "fils_at": [5000],
        "yen_at": [5],
    }
    assert waiting(closed.plans[1]) == {
        "below": 499, "credit_below": -499, "net_below": 499, "even": 0, "two": 600, "gone": 400, "added": 400,
        "held": 499, "fils_below": 4999, "yen_below": 4,
    }  # fmt: skip
    assert waiting(closed.plans[1], "invoice") == {"carried": 600}


def test_what_waited_counts_with_what_comes_later(closed):
    """As one correction with the causes of both, by the terms that were issued; what was taken back is gone."""
    assert corrected(closed.issued[2]) == {
        "below": [500],
        "credit_below": [-500],
        "net_below": [-100, 600],
        "held": [500],
        "fils_below": [5000],
        "yen_below": [5],
    }
    assert waiting(closed.plans[2]) == {"even": 0, "two": 600, "added": 400}
    [line] = [row for row in closed.issued[2]["lines"] if row["customer_id"] == "below"]
    events = json.loads(line["causes"])["events"]
    assert {event["event_id"] for event in events} == {"below-late", "below-later"}


def test_a_later_closing_that_asks_for_less_issues_the_rest(closed):
    assert corrected(closed.issued[3]) == {"even": [-300, 300], "two": [300, 300], "added": [400]}
    assert waiting(closed.plans[3]) == {}
    assert waiting(closed.plans[3], "invoice") == {"carried": 600}


def test_in_the_end_nothing_is_lost(closed, tmp_path):
    """But the increase that waits for the invoice of a cycle that is open."""
    knowing = known_from_the_start(tmp_path / "knowing", closed.facts, CLOCK, catalog())
    billed, should = closed.home.net_by_line(), rated(knowing, JANUARY)
    lacking = {
        line: amount - billed.get(line, 0) for line, amount in should.items() if amount != billed.get(line)
    }
    assert list(lacking.values()) == [600]
    assert billed.keys() <= should.keys()


def test_a_waiting_correction_pins_nothing(closed):
    """The add-on known later, 4.00, is held to terms by the closing that billed it, not by those before."""
    pinned = [
        [row["subscription_id"] for row in closed.home.exported("issued_periods", number)]
        for number in (2, 3, 4)
    ]
    assert [periods.count("added-small") for periods in pinned] == [0, 0, 1]


def test_rebuild_uses_what_the_closing_asked_for(closed):
    home = Home(closed.home.root)
    with open_ledger(home, "") as ledger:
        closings = all_closings(ledger)
        assert [closing.corrections_from for closing in closings] == [Decimal(least) for least in "0550"]
        documents = find_documents(ledger)
        rebuilt = rebuild_documents(home, ledger, documents, Quiet())
        assert [found for found in rebuilt if found.difference] == []
        assert {document.closing_number for document in documents} == {1, 2, 3, 4}
        # Without it, it would find documents that nobody issued then.
        everything = replace(closings[1], corrections_from=Decimal(0))
        assert len(compute_closing(home, ledger, everything, {"below"})) == 1


def test_the_hash_is_of_the_documents_whatever_the_clock(closed):
    assert closed.hash_at_another_clock == closed.plans[1].documents.hash()
    assert len({plan.documents.hash() for plan in closed.plans}) == 4


# What is shown of it


def test_the_numbers_that_are_shown_are_those_that_are_given(closed):
    for number, (outcome, documents) in enumerate(zip(closed.outcomes, closed.issued, strict=True), 1):
        invoices = closed.home.exported("issued_invoices", number)
        shown = dict(zip(outcome.invoice_numbers, outcome.plan.documents.invoices, strict=True))
        assert {row["invoice_number"]: row["invoice_id"] for row in invoices} == {
            name: row["invoice_id"] for name, row in shown.items()
        }
        assert {row["credit_note_number"] for row in documents["credits"]} == set(outcome.credit_note_numbers)


def printed(outcome: ClosingOutcome, width: int = 80) -> str:
    text = io.StringIO()
    console = Console(file=text, width=width)
    print_listing(outcome, console)
    print_outcome(outcome, [], console, is_dry_run=True)
    return text.getvalue()


def written(outcome: ClosingOutcome, output_format: str) -> str:
    text = io.StringIO()
    write_listing(outcome, ["a check"], text, output_format)
    return text.getvalue()


def test_every_document_and_correction_is_listed_for_people(closed):
    outcome = closed.outcomes[1]
    text = printed(outcome)
    assert max(map(len, text.splitlines())) <= 80
    for number in (*outcome.invoice_numbers, *outcome.credit_note_numbers):
        assert text.count(number) == 1
    for row in outcome.plan.listed:
        assert row["content_hash"] in text
    words = " ".join(text.split())
    assert "usage known later (1 event: at-late)" in words
    assert "usage known later (1 event: credit_at-base revision 1)" in words
    for amount in ("5.00 USD", "-5.00 USD", "5.000 KWD", "5 JPY", "4.999 KWD", "4 JPY", "-4.99 USD"):
        assert f"  {amount}\n" in text
    assert "Wait until more comes together, less than 5 by invoice:" in text
    assert "Left waiting, corrections of less than 5 KWD by invoice: of 1 invoice, net 4.999 KWD." in words
    assert text.rstrip().endswith(outcome.plan.documents.hash())
    assert text.index(outcome.credit_note_numbers[-1]) < text.index("would be issued")


def test_where_nothing_is_issued_what_waits_is_said(closed):
    plan = replace(closed.plans[1], documents=Documents(), listed=())
    plan = replace(plan, corrections=[row for row in plan.corrections if row["waits_for"]])
    words = " ".join(printed(ClosingOutcome(plan, None)).split())
    assert "Nothing to issue through 2024-01-31: every cycle that ended by then is issued. Left" in words
    assert "Left waiting, corrections of less than 5 USD by invoice: of 9 invoices, net 23.98 USD." in words


def test_the_list_as_json_has_every_cause_and_adds_up(closed):
    told = json.loads(written(closed.outcomes[1], "json"))
    assert told["hash"] == closed.plans[1].documents.hash()
    assert (told["through"], told["corrections_from"], told["checks"]) == (JANUARY, "5", ["a check"])
    by_customer: dict[str, list[Any]] = {}
    for document in told["documents"]:
        by_customer.setdefault(document["customer_id"], []).append(document)
        assert sum(Decimal(one["amount"]) for one in document["corrections"]) == Decimal(document["amount"])
    assert [(one["kind"], one["amount"], one["line_count"]) for one in by_customer["net_at"]] == [
        ("invoice", "6", 1),
        ("credit_note", "-1", 1),
    ]
    [correction] = by_customer["fils_at"][0]["corrections"]
    assert (correction["amount"], correction["amount_minor"], correction["kind"]) == ("5", 5000, "adjustment")
    assert [event["event_id"] for event in correction["causes"]["events"]] == ["fils_at-late"]
    assert correction["invoice_number"].startswith("INV-")
    assert {one["waits_for"] for one in told["waiting"]} == {"amount", "invoice"}
    [added] = [one for one in told["waiting"] if one["customer_id"] == "added"]
    assert added["causes"]["account_rows"]
    assert "subscriptions added-small: billing_anchor_day was nothing, is 1" in added["cause_text"]
    assert {one["invoice_net_minor"] for one in told["waiting"] if one["customer_id"] == "even"} == {0}


def test_the_list_as_csv_adds_up_to_the_totals(closed):
    rows = list(csv.DictReader(io.StringIO(written(closed.outcomes[1], "csv"))))
    assert list(rows[0]) == list(COLUMNS)
    for total in closed.plans[1].totals:
        documents = [
            row
            for row in rows
            if row["currency"] == total["currency"] and row["kind"] in {"invoice", "credit_note"}
        ]
        assert sum(int(row["amount_minor"]) for row in documents) == (
            total["invoiced_minor"] - total["credited_minor"]
        )
    [net] = [row for row in rows if row["customer_id"] == "net_at" and row["kind"] == "credit"]
    assert (net["number"], net["amount"], net["waits_for"]) == (
        closed.outcomes[1].credit_note_numbers[1],
        "-1",
        "",
    )
    assert net["causes"] == "1 event: net_at-extra revision 1"
