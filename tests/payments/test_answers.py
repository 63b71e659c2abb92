"""Answers of Stripe that lack what is read of them, or say it otherwise: told, looked at again, nothing twice."""

import contextlib
from typing import Any

import payment_fixtures
import pytest
import sqlalchemy as sa
from fake_stripe import FakeStripe, Fault
from payment_ledgers import assert_once, issue_credit_note, issue_invoices, rows, sender_of

from pipelines.errors import MeterhouseError
from pipelines.ledger import Ledger
from pipelines.ledger.payments_schema import stripe_outbox
from pipelines.payments import outbox
from pipelines.payments.finalize import finalize
from pipelines.payments.reconcile import reconcile
from pipelines.times import utc_now

empty_home, home, ledger, fake = (
    payment_fixtures.empty_home,
    payment_fixtures.home,
    payment_fixtures.ledger,
    payment_fixtures.fake,
)
FIELDS = [
    "id", "data", "has_more", "status", "customer", "currency", "total", "amount", "amount_due", "amount_paid",
    "amount_remaining", "starting_balance", "ending_balance", "pre_payment_credit_notes_amount",
    "post_payment_credit_notes_amount", "status_transitions", "hosted_invoice_url", "invoice_pdf", "metadata",
    "invoice", "created", "date", "parent", "invoice_item_details", "invoice_item",
]  # fmt: skip
MISSING = object()
ODD: list[Any] = [MISSING, None, [], 10**30, "\x00"]


def spoil(fake: FakeStripe, field: str, value: Any) -> None:
    """From now on no answer has the field as it should be, at any depth."""

    def change(found: Any) -> None:
        if isinstance(found, list):
            for one in found:
                change(one)
        elif isinstance(found, dict):
            for one in found.values():
                change(one)
            if field in found and value is MISSING:
                del found[field]
            elif field in found:
                found[field] = value

    fake.faults += [Fault(method, "*", "spoil", 10**9, change) for method in ("GET", "POST")]


def review(ledger: Ledger) -> None:
    """A person has looked at what waits for one, and Stripe's answers are whole again."""
    open_ones = rows(ledger, stripe_outbox.c.state.in_(("FAILED", "NEEDS_REVIEW")))
    outbox.try_again(ledger, [row["subject_id"] for row in open_ones], utc_now())


@pytest.mark.parametrize("number", range(len(FIELDS)), ids=FIELDS)
def test_an_answer_without_a_field_is_told_and_made_good(ledger, fake, number):
    """Each field is missing; and in turn null, of another type, beyond all numbers, no text."""
    issue_invoices(ledger, {"c-1": [1000, 250]})
    steps = [
        lambda: sender_of(ledger, fake).send(),
        lambda: finalize(ledger, sender_of(ledger, fake)),
        lambda: sender_of(ledger, fake).send(),
        lambda: reconcile(ledger, sender_of(ledger, fake)),
    ]
    for place, step in enumerate(steps):
        if place == 2:
            issue_credit_note(ledger, 1, {1: 400})
        for value in (MISSING, ODD[1 + (number + place) % (len(ODD) - 1)]):
            spoil(fake, FIELDS[number], value)
            with contextlib.suppress(MeterhouseError):  # Anything else is not foreseen.
                step()
            fake.faults.clear()
        review(ledger)
        step()
    assert_once(ledger, fake)
    assert len(fake.credit_notes) == 1
    [invoice] = fake.invoices.values()
    assert invoice["status"] == "open"
    with ledger.reading() as connection:
        assert connection.scalar(sa.select(sa.func.count()).where(stripe_outbox.c.state != "SENT")) == 0


def test_what_is_wrong_is_named(ledger, fake):
    issue_invoices(ledger, {"c-1": [1000]})
    spoil(fake, "amount_due", MISSING)
    report = sender_of(ledger, fake).send()
    [(state, subject, reason)] = report.troubles
    assert (state, subject) == ("SENDING", "inv_1")
    assert report.has_failed
    assert "Stripe's invoice in_" in reason
    assert reason.endswith("cannot be read: amount_due: Field required")
