"""Ledgers with issued documents, and senders over them. Tests do not belong here."""

from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import dying_sender
import sqlalchemy as sa
from fake_stripe import KEY, FakeStripe
from warm_processes import Warm

from pipelines.home import Home
from pipelines.ledger import Ledger
from pipelines.ledger.books import AfterIssue, Closing, Documents, Terms, all_closings, issue
from pipelines.ledger.payments_schema import stripe_outbox
from pipelines.payments.client import Pace, StripeApi
from pipelines.payments.outbox import enqueue_closing
from pipelines.payments.sender import Sender, SendReport
from pipelines.payments.settings import StripeSettings

ISSUED_AT = datetime.now(UTC).replace(microsecond=0)
MARCH = {"period_start": date(2026, 3, 1), "period_end": date(2026, 4, 1)}

FAST = {
    "requests_per_second": 2000,
    "total_per_second": 4000,
    "tries": 4,
    "first_delay_seconds": 0.01,
    "longest_delay_seconds": 0.02,
    "connect_seconds": 5,
    "read_seconds": 10,
    "lease_seconds": 600,
    "workers": 4,
}
"""A pace for tests: patient enough for a busy machine, and over soon."""


def invoice_row(number: int, customer: str, total: int, lines: int, **changes: object) -> dict[str, Any]:
    return MARCH | {
        "invoice_id": f"inv_{number}",
        "customer_id": customer,
        "customer_name": "Ada",
        "customer_email": None,
        "currency": "USD",
        "minor_units": 2,
        "timezone": "Europe/Berlin",
        "total_minor": total,
        "line_count": lines,
        "content_hash": "0" * 64,
    } | changes  # fmt: skip


def line_row(invoice: int, number: int, customer: str, amount: int, **changes: object) -> dict[str, Any]:
    return MARCH | {
        "invoice_line_id": f"line_{invoice}_{number}",
        "invoice_id": f"inv_{invoice}",
        "line_number": number,
        "customer_id": customer,
        "subscription_id": f"s-{customer}",
        "plan_id": "professional",
        "plan_version": date(2024, 1, 1),
        "line_type": "usage",
        "meter_id": f"m{number}",
        "description": f"Line {number}",
        "quantity": Decimal("12.5"),
        "amount": Decimal(amount),
        "amount_minor": amount,
        "currency": "USD",
        "service_start": date(2026, 3, 1),
        "service_end": date(2026, 4, 1),
        "adjusts_line_id": None,
        "adjusts_invoice_id": None,
        "restated_quantity": None,
        "restated_amount_minor": None,
        "causes": None,
    } | changes  # fmt: skip


def issue_documents(
    ledger: Ledger, documents: Documents, *, enqueues: bool = True, then: AfterIssue | None = None
) -> Closing:
    terms = Terms(date(2026, 3, 31), ISSUED_AT, "catalog", "accounts", "prices", "code")
    known = len(all_closings(ledger))
    return issue(
        ledger,
        terms,
        documents,
        [f"batch-{known}"],
        known_closing=known,
        closed_at=ISSUED_AT,
        closed_by="ada",
        after_issue=[*([enqueue_closing] if enqueues else []), *([then] if then else [])],
    )


def issue_invoices(ledger: Ledger, amounts: Mapping[str, list[int]], **changes: Any) -> Closing:
    """One invoice per customer, with lines of these amounts in minor units."""
    first = len(_invoice_numbers(ledger)) + 1
    invoices, lines = [], []
    named = {name: changes.pop(name) for name in ("enqueues", "then") if name in changes}
    of_line = {name: changes[name] for name in ("currency",) if name in changes}
    for number, (customer, of_customer) in enumerate(amounts.items(), first):
        invoices.append(invoice_row(number, customer, sum(of_customer), len(of_customer), **changes))
        lines += [
            line_row(number, position, customer, amount, **of_line)
            for position, amount in enumerate(of_customer, 1)
        ]
    return issue_documents(ledger, Documents(invoices, lines), **named)


def issue_credit_note(ledger: Ledger, invoice: int, amounts: Mapping[int, int], number: int = 1) -> Closing:
    """A credit note over lines of an invoice: amounts in minor units by line number."""
    note = f"cn_{number}"
    lines = [
        {
            **MARCH,
            "credit_note_line_id": f"{note}-{line}",
            "credit_note_id": note,
            "line_number": position,
            "invoice_line_id": f"line_{invoice}_{line}",
            "corrects_line_id": f"line_{invoice}_{line}",
            "amount_minor": amount,
            "description": "less was used",
            "quantity": Decimal(1),
            "restated_quantity": Decimal(0),
            "restated_amount_minor": 0,
            "causes": None,
        }
        for position, (line, amount) in enumerate(amounts.items(), 1)
    ]
    head = {
        "credit_note_id": note,
        "invoice_id": f"inv_{invoice}",
        "customer_id": "c-1",
        "currency": "USD",
        "amount_minor": sum(amounts.values()),
        "reason": "usage corrected",
        "content_hash": "0" * 64,
    }
    return issue_documents(ledger, Documents([], [], [head], lines))


def _invoice_numbers(ledger: Ledger) -> list[str]:
    from pipelines.ledger.books_schema import issued_invoices

    with ledger.reading() as connection:
        return list(connection.scalars(sa.select(issued_invoices.c.invoice_id)))


def api_of(fake: FakeStripe, key: str = KEY, **pace: float) -> StripeApi:
    return StripeApi(StripeSettings(key, "test", fake.url), Pace(**{**FAST, **pace}))


def sender_of(ledger: Ledger, fake: FakeStripe, **pace: float) -> Sender:
    return Sender(ledger, api_of(fake, **pace), customers_of(fake))


def customers_of(fake: FakeStripe) -> dict[str, str | None]:
    return {stripe_id.removeprefix("cus_"): stripe_id for stripe_id in fake.customers}


def send(ledger: Ledger, fake: FakeStripe, **pace: float) -> SendReport:
    return sender_of(ledger, fake, **pace).send()


def rows(ledger: Ledger, *conditions: sa.ColumnElement[bool]) -> list[dict[str, Any]]:
    with ledger.reading() as connection:
        query = (
            sa.select(stripe_outbox)
            .where(*conditions)
            .order_by(stripe_outbox.c.invoice_id, stripe_outbox.c.position)
        )
        return [dict(row) for row in connection.execute(query).mappings()]


def states(ledger: Ledger) -> set[str]:
    return {row["state"] for row in rows(ledger)}


def end_leases(ledger: Ledger) -> None:
    """Time passes: whoever died has lost its claims."""
    with ledger.writing() as connection:
        over = sa.update(stripe_outbox).where(stripe_outbox.c.state == "SENDING")
        connection.execute(over.values(lease_until=datetime(2026, 1, 1, tzinfo=UTC)))


def assert_once(ledger: Ledger, fake: FakeStripe) -> None:
    """No line twice, none lost, sums equal, and nothing that Stripe's description does not know."""
    assert not fake.violations
    unsent = [
        (row["subject_id"], row["state"], row["last_error"]) for row in rows(ledger) if row["state"] != "SENT"
    ]
    assert not unsent, unsent
    expected = {row["subject_id"]: row["amount_minor"] for row in rows(ledger) if row["kind"] == "item"}
    lines = fake.items_of_lines()
    assert lines == dict.fromkeys(expected, 1), lines
    assert {item["metadata"]["invoice_line_id"]: item["amount"] for item in fake.items.values()} == expected
    drafts = {row["stripe_id"]: row["amount_minor"] for row in rows(ledger) if row["kind"] == "invoice"}
    assert {invoice["id"]: invoice["total"] for invoice in fake.invoices.values()} == drafts


def start_sender(home: Home, fake: FakeStripe, ledger_url: str = "", **given: Any) -> Warm:
    """A sender in a process of its own, which kills itself where it is told to.

    :param given: as ``dying_sender.send`` says, and ``pace``.
    """
    environment = {
        "STRIPE_API_KEY": fake.key,
        "METERHOUSE_STRIPE_API_BASE": fake.url,
        "METERHOUSE_LEDGER_URL": ledger_url,
    }
    pace = FAST | given.pop("pace", {})
    arguments = (str(home.root), customers_of(fake), pace, given)
    return Warm(dying_sender.send, *arguments, environment=environment)


def run_sender(home: Home, fake: FakeStripe, ledger_url: str = "", **given: Any) -> int:
    """What the sender's process ended with; -9: it was killed."""
    ended = start_sender(home, fake, ledger_url, **given).end()
    assert ended.returncode in {0, -9}, ended
    return ended.returncode
