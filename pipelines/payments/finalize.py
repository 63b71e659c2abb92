"""Finalizing invoices at Stripe, each behind a gate: nothing unsent, nothing twice, both sums equal.

Sending what an invoice consists of does not belong here.
"""

import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import sqlalchemy as sa

from pipelines.ledger import Ledger
from pipelines.ledger.books_schema import issued_invoices
from pipelines.ledger.payments_schema import stripe_outbox
from pipelines.payments import outbox
from pipelines.payments.answers import Invoice, Marked, NoAccessError, StripeCallError, need
from pipelines.payments.client import StripeApi
from pipelines.payments.requests import Target
from pipelines.payments.sender import Sender

_row = stripe_outbox.c


@dataclass(frozen=True)
class Gate:
    """An invoice before it is finalized.

    :param obstacles: what keeps it closed; none: it is open.
    """

    invoice_id: str
    invoice_number: str
    stripe_invoice_id: str | None
    obstacles: Sequence[str]


@dataclass(frozen=True)
class FinalizeReport:
    """What became of the invoices that were not finalized yet."""

    finalized: int
    held: Sequence[Gate]


def finalize(
    ledger: Ledger,
    sender: Sender,
    *,
    collects: bool = False,
    invoices: Sequence[str] = (),
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> FinalizeReport:
    """Finalize every invoice whose gate is open.

    :param collects: whether Stripe then collects the payment by itself, as the customer's settings say.
    :param invoices: ids or numbers; empty: all that are sent.
    :raises ConfigurationError: the key does not serve.
    """
    sender.preflight()
    waiting = _not_finalized(ledger, invoices)
    held: list[Gate] = []
    done = 0
    lock = threading.Lock()

    def finalize_one(row: Mapping[str, Any]) -> None:
        nonlocal done
        gate = _finalize(ledger, sender, row, collects=collects)
        with lock:
            done += 1
            held.extend([gate] if gate.obstacles else [])
            on_progress(done, len(waiting))

    sender.side_by_side([partial(finalize_one, row) for row in waiting])
    return FinalizeReport(len(waiting) - len(held), sorted(held, key=lambda gate: gate.invoice_number))


def _finalize(ledger: Ledger, sender: Sender, row: Mapping[str, Any], *, collects: bool) -> Gate:
    gate = look_at(ledger, sender.api, row)
    if gate.obstacles:
        return gate
    with ledger.writing() as connection:
        outbox_id = outbox.add_finalization(connection, gate.invoice_id, sender.clock())
    [operation] = outbox.find(ledger, _row.outbox_id == outbox_id)
    if operation.state in {"FAILED", "NEEDS_REVIEW"}:
        # Whoever asks for it again has looked at why it failed.
        outbox.try_again(ledger, [operation.subject_id], sender.clock())
        [operation] = outbox.find(ledger, _row.outbox_id == outbox_id)
    target = Target(row["stripe_customer_id"], cast(str, gate.stripe_invoice_id), collects=collects)
    if sender.settle(operation, target, looks=True):
        return gate
    [operation] = outbox.find(ledger, _row.outbox_id == outbox_id)
    reason = operation.last_error or "another command is finalizing it"
    return Gate(gate.invoice_id, gate.invoice_number, gate.stripe_invoice_id, [reason])


def look_at(ledger: Ledger, api: StripeApi, invoice: Mapping[str, Any]) -> Gate:
    """What keeps an invoice from being finalized: asked of the ledger first, then of Stripe.

    :param invoice: with ``invoice_id``, ``invoice_number``, ``total_minor``, ``line_count`` and the draft's
        ``stripe_id``, if it is sent.
    :raises NoAccessError: the key does not serve.
    """
    obstacles = _ledger_obstacles(ledger, invoice)
    stripe_id: str | None = invoice["stripe_id"]
    if not obstacles:
        try:
            obstacles = _stripe_obstacles(ledger, api, invoice, cast(str, stripe_id))
        except NoAccessError:
            raise
        except StripeCallError as error:
            obstacles = [f"Stripe gave no answer that serves: {error}"]
    return Gate(invoice["invoice_id"], invoice["invoice_number"], stripe_id, obstacles)


def _not_finalized(ledger: Ledger, wanted: Sequence[str]) -> list[Mapping[str, Any]]:
    done = sa.select(_row.invoice_id).where(_row.kind == "finalization", _row.state == "SENT")
    query = (
        sa.select(
            issued_invoices.c.invoice_id,
            issued_invoices.c.invoice_number,
            issued_invoices.c.total_minor,
            issued_invoices.c.line_count,
            _row.stripe_id,
            _row.stripe_customer_id,
        )
        .join(stripe_outbox, sa.and_(_row.invoice_id == issued_invoices.c.invoice_id, _row.kind == "invoice"))
        .where(issued_invoices.c.invoice_id.not_in(done))
        .order_by(issued_invoices.c.sequence_number)
    )
    if wanted:
        query = query.where(
            sa.or_(issued_invoices.c.invoice_id.in_(wanted), issued_invoices.c.invoice_number.in_(wanted))
        )
    with ledger.reading() as connection:
        return [cast(Mapping[str, Any], dict(row)) for row in connection.execute(query).mappings()]


def _ledger_obstacles(ledger: Ledger, invoice: Mapping[str, Any]) -> list[str]:
    of_items = _row.kind == "item"
    query = sa.select(
        sa.func.count().filter(of_items).label("items"),
        sa.func.count().filter(_row.state != "SENT").label("unsent"),
        sa.func.count(sa.distinct(_row.op_id)).label("op_ids"),
        sa.func.count().label("operations"),
        sa.cast(sa.func.coalesce(sa.func.sum(_row.amount_minor).filter(of_items), 0), sa.BigInteger).label(
            "asked"
        ),
        sa.cast(
            sa.func.coalesce(sa.func.sum(_row.stripe_amount_minor).filter(of_items), 0), sa.BigInteger
        ).label("answered"),
    ).where(_row.invoice_id == invoice["invoice_id"], _row.kind.in_(("invoice", "item")))
    with ledger.reading() as connection:
        found = connection.execute(query).mappings().one()
    obstacles = []
    if found["unsent"]:
        obstacles.append(f"{found['unsent']} of {found['operations']} operations are not sent")
    elif found["op_ids"] != found["operations"]:
        obstacles.append("two operations bear one op_id")
    if found["items"] != invoice["line_count"]:
        obstacles.append(f"the outbox has {found['items']} items for {invoice['line_count']} lines")
    for name, total in (("the outbox", found["asked"]), ("Stripe's answers", found["answered"])):
        if not found["unsent"] and total != invoice["total_minor"]:
            obstacles.append(f"{name} sum to {total} minor units, the invoice to {invoice['total_minor']}")
    return obstacles


def _stripe_obstacles(
    ledger: Ledger, api: StripeApi, invoice: Mapping[str, Any], stripe_id: str
) -> list[str]:
    found = need(Invoice, api.get(f"/v1/invoices/{stripe_id}"))
    obstacles = []
    if found.status == "void":
        obstacles.append("it is void at Stripe")
    if found.total != invoice["total_minor"]:
        obstacles.append(
            f"Stripe's total is {found.total} minor units, the ledger's {invoice['total_minor']}"
        )
    held = [need(Marked, item) for item in api.list("/v1/invoiceitems", invoice=stripe_id)]
    ours = outbox.find(ledger, _row.invoice_id == invoice["invoice_id"], _row.kind == "item")
    times = Counter(item.op_id for item in held)
    strange = sorted(item.id for item in held if item.id not in {operation.stripe_id for operation in ours})
    if twice := sorted(str(op_id) for op_id, count in times.items() if op_id and count > 1):
        obstacles.append(f"Stripe has items twice: {', '.join(twice)}")
    if strange:
        obstacles.append(f"Stripe's invoice holds items that are not the ledger's: {', '.join(strange)}")
    if missing := sorted(operation.subject_id for operation in ours if not times[operation.op_id]):
        obstacles.append(f"Stripe's invoice lacks {', '.join(missing)}")
    return obstacles
