"""Events over HTTP: signed or refused, kept before anything else, once, in any order."""

import json
import threading
import time
from contextlib import contextmanager

import payment_fixtures
import pytest
import sqlalchemy as sa
import stripe
import uvicorn
from payment_ledgers import issue_invoices, send, sender_of
from servers import Receiver, free_port

from pipelines.api.stripe_events import PATH, server_config, webhook_app
from pipelines.ledger.payments_schema import stripe_event_results, stripe_events, stripe_invoices
from pipelines.notify import Destination
from pipelines.payments import webhooks
from pipelines.payments.finalize import finalize
from pipelines.times import utc_now

empty_home, home, ledger, fake = (
    payment_fixtures.empty_home,
    payment_fixtures.home,
    payment_fixtures.ledger,
    payment_fixtures.fake,
)
SECRET = "whsec_" + "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@contextmanager
def listening(ledger, destinations=()):
    app = webhook_app(ledger, SECRET, destinations)
    server = uvicorn.Server(server_config(app, "127.0.0.1", free_port()))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{server.config.port}{PATH}"
    finally:
        server.should_exit = True
        thread.join()


def event(kind, found, number=1, created=None):
    # Stripe's clock has seconds only; the next one is after what the ledger knows.
    created = int(time.time()) + 1 if created is None else created
    return {
        "id": f"evt_{number}", "object": "event", "type": kind, "created": created, "livemode": False,
        "api_version": "2026-10-28.endive", "pending_webhooks": 1, "request": None, "data": {"object": found},
    }  # fmt: skip


def post(url, body, secret=SECRET, signature=None):
    import requests

    payload = json.dumps(body)
    if signature is None:
        signature = stripe.WebhookSignature.generate_signature_header(payload, secret)
    return requests.post(url, data=payload, headers={"Stripe-Signature": signature}, timeout=10)


@pytest.fixture
def invoice(ledger, fake):
    """An open invoice at Stripe, as its object there."""
    issue_invoices(ledger, {"c-1": [1000]})
    send(ledger, fake)
    finalize(ledger, sender_of(ledger, fake))
    [found] = fake.invoices.values()
    return dict(found)


def state(ledger):
    with ledger.reading() as connection:
        return dict(connection.execute(sa.select(stripe_invoices)).mappings().one())


def count(ledger, table):
    with ledger.reading() as connection:
        return connection.scalar(sa.select(sa.func.count()).select_from(table))


def paid(invoice):
    moments = {"finalized_at": 1, "paid_at": 2, "voided_at": None, "marked_uncollectible_at": None}
    return invoice | {
        "status": "paid",
        "amount_paid": 1000,
        "amount_remaining": 0,
        "status_transitions": moments,
    }


def test_an_event_takes_effect_once(ledger, invoice):
    with listening(ledger) as url:
        first = post(url, event("invoice.paid", paid(invoice)))
        second = post(url, event("invoice.paid", paid(invoice)))
    assert (first.status_code, first.json()["outcome"]) == (200, "applied")
    assert (second.status_code, second.json()["outcome"]) == (200, "duplicate")
    assert state(ledger)["status"] == "paid"
    assert count(ledger, stripe_events) == count(ledger, stripe_event_results) == 1


@pytest.mark.parametrize("how", ["no signature", "another secret", "too old", "changed", "not an event"])
def test_what_stripe_did_not_sign_is_refused_and_not_kept(ledger, invoice, how):
    body = event("invoice.paid", paid(invoice))
    payload = json.dumps(body)
    header = stripe.WebhookSignature.generate_signature_header
    signature = {
        "no signature": "",
        "another secret": header(payload, "whsec_another"),
        "too old": header(payload, SECRET, timestamp=int(time.time()) - 3600),
        "changed": header(payload.replace("1000", "1"), SECRET),
        "not an event": header("[]", SECRET),
    }[how]
    with listening(ledger) as url:
        answer = post(url, [] if how == "not an event" else body, signature=signature)
    assert answer.status_code == 400
    assert SECRET not in answer.text
    assert count(ledger, stripe_events) == 0
    assert state(ledger)["status"] == "open"


def signed(payload, *secrets, at=None):
    """A header as Stripe writes it: one moment, and a signature for every secret that is in force."""
    at = int(time.time()) if at is None else at
    parts = [
        stripe.WebhookSignature.generate_signature_header(payload, one, timestamp=at).partition(",")[2]
        for one in secrets
    ]
    return ",".join([f"t={at}", *parts])


@pytest.mark.parametrize(
    ("secrets", "age", "status"),
    [
        # While a secret is being changed, Stripe signs with the old one and the new one.
        ((SECRET, "whsec_other"), 0, 200),
        (("whsec_other", SECRET), 0, 200),
        (("whsec_other", "whsec_third"), 0, 400),
        ((SECRET,), webhooks.TOLERANCE_SECONDS - 30, 200),
        ((SECRET,), webhooks.TOLERANCE_SECONDS + 1, 400),
    ],
)
def test_any_signature_in_force_counts_while_it_is_fresh(ledger, invoice, secrets, age, status):
    body = event("invoice.paid", paid(invoice))
    header = signed(json.dumps(body), *secrets, at=int(time.time()) - age)
    with listening(ledger) as url:
        assert post(url, body, signature=header).status_code == status
    assert count(ledger, stripe_events) == (status == 200)


@pytest.mark.parametrize("scheme", ["v0", "v2"])
def test_a_signature_of_another_scheme_counts_for_nothing(ledger, invoice, scheme):
    body = event("invoice.paid", paid(invoice))
    header = signed(json.dumps(body), SECRET).replace("v1=", f"{scheme}=")
    with listening(ledger) as url:
        assert post(url, body, signature=header).status_code == 400


def test_order_does_not_matter(ledger, invoice):
    now = int(time.time())
    void = invoice | {"status": "void"}
    with listening(ledger) as url:
        assert post(url, event("invoice.paid", paid(invoice), 1, now + 5)).json()["outcome"] == "applied"
        late = [
            event("invoice.finalized", invoice, 2, now + 1),
            event("invoice.payment_failed", invoice | {"attempt_count": 1}, 3, now + 2),
            event("invoice.voided", void, 4, now + 3),
        ]
        assert [post(url, one).json()["outcome"] for one in late] == ["older"] * 3
    assert (state(ledger)["status"], state(ledger)["is_payment_failed"]) == ("paid", False)
    assert count(ledger, stripe_events) == 4


@pytest.mark.parametrize(
    ("kind", "change", "status"),
    [
        ("invoice.finalized", {"status": "open"}, "open"),
        ("invoice.payment_succeeded", {"status": "paid"}, "paid"),
        ("invoice.voided", {"status": "void"}, "void"),
    ],
)
def test_the_object_says_what_it_is(ledger, invoice, kind, change, status):
    with listening(ledger) as url:
        assert post(url, event(kind, invoice | change)).json()["outcome"] == "applied"
    assert state(ledger)["status"] == status


def test_a_failed_payment_is_told_once_per_attempt(ledger, invoice):
    failed = invoice | {"attempt_count": 1, "attempted": True}
    with Receiver() as people, listening(ledger, [Destination("ALERTS", people.url)]) as url:
        assert post(url, event("invoice.payment_failed", failed)).json()["outcome"] == "applied"
        post(url, event("invoice.payment_failed", failed, 2))
        post(url, event("invoice.payment_failed", failed | {"attempt_count": 2}, 3))
        end = time.monotonic() + 10
        while len(people.requests) < 2 and time.monotonic() < end:
            time.sleep(0.02)
    assert len(people.requests) == 2
    assert b"INV-000001" in people.requests[0].body
    assert [raised.alert.kind for raised in ledger.alerts()] == ["payment_failed"] * 2
    assert {raised.alert.customer_id for raised in ledger.alerts()} == {"c-1"}
    assert state(ledger)["is_payment_failed"]
    with listening(ledger) as url:
        post(url, event("invoice.paid", paid(invoice), 4, int(time.time()) + 2))
    assert not state(ledger)["is_payment_failed"]


@pytest.mark.parametrize(
    ("kind", "change", "words"),
    [
        ("customer.subscription.deleted", {"status": "canceled"}, "has ended"),
        (
            "customer.subscription.updated",
            {"status": "active", "cancel_at": 1790812800},
            "will end on 2026-10-01",
        ),
        (
            "customer.subscription.updated",
            {"status": "active", "cancel_at_period_end": True},
            "the end of its period",
        ),
        ("customer.subscription.updated", {"status": "active"}, None),
    ],
)
def test_a_cancelled_subscription_is_told(ledger, invoice, kind, change, words):
    found = {"id": "sub_1", "object": "subscription", "customer": "cus_c-1", **change}
    with listening(ledger) as url:
        post(url, event(kind, found))
        post(url, event(kind, found, 2))
    raised = [raised.alert for raised in ledger.alerts()]
    assert [(alert.kind, alert.customer_id) for alert in raised] == [
        ("subscription_cancelled", "c-1")
    ] * bool(words)
    assert not words or words in raised[0].message


def test_other_events_are_kept_and_left_alone(ledger, invoice):
    with listening(ledger) as url:
        intent = {"id": "pi_1", "object": "payment_intent", "status": "succeeded"}
        assert post(url, event("payment_intent.succeeded", intent)).json()["outcome"] == "kept"
        assert post(url, event("charge.refunded", {"id": "ch_1"}, 2)).json()["outcome"] == "kept"
        strange = invoice | {"id": "in_of_others"}
        assert post(url, event("invoice.paid", strange, 3)).json()["outcome"] == "not_ours"
        assert post(url, event("invoice.payment_failed", strange, 4)).json()["outcome"] == "not_ours"
    assert count(ledger, stripe_events) == 4
    assert not ledger.alerts()


def test_an_event_whose_receiver_died_takes_effect_later(ledger, invoice, monkeypatch):
    payload = json.dumps(event("invoice.paid", paid(invoice))).encode()
    signature = stripe.WebhookSignature.generate_signature_header(payload.decode(), SECRET)
    with monkeypatch.context() as patch:
        patch.setattr(webhooks, "_apply", lambda *_: 1 / 0)
        patch.setattr(webhooks, "_keep_failure", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            webhooks.receive(ledger, payload, signature, SECRET, destinations=[], now=utc_now())
    assert (count(ledger, stripe_events), count(ledger, stripe_event_results)) == (1, 0)
    assert [outcome.said for outcome in webhooks.handle_waiting(ledger, [], utc_now())] == ["applied"]
    assert webhooks.handle_waiting(ledger, [], utc_now()) == []
    assert (
        webhooks.receive(ledger, payload, signature, SECRET, destinations=[], now=utc_now()).said
        == "duplicate"
    )
    assert state(ledger)["status"] == "paid"


def test_too_much_is_not_read(ledger):
    with listening(ledger) as url:
        assert post(url, {"id": "x" * 1_100_000}).status_code == 413
