"""What ``send``, ``finalize`` and ``reconcile`` show. What happens belongs to ``pipelines.payments``."""

from collections.abc import Mapping, Sequence
from typing import TextIO

import sqlalchemy as sa
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pipelines.ledger import Ledger, open_ledger
from pipelines.ledger.payments_schema import stripe_outbox
from pipelines.payments import outbox
from pipelines.payments.finalize import FinalizeReport
from pipelines.payments.outbox import Operation
from pipelines.payments.reconcile import Reconciliation
from pipelines.payments.requests import obstacle
from pipelines.payments.sender import SendReport
from pipelines.payments.service import stripe_customers
from pipelines.payments.settings import KEY_VARIABLE
from pipelines.settings import Settings

_row = stripe_outbox.c

_MOST_SHOWN = 20


def show_waiting(settings: Settings, output: TextIO) -> None:
    """What ``send`` would send; nothing is sent, nobody is asked."""
    customers = stripe_customers(settings)
    with open_ledger(settings.home) as ledger:
        outbox.enqueue_missing(ledger)
        waiting = outbox.find(ledger, _row.state != "SENT", _row.kind != "finalization")
        sums = _sums(ledger)
    console = Console(file=output, highlight=False)
    if not waiting:
        console.print(f"Nothing waits to be sent. {KEY_VARIABLE} is not set.")
        return
    table = Table(box=box.SIMPLE_HEAD)
    for name in ("What", "Customer", "Minor units", "State", "Description, and what is in the way"):
        table.add_column(name, overflow="fold", justify="right" if name == "Minor units" else "left")
    for operation in waiting[:_MOST_SHOWN]:
        table.add_row(*_shown(operation, customers))
    console.print(table)
    if len(waiting) > _MOST_SHOWN:
        console.print(f"... and {len(waiting) - _MOST_SHOWN:,} more.")
    for currency, count, total in sums:
        console.print(f"Items not sent: {count:,}, {total:,} minor units of {currency}.")
    console.print(f"{KEY_VARIABLE} is not set: nothing was sent.")


def show_sent(report: SendReport, output: TextIO) -> None:
    """What ``send`` did."""
    console = Console(file=output, highlight=False)
    sent, adopted = report.counts["sent"], report.counts["adopted"]
    console.print(
        f"Account {report.account}: {sent:,} sent, {adopted:,} found there and adopted.", markup=False
    )
    if report.leased:
        console.print(
            f"{report.leased:,} are held by another sender, or by one that died and whose lease still runs."
        )
    _print_troubles(console, [(state, subject, reason) for state, subject, reason in report.troubles])


def show_finalized(report: FinalizeReport, output: TextIO) -> None:
    """What ``finalize`` did."""
    console = Console(file=output, highlight=False)
    console.print(f"{report.finalized:,} finalized, {len(report.held):,} held back.")
    _print_troubles(
        console, [("held", gate.invoice_number, "; ".join(gate.obstacles)) for gate in report.held]
    )


def show_reconciliation(found: Reconciliation, output: TextIO) -> None:
    """What ``reconcile`` found."""
    console = Console(file=output, highlight=False)
    if found.differences:
        table = Table(box=box.SIMPLE_HEAD)
        for name in ("Difference", "Object", "Which", "Ledger", "Stripe"):
            table.add_column(name, overflow="fold")
        for one in found.differences:
            style = "red" if one.is_blocking else "dim"
            which = " ".join(filter(None, (one.subject_id or one.invoice_id, one.stripe_id)))
            cells = (one.kind, one.object, which, one.ledger_says, one.stripe_says)
            table.add_row(*(Text(cell or "", style=style) for cell in cells))
        console.print(table)
    for failed in found.failed_events[:_MOST_SHOWN]:
        console.print(Text(f"Event not handled: {failed}"), soft_wrap=True)
    if len(found.failed_events) > _MOST_SHOWN:
        console.print(f"... and {len(found.failed_events) - _MOST_SHOWN:,} more events not handled.")
    count = sum(one.is_blocking for one in found.differences)
    since = found.since.date().isoformat()
    words = "The ledger and Stripe agree" if not count else f"{count:,} differences"
    console.print(f"{words}: {found.seen:,} objects of {found.account} since {since} compared.", markup=False)


def _shown(operation: Operation, customers: Mapping[str, str | None]) -> tuple[Text, ...]:
    content = operation.content
    names = {
        "invoice": content["invoice_number"],
        "item": f"line {operation.subject_id}",
        "credit_note": content.get("credit_note_number", ""),
    }
    in_the_way = obstacle(operation.kind, content) or operation.last_error or ""
    if not customers.get(operation.customer_id):
        in_the_way = "no stripe_customer_id: waits for review"
    words = " - ".join(filter(None, (content.get("description"), in_the_way)))
    amount = f"{operation.amount_minor:,} {operation.currency}"
    cells = (names[operation.kind], operation.customer_id, amount, operation.state, words)
    return tuple(Text(cell) for cell in cells)


def _sums(ledger: Ledger) -> list[tuple[str, int, int]]:
    total = sa.cast(sa.func.sum(_row.amount_minor), sa.BigInteger)
    query = (
        sa.select(_row.currency, sa.func.count(), total)
        .where(_row.kind == "item", _row.state != "SENT")
        .group_by(_row.currency)
        .order_by(_row.currency)
    )
    with ledger.reading() as connection:
        return [(row[0], int(row[1]), int(row[2])) for row in connection.execute(query)]


def _print_troubles(console: Console, troubles: Sequence[tuple[str, str, str]]) -> None:
    for state, subject, reason in troubles[:_MOST_SHOWN]:
        console.print(Text(f"{state}  {subject}: {reason}"), soft_wrap=True)
    if len(troubles) > _MOST_SHOWN:
        console.print(f"... and {len(troubles) - _MOST_SHOWN:,} more; see stripe_invoice_items.")
