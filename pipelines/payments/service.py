"""What ``meterhouse send``, ``finalize``, ``reconcile`` and ``webhooks`` do, and what they show.

Options and their help belong to ``pipelines.cli``; what happens to an operation to the other modules here.
"""

import os
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime, time
from typing import TextIO

import sqlalchemy as sa
from filelock import FileLock, Timeout
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pipelines import interruption
from pipelines.errors import ConfigurationError, MeterhouseError
from pipelines.home import Home
from pipelines.ledger import Ledger, open_ledger
from pipelines.ledger.payments_schema import stripe_outbox
from pipelines.payments import outbox
from pipelines.payments.client import StripeApi
from pipelines.payments.finalize import FinalizeReport, finalize
from pipelines.payments.outbox import Operation
from pipelines.payments.reconcile import Reconciliation, reconcile
from pipelines.payments.requests import obstacle
from pipelines.payments.sender import Sender, SendReport
from pipelines.payments.settings import KEY_VARIABLE, load_stripe_settings
from pipelines.progress import Quiet, Steps
from pipelines.settings import Settings
from pipelines.times import utc_now

_row = stripe_outbox.c
_MOST_SHOWN = 20


def send_outbox(
    settings: Settings,
    steps: Steps | None = None,
    again: Sequence[str] | None = None,
    environment: Mapping[str, str] = os.environ,
) -> SendReport | None:
    """Send what waits; None without a key: nothing was sent.

    :param again: ids whose operations get a new start first; empty: all that failed.
    :raises ConfigurationError: the key may not be used, or serves another account; nothing was sent.
    """
    stripe = load_stripe_settings(environment)
    if stripe is None:
        return None
    steps = steps or Quiet()
    with alone(settings.home, steps.say), open_ledger(settings.home, environment=environment) as ledger:
        if again is not None:
            outbox.try_again(ledger, again, utc_now())
        sender = Sender(ledger, StripeApi(stripe), stripe_customers(settings))
        try:
            with steps.step("Sending to Stripe") as step:
                return sender.send(lambda done, total: step.update(done, total, f"{done:,} of {total:,}"))
        finally:
            _tell_what_is_done(sender, "send")
            ledger.export()


def finalize_invoices(
    settings: Settings,
    steps: Steps | None = None,
    invoices: Sequence[str] = (),
    *,
    collects: bool = False,
    environment: Mapping[str, str] = os.environ,
) -> FinalizeReport:
    """Finalize what is sent and whose gate is open.

    :raises ConfigurationError: there is no key, or it may not be used.
    """
    steps = steps or Quiet()
    with alone(settings.home, steps.say), open_ledger(settings.home, environment=environment) as ledger:
        sender = Sender(ledger, _api(environment), stripe_customers(settings))
        try:
            with steps.step("Finalizing at Stripe") as step:
                return finalize(
                    ledger,
                    sender,
                    collects=collects,
                    invoices=invoices,
                    on_progress=lambda done, total: step.update(done, total, f"{done:,} of {total:,}"),
                )
        finally:
            _tell_what_is_done(sender, "finalize")
            ledger.export()


def reconcile_ledger(
    settings: Settings,
    steps: Steps | None = None,
    since: date | None = None,
    environment: Mapping[str, str] = os.environ,
) -> Reconciliation:
    """Compare ledger and Stripe; what was found is kept in the ledger.

    :raises ConfigurationError: there is no key, or it may not be used.
    """
    from pipelines.payments.webhooks import failed_events

    steps = steps or Quiet()
    with alone(settings.home, steps.say), open_ledger(settings.home, environment=environment) as ledger:
        sender = Sender(ledger, _api(environment), {})
        start = None if since is None else datetime.combine(since, time(), UTC)
        with steps.step("Comparing with Stripe") as step:
            found = reconcile(ledger, sender, start, step.update)
        return replace(found, failed_events=[str(failed) for failed in failed_events(ledger)])


def listen(settings: Settings, host: str, port: int, say: Callable[[str], None]) -> None:
    """Take Stripe's events until the process is told to end; those left over from before first.

    :raises ConfigurationError: there is no signing secret, or the port is not free.
    """
    from pipelines.api.stripe_events import PATH, serve, tell_of_failed, webhook_app
    from pipelines.catalog import load_alert_settings
    from pipelines.notify import destinations_in_use
    from pipelines.payments.webhooks import failed_events, handle_waiting, webhook_secret

    secret = webhook_secret()
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise ConfigurationError(
                f"cannot listen on {host}:{port}: {error.strerror}", where="--port", remedy="choose another"
            ) from None
    destinations = destinations_in_use(load_alert_settings(settings.home).destinations)
    with open_ledger(settings.home) as ledger:
        tell_of_failed(ledger, handle_waiting(ledger, destinations, utc_now()))
        for failed in failed_events(ledger)[:_MOST_SHOWN]:
            say(f"Not handled: {failed}")
        app = webhook_app(ledger, secret, destinations)
        serve(app, host, port, lambda: say(f"Listening at http://{host}:{port}{PATH}; Ctrl+C ends it."))


def _tell_what_is_done(sender: Sender, command: str) -> None:
    """For whoever interrupts: operations are done one by one."""
    if done := sender.report.counts["sent"] + sender.report.counts["adopted"]:
        interruption.expect(
            f"{done:,} operations are done and recorded, the others as before; `meterhouse {command}` goes on"
        )


def stripe_customers(settings: Settings) -> dict[str, str | None]:
    """Stripe's ids of customers, as the accounts say now."""
    from pipelines.catalog import load_configuration

    accounts = load_configuration(settings.home).accounts
    return {customer.customer_id: customer.stripe_customer_id for customer in accounts.customers}


@contextmanager
def alone(home: Home, say: Callable[[str], None]) -> Iterator[None]:
    """One of these commands per home at a time. Claims keep them apart anyway; this saves requests."""
    home.ledger.mkdir(parents=True, exist_ok=True)
    lock = FileLock(home.ledger / ".stripe.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        say("Another command talks to Stripe for this home. Waiting for it to end.")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


# Showing


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


def fail_if_open(report: SendReport) -> None:
    """A run that leaves operations open, but for those that wait for a person, is a failed step.

    :raises MeterhouseError: something was refused, its outcome is not known, or another sender holds it.
    """
    if report.has_failed:
        failed = sum(state in {"FAILED", "SENDING"} for state, _, _ in report.troubles)
        raise MeterhouseError(
            f"{failed:,} operations were not sent",
            where="send",
            remedy="run it again: what Stripe may have got is looked for first; what it refused waits for"
            " `meterhouse send --again` once the reason is gone",
        )
    if report.leased and report.leased_until:
        until = report.leased_until.astimezone(UTC)
        raise MeterhouseError(
            f"{report.leased:,} operations were left to the sender that holds them",
            where="send",
            remedy=f"run it again after {until:%Y-%m-%d %H:%M:%S} UTC, when nobody holds them any more: what"
            " Stripe got is looked for first",
        )


def fail_if_different(found: Reconciliation) -> None:
    """A comparison with disagreements is a failed step.

    :raises MeterhouseError: there are some.
    """
    if not found.is_clean:
        count = sum(one.is_blocking for one in found.differences)
        raise MeterhouseError(
            f"the ledger and Stripe disagree on {count:,} points",
            where="reconcile",
            remedy="`meterhouse reconcile` and the mart tie_out show them; nothing was changed at Stripe",
        )


def _api(environment: Mapping[str, str]) -> StripeApi:
    stripe = load_stripe_settings(environment)
    if stripe is None:
        raise ConfigurationError(
            "it is not set, and this needs Stripe",
            where=KEY_VARIABLE,
            remedy="set it to a test key (sk_test_...)",
        )
    return StripeApi(stripe)


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
