"""The messages of a closing, put into the outbox of notifications by the closing's own transaction.

Sending them does not belong here, and no figure is computed here: words come as SQL wrote them.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from pipelines.ledger import Message
from pipelines.ledger.books import AfterIssue, Closing
from pipelines.ledger.books_schema import issued_invoices
from pipelines.ledger.store import add_messages
from pipelines.notify import MOST_SINGLE_MESSAGES

Row = Mapping[str, Any]


def tell_of_closing(
    totals: Sequence[Row], words: Mapping[str, str], destinations: Collection[str]
) -> AfterIssue:
    """What a closing does to tell of itself: that cycles ended, and which invoices there are now.

    More invoices than can be told one by one become one message.

    :param totals: rows of ``int_due_totals``.
    :param words: the totals of invoices in words, by invoice id.
    :param destinations: names of the destinations in use.
    """

    def follow(connection: sa.Connection, closing: Closing) -> None:
        numbers = connection.execute(
            sa.select(issued_invoices)
            .where(issued_invoices.c.closing_number == closing.closing_number)
            .order_by(issued_invoices.c.sequence_number)
        )
        invoices = [dict(row) for row in numbers.mappings()]
        messages = [_cycle_ended(closing, totals), *_created(closing, invoices, words)]
        add_messages(connection, messages, destinations, closing.closed_at)

    return follow


def _cycle_ended(closing: Closing, totals: Sequence[Row]) -> Message:
    lines = [
        f"{row['currency']}: {row['invoice_count']} invoices, {row['invoiced_text']};"
        f" {row['credit_note_count']} credit notes, {row['credited_text']}"
        for row in totals
    ]
    return Message(
        f"billing_cycle_end {closing.closing_number}",
        "billing_cycle_end",
        "info",
        f"Meterhouse: cycles through {closing.through} are closed",
        "\n".join([*lines, f"Closing: {closing.closing_number}, by {closing.closed_by}"]),
    )


def _created(closing: Closing, invoices: Sequence[Row], words: Mapping[str, str]) -> list[Message]:
    if len(invoices) > MOST_SINGLE_MESSAGES:
        first, last = invoices[0]["invoice_number"], invoices[-1]["invoice_number"]
        body = f"Numbers {first} to {last}, closing {closing.closing_number}. The mart invoices lists them."
        return [
            Message(
                f"invoice_created closing {closing.closing_number}",
                "invoice_created",
                "info",
                f"Meterhouse: {len(invoices)} invoices were issued",
                body,
            )
        ]
    return [
        Message(
            f"invoice_created {invoice['invoice_id']}",
            "invoice_created",
            "info",
            f"Meterhouse: invoice {invoice['invoice_number']} for {invoice['customer_id']}",
            f"Total: {words[invoice['invoice_id']]}\nCycle: {invoice['period_start']} to before"
            f" {invoice['period_end']}\nInvoice: {invoice['invoice_id']}",
        )
        for invoice in invoices
    ]
