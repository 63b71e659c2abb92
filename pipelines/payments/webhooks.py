"""Events from Stripe: verified, kept as they came, then understood; duplicates and any order are fine.

What listens on a port does not belong here (``server.py``).
"""

import hashlib
import json
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import sqlalchemy as sa

from pipelines.errors import ConfigurationError
from pipelines.ledger import Alert, Ledger
from pipelines.ledger.books_schema import issued_invoices
from pipelines.ledger.payments_schema import (
    stripe_event_results,
    stripe_events,
    stripe_invoices,
    stripe_outbox,
)
from pipelines.notify import Destination, raise_alerts
from pipelines.payments.bodies import Json, reference
from pipelines.payments.invoices import find_invoice_id, keep_state
from pipelines.payments.settings import SECRET_VARIABLE

_log = logging.getLogger("meterhouse.payments")

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
    """The request is not from Stripe, or too old."""


@dataclass(frozen=True)
class Outcome:
    """What became of an event.

    :param said: applied, older (something newer is known), not_ours, kept (nothing follows), duplicate.
    :param alerts: those raised by it for the first time.
    """

    event_id: str
    said: str
    alerts: tuple[Alert, ...] = ()


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
    event = _verified(payload, signature, secret)
    with ledger.writing() as connection:
        known = connection.scalar(
            sa.select(stripe_events.c.event_id).where(stripe_events.c.event_id == event["id"])
        )
        if known is None:
            connection.execute(sa.insert(stripe_events).values(**_row(event, payload.decode(), now)))
    if known is not None and _is_handled(ledger, event["id"]):
        return Outcome(event["id"], "duplicate")
    return _handle(ledger, event, destinations, now)


def handle_waiting(ledger: Ledger, destinations: list[Destination], now: datetime) -> list[Outcome]:
    """Let events take effect that were kept, but whose receiver died before they did."""
    waiting = (
        sa.select(stripe_events.c.payload)
        .join(stripe_event_results, isouter=True)
        .where(stripe_event_results.c.event_id.is_(None))
        .order_by(stripe_events.c.created_at, stripe_events.c.event_id)
    )
    with ledger.reading() as connection:
        payloads: list[str] = list(connection.scalars(waiting))
    return [_handle(ledger, json.loads(payload), destinations, now) for payload in payloads]


def _verified(payload: bytes, signature: str, secret: str) -> Json:
    import stripe

    try:
        text = payload.decode()
        stripe.WebhookSignature.verify_header(text, signature, secret, TOLERANCE_SECONDS)
        event = json.loads(text)
        if not isinstance(event, dict):
            raise ValueError("not an object")
        _row(event, text, datetime.now(UTC))
    except (stripe.SignatureVerificationError, ValueError, KeyError, TypeError) as error:
        raise SignatureError(f"not an event signed by Stripe: {type(error).__name__}") from None
    return event


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
    invoice_id = find_invoice_id(connection, found)
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
    is_over = event["type"] == "customer.subscription.deleted" or found.get("status") == "canceled"
    ends_at = found.get("cancel_at")
    if not is_over and not ends_at and not found.get("cancel_at_period_end"):
        return None
    stripe_customer = reference(found.get("customer")) or "unknown"
    customer = _customer(ledger, stripe_customer)
    if is_over:
        words = f"Subscription {found['id']} at Stripe has ended"
    else:
        on = datetime.fromtimestamp(ends_at, UTC).date().isoformat() if ends_at else "the end of its period"
        words = f"Subscription {found['id']} at Stripe will end on {on}"
    return Alert(
        alert_id=_alert_id("subscription_cancelled", found["id"], "ended" if is_over else "announced"),
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
        .where(known.stripe_invoice_id == found["id"])
    )
    with ledger.reading() as connection:
        ours = connection.execute(query).mappings().first()
    if ours is None:
        return None
    attempt = found.get("attempt_count") or 1
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
