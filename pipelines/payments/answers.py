"""What a call of Stripe's API may end with: an error of one of few kinds, or an object that can be read.

Only fields that are read are named, and they are checked before they are used. What follows from them, and
what else an answer must say, does not belong here.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

Json = dict[str, Any]

_LATEST: Final = 253_402_300_799
"""The last second of the year 9999."""

Text = Annotated[str, StringConstraints(strict=True, min_length=1, max_length=5_000, pattern=r"^[^\x00]*$")]
Id = Annotated[str, StringConstraints(strict=True, min_length=1, max_length=255, pattern=r"^[!-~]+$")]
Minor = Annotated[int, Field(strict=True, ge=-(2**63), lt=2**63)]
"""Minor units, as far as both engines of the ledger hold them."""
Moment = Annotated[int, Field(strict=True, ge=0, le=_LATEST)]
"""Seconds since 1970."""
Flag = Annotated[bool, Field(strict=True)]


class Part(BaseModel):
    """An object or a part of one; fields that nobody reads may say anything."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class Listed(Part):
    """Any object that has an id."""

    id: Id


class Marked(Listed):
    """An object that may be ours: then its metadata bear an op_id. Without any, nobody could say."""

    metadata: dict[str, Any] | None

    @property
    def op_id(self) -> str | None:
        """Which operation it is of; None: none of ours."""
        found = (self.metadata or {}).get("op_id")
        return found if isinstance(found, str) else None


Reference = Id | Listed
"""An id, or in its place the object."""


class Page(Part):
    """One answer to asking for a list."""

    data: list[dict[str, Any]]
    has_more: Flag


class _Transitions(Part):
    finalized_at: Moment | None = None
    paid_at: Moment | None = None
    voided_at: Moment | None = None


class Invoice(Listed):
    """An invoice that we sent."""

    status: Literal["draft", "open", "paid", "uncollectible", "void"]
    customer: Reference
    currency: Text
    total: Minor
    amount_due: Minor
    amount_paid: Minor
    amount_remaining: Minor
    starting_balance: Minor
    ending_balance: Minor | None = None
    pre_payment_credit_notes_amount: Minor
    post_payment_credit_notes_amount: Minor
    hosted_invoice_url: Text | None = None
    invoice_pdf: Text | None = None
    status_transitions: _Transitions | None = None
    attempt_count: Annotated[int, Field(strict=True, ge=0)] | None = None


class Amount(Listed):
    """An item or a credit note that we sent."""

    amount: Minor


class SeenInvoice(Marked):
    """Any invoice of the account."""

    customer: Reference | None
    currency: Text
    total: Minor
    status: Text | None = None
    created: Moment


class SeenItem(Marked):
    """Any invoice item of the account."""

    customer: Reference | None
    invoice: Reference | None
    currency: Text
    amount: Minor
    date: Moment


class SeenCreditNote(Marked):
    """Any credit note of the account."""

    customer: Reference | None
    invoice: Reference | None
    currency: Text
    amount: Minor
    status: Text | None = None
    created: Moment


class _Item(Part):
    invoice_item: Id | None = None


class _Parent(Part):
    invoice_item_details: _Item | None = None


class InvoiceLine(Listed):
    """A line of an invoice, and the item that it is of."""

    parent: _Parent | None = None


class Subscription(Listed):
    """A subscription at Stripe, as an event tells of it."""

    customer: Reference | None = None
    status: Text | None = None
    cancel_at: Moment | None = None
    cancel_at_period_end: Flag | None = None


class StripeCallError(Exception):
    """A call did not succeed. Its text holds no secret."""

    def __init__(self, what: str, status: int | None = None, request_id: str | None = None) -> None:
        self.what, self.status, self.request_id = what, status, request_id
        super().__init__(what)


class RefusedError(StripeCallError):
    """Stripe will not do this, however often it is asked (400, 402, 404): it was not done."""


class NoAccessError(StripeCallError):
    """The key is wrong or may not do this (401, 403): no call will succeed, and this one did nothing."""


class UnknownOutcomeError(StripeCallError):
    """Nobody knows whether it was done: a connection that broke, an answer that did not come, 409, 429, 5xx.

    :param is_replayed: the answer is one that Stripe kept under the key, and would give again.
    :param is_locked: nothing was done, since another request is changing the same object.
    """

    def __init__(
        self,
        what: str,
        status: int | None = None,
        request_id: str | None = None,
        *,
        is_replayed: bool = False,
        is_locked: bool = False,
    ) -> None:
        self.is_replayed, self.is_locked = is_replayed, is_locked
        super().__init__(what, status, request_id)

    @property
    def has_ended(self) -> bool:
        """Whether Stripe has stopped working on it: it answered 500 itself, and keeps that under the key."""
        return self.status == 500


class UnexpectedAnswerError(UnknownOutcomeError):
    """What Stripe says cannot be read; of what was asked for nobody knows whether it was done."""


Model = TypeVar("Model", bound=Part)


def need(model: type[Model], found: object) -> Model:
    """The object, with the fields that are read of it.

    :raises UnexpectedAnswerError: one is absent, or is not what it should be.
    """
    try:
        return model.model_validate(found)
    except ValidationError as error:
        raise UnexpectedAnswerError(f"{_named(found)} cannot be read: {faults(error)}") from None


def faults(error: ValidationError) -> str:
    """The first things that are wrong, without what was given: it may be long, or a secret."""
    found = error.errors(include_url=False, include_input=False, include_context=False)
    return "; ".join(f"{'.'.join(map(str, one['loc'])) or 'it'}: {one['msg']}" for one in found[:3])


def _named(found: object) -> str:
    if not isinstance(found, Mapping):
        return "what Stripe answered"
    words = [found.get("object", "object"), found.get("id", "")]
    return " ".join(["Stripe's", *(word for word in words if isinstance(word, str) and word)])
