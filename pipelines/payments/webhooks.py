"""Events from Stripe: verified, kept as they came, then understood; duplicates and any order are fine.

An event that is kept and cannot be handled is skipped with its reason, and tried again whenever Stripe sends
it and with every start, since code and data may have changed (D-webhooks-kept-and-skipped). What listens
on a port does not belong here (``api/stripe_events.py``).
"""

import hashlib
import json
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, cast

import sqlalchemy as sa
from pydantic import ConfigDict, ValidationError
from pydantic_core import from_json

from pipelines.errors import ConfigurationError, MeterhouseError
from pipelines.ledger import Alert, Ledger, LedgerError
from pipelines.ledger.books_schema import issued_invoices
from pipelines.ledger.payments_schema import (
    stripe_event_failures,
    stripe_event_results,
    stripe_events,
    stripe_invoices,
    stripe_outbox,
)
from pipelines.notify import Destination, raise_alerts
from pipelines.payments.answers import Id, Invoice, Json, Listed, Moment, Part, Subscription, faults, need
from pipelines.payments.invoices import find_invoice_id, keep_state
from pipelines.payments.requests import reference
from pipelines.payments.settings import SECRET_VARIABLE

_log = logging.getLogger("meterhouse.payments")
_LONGEST_REASON: Final = 1_000

TOLERANCE_SECONDS: Final = 300
"""A signature older than this may be somebody's recording."""

_INVOICE_EVENTS: Final = {
    "invoice.finalized",
    "invoice.paid",
    "invoice.payment_succeeded",
    "invoice.payment_failed",
    "invoice.voided",
}
_SUBSCRIPTION_EVENTS: Final = {"customer.subscription.updated", "customer.subscription.deleted"}
_KEPT_EVENTS: Final = {"payment_intent.succeeded"}
HANDLED: Final = _INVOICE_EVENTS | _SUBSCRIPTION_EVENTS | _KEPT_EVENTS
"""Types of events that mean something here; others are kept and left alone."""


class SignatureError(Exception):
    """The request is not from Stripe, or too old, or no event: its text says which."""


class _Object(Part):
    model_config = ConfigDict(extra="allow")

    id: Id | None = None


class _Data(Part):
    object: _Object


class _Event(Part):
    """What every event has, of whatever type."""

    id: Id
    type: Id
    created: Moment
    api_version: Id | None = None
    data: _Data


@dataclass(frozen=True)
class Outcome:
    """What became of an event.

    :param said: applied, older (something newer is known), not_ours, kept (nothing follows), duplicate,
        failed (kept, and skipped).
    :param alerts: those raised by it for the first time.
    :param reason: of a failed one: why.
    :param may_pass: the ledger failed, not the event: Stripe shall send it again.
    """

    event_id: str
    said: str
    alerts: tuple[Alert, ...] = ()
    reason: str | None = None
    may_pass: bool = False


@dataclass(frozen=True)
class FailedEvent:
    """An event that is kept and could not be handled so far."""

    event_id: str
    event_type: str
    reason: str
    attempt_count: int
    first_failed_at: datetime
    last_failed_at: datetime

    def __str__(self) -> str:
        tries = "once" if self.attempt_count == 1 else f"{self.attempt_count:,} times"
        return f"{self.event_id} ({self.event_type}), tried {tries}: {self.reason}"


def webhook_secret(environment: Mapping[str, str] = os.environ) -> str:
    """The secret that Stripe signs with.

    :raises ConfigurationError: it is not set.
    """
    secret = environment.get(SECRET_VARIABLE, "").strip()
    if not secret:
        raise ConfigurationError(
            "it is not set: nobody could tell Stripe's events from forged ones",
            where=SECRET_VARIABLE,
            remedy="copy the signing secret (whsec_...) of the endpoint from Stripe's dashboard",
        )
    return secret


def receive(
    ledger: Ledger,
    payload: bytes,
    signature: str,
    secret: str,
    *,
    destinations: list[Destination],
    now: datetime,
) -> Outcome:
    """Take an event as it arrived: verify it, keep it raw, then let it take effect, once.

    Should this process die in between, the event is kept, and Stripe's next attempt or ``handle_waiting``
    lets it take effect.

    :raises SignatureError: it was not signed with the secret, or not lately; nothing is kept.
    """
    event = verified(payload, signature, secret)
    with ledger.writing() as connection:
        known = connection.scalar(
            sa.select(stripe_events.c.event_id).where(stripe_events.c.event_id == event["id"])
        )
        if known is None:
            connection.execute(sa.insert(stripe_events).values(**_row(event, payload.decode(), now)))
    if known is not None and _is_handled(ledger, event["id"]):
        return Outcome(event["id"], "duplicate")
    return _handle_or_skip(ledger, event, destinations, now)


def handle_waiting(ledger: Ledger, destinations: list[Destination], now: datetime) -> list[Outcome]:
    """Let events take effect that were kept, but whose receiver died before or could not handle them.

    One that cannot be handled now either is skipped, and the others go on.

    :raises LedgerError: the ledger is out of reach.
    """
    waiting = (
        sa.select(stripe_events.c.payload)
        .join(stripe_event_results, isouter=True)
        .where(stripe_event_results.c.event_id.is_(None))
        .order_by(stripe_events.c.created_at, stripe_events.c.event_id)
    )
    with ledger.reading() as connection:
        payloads: list[str] = list(connection.scalars(waiting))
    return [_handle_or_skip(ledger, json.loads(payload), destinations, now) for payload in payloads]


def failed_events(ledger: Ledger) -> list[FailedEvent]:
    """Events that are kept and could not be handled so far, in the order in which they happened."""
    failures, events = stripe_event_failures.c, stripe_events.c
    query = (
        sa.select(
            failures.event_id,
            events.event_type,
            failures.reason,
            failures.attempt_count,
            failures.first_failed_at,
            failures.last_failed_at,
        )
        .join(stripe_events, events.event_id == failures.event_id)
        .join(stripe_event_results, stripe_event_results.c.event_id == failures.event_id, isouter=True)
        .where(stripe_event_results.c.event_id.is_(None))
        .order_by(events.created_at, failures.event_id)
    )
    with ledger.reading() as connection:
        return [FailedEvent(**dict(row)) for row in connection.execute(query).mappings()]


def verified(payload: bytes, signature: str, secret: str) -> Json:
    """An event as it was sent, with what every event has.

    :raises SignatureError: it was not signed with the secret, or not lately, or it is no event.
    """
    import stripe

    try:
        text = payload.decode()
        stripe.WebhookSignature.verify_header(text, signature, secret, TOLERANCE_SECONDS)
    except (stripe.SignatureVerificationError, ValueError) as error:
        raise SignatureError(f"not signed by Stripe: {type(error).__name__}") from None
    try:
        # Unlike Python's own reader it takes neither NaN nor halves of characters, and does not dig deep.
        event = from_json(payload, allow_inf_nan=False)
        _Event.model_validate(event)
    except ValidationError as error:
        raise SignatureError(f"signed, but no event: {faults(error)}") from None
    except (ValueError, RecursionError) as error:
        raise SignatureError(f"signed, but not JSON: {error}") from None
    return cast(Json, event)


def _row(event: Json, payload: str, now: datetime) -> dict[str, Any]:
    return {
        "event_id": event["id"],
        "event_type": event["type"],
        "created_at": datetime.fromtimestamp(event["created"], UTC),
        "api_version": event.get("api_version"),
        "object_id": event["data"]["object"].get("id"),
        "payload": payload,
        "received_at": now,
    }


def _is_handled(ledger: Ledger, event_id: str) -> bool:
    query = sa.select(stripe_event_results.c.event_id).where(stripe_event_results.c.event_id == event_id)
    with ledger.reading() as connection:
        return connection.scalar(query) is not None


def _handle_or_skip(ledger: Ledger, event: Json, destinations: list[Destination], now: datetime) -> Outcome:
    """Handle an event; one that cannot be is kept as failed, and keeps no other waiting.

    :raises LedgerError: the ledger is out of reach; nobody knows yet whether the event can be handled.
    """
    try:
        return _handle(ledger, event, destinations, now)
    except Exception as error:
        what = error.what if isinstance(error, MeterhouseError) else str(error)
        reason = f"{type(error).__name__}: {' '.join(what.split())}".replace("\x00", "")[:_LONGEST_REASON]
        _log.error("event %s (%s) could not be handled: %s", event["id"], event["type"], reason)
        # Where this fails as well, it is not the event.
        _keep_failure(ledger, event["id"], reason, now)
        return Outcome(event["id"], "failed", reason=reason, may_pass=isinstance(error, LedgerError))


def _keep_failure(ledger: Ledger, event_id: str, reason: str, now: datetime) -> None:
    column = stripe_event_failures.c
    with ledger.writing() as connection:
        again = (
            sa.update(stripe_event_failures)
            .where(column.event_id == event_id)
            .values(reason=reason, attempt_count=column.attempt_count + 1, last_failed_at=now)
        )
        if not connection.execute(again).rowcount:
            connection.execute(
                sa.insert(stripe_event_failures).values(
                    event_id=event_id,
                    reason=reason,
                    attempt_count=1,
                    first_failed_at=now,
                    last_failed_at=now,
                )
            )


def _handle(ledger: Ledger, event: Json, destinations: list[Destination], now: datetime) -> Outcome:
    found: Json = event["data"]["object"]
    alert = _alert(ledger, event, found)
    # Before the result: what is raised twice is raised once, what is not raised would be lost.
    raised = raise_alerts(ledger, [alert], destinations, now) if alert else []
    with ledger.writing() as connection:
        said = _apply(connection, event, found, now)
        done = sa.select(stripe_event_results.c.event_id).where(
            stripe_event_results.c.event_id == event["id"]
        )
        if connection.scalar(done) is not None:
            return Outcome(event["id"], "duplicate", tuple(raised))
        connection.execute(
            sa.insert(stripe_event_results).values(event_id=event["id"], outcome=said, handled_at=now)
        )
    _log.info("event %s (%s): %s", event["id"], event["type"], said)
    return Outcome(event["id"], said, tuple(raised))


def _apply(connection: sa.Connection, event: Json, found: Json, now: datetime) -> str:
    if event["type"] in _SUBSCRIPTION_EVENTS:
        return "applied"
    if event["type"] not in _INVOICE_EVENTS:
        return "kept"
    invoice_id = find_invoice_id(connection, need(Listed, found).id)
    if invoice_id is None:
        return "not_ours"
    known = stripe_invoices.c
    account = connection.scalar(sa.select(known.account).where(known.invoice_id == invoice_id))
    was_taken = keep_state(
        connection,
        invoice_id,
        str(account),
        found,
        known_at=datetime.fromtimestamp(event["created"], UTC),
        now=now,
        has_failed=True if event["type"] == "invoice.payment_failed" else None,
    )
    return "applied" if was_taken else "older"


def _alert(ledger: Ledger, event: Json, found: Json) -> Alert | None:
    """What people should hear of an event."""
    day = datetime.fromtimestamp(event["created"], UTC).date()
    if event["type"] == "invoice.payment_failed":
        return _payment_failed(ledger, event, found)
    if event["type"] not in _SUBSCRIPTION_EVENTS:
        return None
    subscription = need(Subscription, found)
    is_over = event["type"] == "customer.subscription.deleted" or subscription.status == "canceled"
    ends_at = subscription.cancel_at
    if not is_over and not ends_at and not subscription.cancel_at_period_end:
        return None
    stripe_customer = reference(cast(object, subscription.customer)) or "unknown"
    customer = _customer(ledger, stripe_customer)
    if is_over:
        words = f"Subscription {subscription.id} at Stripe has ended"
    else:
        on = datetime.fromtimestamp(ends_at, UTC).date().isoformat() if ends_at else "the end of its period"
        words = f"Subscription {subscription.id} at Stripe will end on {on}"
    return Alert(
        alert_id=_alert_id("subscription_cancelled", subscription.id, "ended" if is_over else "announced"),
        customer_id=customer or stripe_customer,
        kind="subscription_cancelled",
        severity="warning",
        triggered_on=day,
        message=words,
    )


def _payment_failed(ledger: Ledger, event: Json, found: Json) -> Alert | None:
    invoices, known = issued_invoices.c, stripe_invoices.c
    query = (
        sa.select(invoices.invoice_number, invoices.customer_id)
        .join(stripe_invoices, invoices.invoice_id == known.invoice_id)
        .where(known.stripe_invoice_id == need(Listed, found).id)
    )
    with ledger.reading() as connection:
        ours = connection.execute(query).mappings().first()
    if ours is None:
        return None
    attempt = need(Invoice, found).attempt_count or 1
    return Alert(
        alert_id=_alert_id("payment_failed", found["id"], str(attempt)),
        customer_id=ours["customer_id"],
        kind="payment_failed",
        severity="critical",
        triggered_on=datetime.fromtimestamp(event["created"], UTC).date(),
        message=f"Payment of invoice {ours['invoice_number']} failed (attempt {attempt})",
    )


def _customer(ledger: Ledger, stripe_customer_id: str) -> str | None:
    """Our id of a customer that something was sent for."""
    column = stripe_outbox.c
    query = sa.select(column.customer_id).where(column.stripe_customer_id == stripe_customer_id).limit(1)
    with ledger.reading() as connection:
        return connection.scalar(query)


def _alert_id(*parts: str) -> str:
    return "alert_" + hashlib.sha256("\n".join(parts).encode()).hexdigest()[:24]
