"""Sending, finalizing and comparing for a home: one at a time, with its key, its ledger and its customers.

What is shown belongs to ``pipelines.cli.show``; what happens to an operation to the other modules here.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime, time

from filelock import FileLock, Timeout

from pipelines import interruption
from pipelines.errors import ConfigurationError, MeterhouseError
from pipelines.home import Home
from pipelines.ledger import open_ledger
from pipelines.payments import outbox
from pipelines.payments.client import StripeApi
from pipelines.payments.finalize import FinalizeReport, finalize
from pipelines.payments.reconcile import Reconciliation, reconcile
from pipelines.payments.sender import Sender, SendReport
from pipelines.payments.settings import KEY_VARIABLE, load_stripe_settings
from pipelines.progress import Quiet, Steps
from pipelines.settings import Settings
from pipelines.times import utc_now


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
