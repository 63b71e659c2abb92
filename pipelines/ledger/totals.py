"""Sums of what one closing issued and one sender sent, in SQL. Issuing and sending do not belong here."""

from dataclasses import dataclass
from typing import Any, cast

import sqlalchemy as sa

from pipelines.ledger.books_schema import credit_notes, issued_invoices
from pipelines.ledger.payments_schema import stripe_outbox
from pipelines.ledger.store import Ledger


@dataclass(frozen=True)
class Total:
    """Documents or lines of one kind and currency.

    :param kind: invoice or credit_note; of what was sent also item, a line.
    :param amount_minor: their sum; minor units.
    """

    kind: str
    currency: str
    minor_units: int
    count: int
    amount_minor: int


def issued_totals(ledger: Ledger, closing_number: int) -> list[Total]:
    """Invoices and credit notes of a closing, by currency."""
    invoices = sa.select(
        sa.literal("invoice").label("kind"),
        issued_invoices.c.currency,
        issued_invoices.c.minor_units,
        issued_invoices.c.total_minor.label("amount_minor"),
    ).where(issued_invoices.c.closing_number == closing_number)
    notes = (
        sa.select(
            sa.literal("credit_note"),
            credit_notes.c.currency,
            issued_invoices.c.minor_units,
            credit_notes.c.amount_minor,
        )
        .join(issued_invoices, credit_notes.c.invoice_id == issued_invoices.c.invoice_id)
        .where(credit_notes.c.closing_number == closing_number)
    )
    return _totals(ledger, sa.union_all(invoices, notes))


def sent_totals(ledger: Ledger, sender: str) -> list[Total]:
    """Lines and credit notes that a sender brought to Stripe, by currency; drafts hold no amount."""
    rows = (
        sa.select(
            stripe_outbox.c.kind,
            stripe_outbox.c.currency,
            issued_invoices.c.minor_units,
            stripe_outbox.c.amount_minor,
        )
        .join(issued_invoices, stripe_outbox.c.invoice_id == issued_invoices.c.invoice_id)
        .where(
            stripe_outbox.c.claimed_by == sender,
            stripe_outbox.c.state == "SENT",
            stripe_outbox.c.kind.in_(("item", "credit_note")),
        )
    )
    return _totals(ledger, rows)


def sent_invoices(ledger: Ledger, sender: str) -> list[str]:
    """Numbers of the invoices of which a sender brought anything to Stripe, in order."""
    of_sender = sa.select(stripe_outbox.c.invoice_id).where(
        stripe_outbox.c.claimed_by == sender, stripe_outbox.c.state == "SENT"
    )
    query = (
        sa.select(issued_invoices.c.invoice_number)
        .where(issued_invoices.c.invoice_id.in_(of_sender))
        .order_by(issued_invoices.c.sequence_number)
    )
    with ledger.reading() as connection:
        return list(connection.scalars(query))


def _totals(ledger: Ledger, rows: sa.Select[Any] | sa.CompoundSelect[Any]) -> list[Total]:
    found = rows.subquery()
    keys = (found.c.kind, found.c.currency, found.c.minor_units)
    # The sum of BIGINT is NUMERIC on PostgreSQL.
    total = sa.cast(sa.func.sum(found.c.amount_minor), sa.BigInteger)
    query = sa.select(*keys, sa.func.count(), total).group_by(*keys).order_by(*keys)
    with ledger.reading() as connection:
        return [Total(*cast(tuple[str, str, int, int, int], tuple(row))) for row in connection.execute(query)]
