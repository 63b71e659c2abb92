"""What Stripe says of an invoice, kept beside ours: status, payment, links; news may come late, in any order.

Asking Stripe and receiving events do not belong here.
"""

from datetime import UTC, datetime
from typing import Any, Final

import sqlalchemy as sa

from pipelines.ledger.payments_schema import stripe_invoices
from pipelines.payments.answers import Invoice, Json, need
from pipelines.payments.requests import reference

_RANK: Final = {"draft": 0, "open": 1, "uncollectible": 2, "void": 3, "paid": 3}
"""An invoice never goes back: a state of lower rank is older news, whenever it arrives."""


def keep_state(
    connection: sa.Connection,
    invoice_id: str,
    account: str,
    found: Json,
    *,
    known_at: datetime,
    now: datetime,
    has_failed: bool | None = None,
) -> bool:
    """Take over what an invoice object of Stripe says, unless what is known is newer.

    :param found: the object, as a call or an event gives it.
    :param known_at: when it was so.
    :param has_failed: whether a payment is known to have failed; None: the object says nothing of it.
    :returns: whether anything was taken over.
    :raises UnexpectedAnswerError: it lacks something, or something is not what it should be.
    """
    column = stripe_invoices.c
    before = (
        connection.execute(sa.select(stripe_invoices).where(column.invoice_id == invoice_id))
        .mappings()
        .first()
    )
    values = _values(need(Invoice, found))
    if before is not None:
        if before["stripe_invoice_id"] != values["stripe_invoice_id"]:
            return False
        if _order(values["status"], known_at) < _order(before["status"], before["known_at"]):
            return False
    is_over = values["status"] in {"paid", "void"}
    was_failed = bool(before["is_payment_failed"]) if before is not None else False
    values |= {
        "account": account,
        "is_payment_failed": False if is_over else (was_failed if has_failed is None else has_failed),
        "known_at": known_at,
        "changed_at": now,
    }
    if before is None:
        connection.execute(sa.insert(stripe_invoices).values(invoice_id=invoice_id, **values))
    else:
        connection.execute(sa.update(stripe_invoices).where(column.invoice_id == invoice_id).values(**values))
    return True


def find_invoice_id(connection: sa.Connection, stripe_id: str) -> str | None:
    """Our id of an invoice object, by Stripe's id; None if it is not one of ours."""
    query = sa.select(stripe_invoices.c.invoice_id).where(stripe_invoices.c.stripe_invoice_id == stripe_id)
    return connection.scalar(query)


def _order(status: str, known_at: datetime) -> tuple[int, datetime]:
    return _RANK[status], known_at


def _values(found: Invoice) -> dict[str, Any]:
    moments = found.status_transitions
    return {
        "stripe_invoice_id": found.id,
        "stripe_customer_id": reference(found.customer),
        "status": found.status,
        "stripe_total_minor": found.total,
        "amount_due_minor": found.amount_due,
        "amount_paid_minor": found.amount_paid,
        "amount_remaining_minor": found.amount_remaining,
        "starting_balance_minor": found.starting_balance,
        "ending_balance_minor": found.ending_balance,
        "pre_payment_credit_minor": found.pre_payment_credit_notes_amount,
        "post_payment_credit_minor": found.post_payment_credit_notes_amount,
        "hosted_invoice_url": found.hosted_invoice_url,
        "invoice_pdf_url": found.invoice_pdf,
        "finalized_at": _instant(moments.finalized_at if moments else None),
        "paid_at": _instant(moments.paid_at if moments else None),
        "voided_at": _instant(moments.voided_at if moments else None),
    }


def _instant(seconds: int | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
