"""The outbox: one row per operation, added with its document, changed only by who holds its claim.

Requests and their answers do not belong here; neither does deciding what follows from an answer.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, Self, cast

import sqlalchemy as sa

from pipelines.errors import ConfigurationError
from pipelines.ledger import Ledger
from pipelines.ledger.books import Closing
from pipelines.ledger.books_schema import (
    closings,
    credit_note_lines,
    credit_notes,
    issued_invoices,
    issued_lines,
)
from pipelines.ledger.payments_schema import stripe_outbox
from pipelines.payments.answers import Json
from pipelines.payments.group_commit import Commits
from pipelines.payments.requests import (
    REVISION,
    Kind,
    canonical,
    credit_note_content,
    idempotency_key,
    invoice_content,
    item_content,
)

State = Literal["PENDING", "SENDING", "SENT", "FAILED", "NEEDS_REVIEW"]

_CHUNK = 2_000
_row = stripe_outbox.c


@dataclass(frozen=True)
class Operation:
    """A row of the outbox.

    :param generation: of the idempotency key; 0 before the first attempt.
    :param key_used_at: when a request first went out under the key of this generation.
    :param last_status: HTTP status of the last answer; None: there was none.
    """

    outbox_id: str
    kind: Kind
    closing_number: int
    customer_id: str
    currency: str
    invoice_id: str
    subject_id: str
    revision: int
    amount_minor: int
    content: Json
    state: State
    account: str | None
    op_id: str | None
    stripe_customer_id: str | None
    request: Json | None
    generation: int
    key_used_at: datetime | None
    attempt_count: int
    last_status: int | None
    last_error: str | None
    stripe_id: str | None
    stripe_invoice_id: str | None
    was_adopted: bool | None
    lease_until: datetime | None
    created_at: datetime

    @classmethod
    def from_row(cls, row: Mapping[Any, Any]) -> Self:
        """A row of ``stripe_outbox``."""
        values: dict[str, Any] = {name: row[name] for name in cls.__dataclass_fields__}
        values["content"] = json.loads(row["content"])
        values["request"] = None if row["request"] is None else json.loads(row["request"])
        return cls(**values)

    @property
    def is_open(self) -> bool:
        """As ``open_ones``."""
        return self.state in {"PENDING", "SENDING"} or (self.state == "NEEDS_REVIEW" and not self.was_tried)

    @property
    def was_tried(self) -> bool:
        """Whether a request may have gone out before."""
        return self.op_id is not None

    @property
    def key(self) -> str:
        """The idempotency key."""
        return idempotency_key(cast(str, self.op_id), self.generation)


@dataclass(frozen=True)
class Attempt:
    """What is fixed when an operation is claimed."""

    account: str
    op_id: str
    stripe_customer_id: str
    request: Json


# Adding


def enqueue(connection: sa.Connection, closing_number: int) -> int:
    """Add what a closing issued, inside that closing's transaction; what is there already stays.

    :returns: how many rows are new.
    """
    known: set[str] = set(
        connection.scalars(sa.select(_row.outbox_id).where(_row.closing_number == closing_number))
    )
    at = connection.scalar(sa.select(closings.c.closed_at).where(closings.c.closing_number == closing_number))
    rows = [row for row in _rows(connection, closing_number) if row["outbox_id"] not in known]
    stamp = {"state": "PENDING", "generation": 0, "attempt_count": 0, "created_at": at, "changed_at": at}
    for start in range(0, len(rows), _CHUNK):
        connection.execute(sa.insert(stripe_outbox), [row | stamp for row in rows[start : start + _CHUNK]])
    return len(rows)


def enqueue_closing(connection: sa.Connection, closing: Closing) -> None:
    """``enqueue`` in the form in which a closing calls what follows from it."""
    enqueue(connection, closing.closing_number)


def enqueue_missing(ledger: Ledger) -> int:
    """Add what closings issued that nobody enqueued: those of before there was an outbox."""
    lacking = (
        sa.select(issued_lines.c.invoice_id)
        .join(issued_invoices, issued_invoices.c.invoice_id == issued_lines.c.invoice_id)
        .join(
            stripe_outbox,
            sa.and_(_row.subject_id == issued_lines.c.invoice_line_id, _row.kind == "item"),
            isouter=True,
        )
        .where(_row.outbox_id.is_(None))
        .with_only_columns(issued_invoices.c.closing_number)
        .union(
            sa.select(credit_notes.c.closing_number)
            .join(
                stripe_outbox,
                sa.and_(_row.subject_id == credit_notes.c.credit_note_id, _row.kind == "credit_note"),
                isouter=True,
            )
            .where(_row.outbox_id.is_(None))
        )
    )
    with ledger.reading() as connection:
        numbers: list[int] = sorted(connection.scalars(lacking))
    if not numbers:
        return 0
    with ledger.writing() as connection:
        return sum(enqueue(connection, number) for number in numbers)


def add_finalization(connection: sa.Connection, invoice_id: str, at: datetime) -> str:
    """Add the act of finalizing an invoice, once; the id of its row."""
    invoice = _invoices(connection, issued_invoices.c.invoice_id == invoice_id)[invoice_id]
    row = _new("finalization", invoice_content(invoice), invoice, position=0)
    known = sa.select(_row.outbox_id).where(_row.outbox_id == row["outbox_id"])
    if connection.scalar(known) is None:
        stamp = {"state": "PENDING", "generation": 0, "attempt_count": 0, "created_at": at, "changed_at": at}
        connection.execute(sa.insert(stripe_outbox).values(**row, **stamp))
    return str(row["outbox_id"])


# Reading


def find(ledger: Ledger, *conditions: sa.ColumnElement[bool]) -> list[Operation]:
    """Operations, in the order in which they are sent."""
    query = (
        sa.select(stripe_outbox)
        .where(*conditions)
        .order_by(_row.closing_number, _row.invoice_id, _row.position, _row.outbox_id)
    )
    with ledger.reading() as connection:
        return [Operation.from_row(row) for row in connection.execute(query).mappings()]


def open_ones() -> sa.ColumnElement[bool]:
    """What sending looks at: waiting, under way with whomever, or held up before any request."""
    return sa.or_(
        _row.state.in_(("PENDING", "SENDING")),
        sa.and_(_row.state == "NEEDS_REVIEW", _row.op_id.is_(None)),
    )


def due(now: datetime) -> sa.ColumnElement[bool]:
    """What may be claimed: waiting, left behind when a lease ran out, or held up before any request."""
    return sa.or_(
        _row.state == "PENDING",
        sa.and_(_row.state == "SENDING", _row.lease_until <= now),
        sa.and_(_row.state == "NEEDS_REVIEW", _row.op_id.is_(None)),
    )


def leased(ledger: Ledger, now: datetime) -> tuple[int, datetime | None]:
    """How many operations nobody but their holder may touch now, and until when at most."""
    is_held = sa.and_(_row.state == "SENDING", _row.lease_until > now, _row.kind != "finalization")
    query = sa.select(sa.func.count(), sa.func.max(_row.lease_until)).where(is_held)
    with ledger.reading() as connection:
        row = connection.execute(query).one()
        return int(row[0]), cast(datetime | None, row[1])


def bound_accounts(ledger: Ledger) -> set[str]:
    """The accounts (with mode) that operations of this ledger were sent to; one, or none yet."""
    with ledger.reading() as connection:
        accounts = sa.select(_row.account).where(_row.account.is_not(None)).distinct()
        found: set[str] = set(connection.scalars(accounts))
        return found


# Changing


class Claims:
    """What one sender holds. Nobody else changes it before the lease ends, and the sender nothing else."""

    def __init__(self, ledger: Ledger, sender: str, lease: timedelta) -> None:
        self.ledger, self.sender, self.lease = ledger, sender, lease
        self._commits = Commits(ledger)

    def take(self, outbox_id: str, attempt: Attempt, now: datetime, *, looks: bool) -> Operation | None:
        """Claim an operation before its request; None if it is no longer to be claimed.

        What was fixed by an earlier attempt stays: identity, customer and request.

        :param looks: it is looked for before its key is used; else a first request goes out at once.
        :returns: as it was before the claim, with what is fixed now.
        """
        fixed: dict[str, Any] = {}

        def claim(connection: sa.Connection) -> Operation | None:
            found = self._select(connection, _row.outbox_id == outbox_id, due(now))
            if found is None:
                return None
            fixed.clear()
            if not found.was_tried:
                fixed.update(
                    account=attempt.account,
                    op_id=attempt.op_id,
                    stripe_customer_id=attempt.stripe_customer_id,
                    request=canonical(attempt.request),
                    generation=1,
                    key_used_at=None if looks else now,
                )
            self._update(
                connection,
                _row.outbox_id == outbox_id,
                now,
                state="SENDING",
                claimed_by=self.sender,
                lease_until=now + self.lease,
                attempt_count=found.attempt_count + 1,
                **fixed,
            )
            return found

        found = self._commits.run(claim)
        if found is None:
            return None
        named = fixed | ({"request": attempt.request} if fixed else {})
        return Operation(**(vars(found) | named))

    def use_key(self, operation: Operation, now: datetime) -> Operation:
        """Say that a request goes out now under the key of this generation.

        :raises LostClaimError: the lease ran out and somebody else has it.
        """
        used: dict[str, Any] = {"key_used_at": operation.key_used_at or now}
        self._mine(operation, now, lease_until=now + self.lease, **used)
        return Operation(**(vars(operation) | used))

    def renew_key(self, operation: Operation, now: datetime, attempt: Attempt) -> Operation:
        """As ``use_key``, under the next generation, for an operation that is proven not to be at Stripe."""
        changes: dict[str, Any] = {
            "generation": operation.generation + 1,
            "key_used_at": now,
            "stripe_customer_id": attempt.stripe_customer_id,
        }
        request = canonical(attempt.request)
        self._mine(operation, now, lease_until=now + self.lease, request=request, **changes)
        return Operation(**(vars(operation) | changes | {"request": attempt.request}))

    def sent(
        self,
        operation: Operation,
        now: datetime,
        *,
        stripe_id: str,
        stripe_invoice_id: str,
        stripe_amount_minor: int,
        request_id: str | None,
        was_adopted: bool,
        also: Callable[[sa.Connection], object] | None = None,
    ) -> None:
        """Stripe has it: nothing changes this row any more.

        :param also: what else belongs into the same transaction.
        :raises LostClaimError: as ``use_key``.
        """
        self._mine(
            operation,
            now,
            also,
            state="SENT",
            lease_until=None,
            last_error=None,
            stripe_id=stripe_id,
            stripe_invoice_id=stripe_invoice_id,
            stripe_amount_minor=stripe_amount_minor,
            request_id=request_id,
            was_adopted=was_adopted,
            sent_at=now,
        )

    def release(
        self, operation: Operation, now: datetime, state: State, error: str, status: int | None = None
    ) -> None:
        """Stripe does not have it, or nobody knows (SENDING: the next one who claims it looks first).

        :raises LostClaimError: as ``use_key``.
        """
        lease_until = now if state == "SENDING" else None
        self._mine(operation, now, state=state, last_error=error, last_status=status, lease_until=lease_until)

    def hold_up(self, outbox_id: str, error: str, now: datetime) -> None:
        """Let a person look before any request goes out; it is looked at again with every sending."""
        held = sa.and_(_row.outbox_id == outbox_id, due(now), _row.op_id.is_(None))
        self._commits.run(
            lambda connection: self._update(connection, held, now, state="NEEDS_REVIEW", last_error=error)
        )

    def _mine(
        self,
        operation: Operation,
        now: datetime,
        also: Callable[[sa.Connection], object] | None = None,
        **values: object,
    ) -> None:
        held = sa.and_(
            _row.outbox_id == operation.outbox_id, _row.state == "SENDING", _row.claimed_by == self.sender
        )

        def change(connection: sa.Connection) -> None:
            if not self._update(connection, held, now, **values):
                raise LostClaimError(operation.outbox_id)
            if also is not None:
                also(connection)

        self._commits.run(change)

    @staticmethod
    def _select(connection: sa.Connection, *conditions: sa.ColumnElement[bool]) -> Operation | None:
        row = connection.execute(sa.select(stripe_outbox).where(*conditions)).mappings().first()
        return None if row is None else Operation.from_row(row)

    @staticmethod
    def _update(
        connection: sa.Connection, condition: sa.ColumnElement[bool], now: datetime, **values: object
    ) -> int:
        change = sa.update(stripe_outbox).where(condition).values(changed_at=now, **values)
        return int(connection.execute(change).rowcount)


class LostClaimError(Exception):
    """The lease ran out while a request was under way, and another sender has taken over."""


def try_again(ledger: Ledger, subjects: Sequence[str], now: datetime) -> int:
    """Give operations that failed or wait for review a new start: whoever sends looks at Stripe first.

    :param subjects: ids of lines, invoices or credit notes; empty: everything that failed.
    :returns: how many there are.
    :raises ConfigurationError: an id that neither failed nor waits; nothing is changed.
    """
    states = ("FAILED",) if not subjects else ("FAILED", "NEEDS_REVIEW")
    condition: sa.ColumnElement[bool] = _row.state.in_(states)
    if subjects:
        condition = sa.and_(condition, _row.subject_id.in_(subjects))
    with ledger.writing() as connection:
        found = connection.execute(
            sa.select(_row.outbox_id, _row.subject_id, _row.op_id).where(condition)
        ).all()
        if strange := sorted(set(subjects) - {row.subject_id for row in found}):
            raise ConfigurationError(
                f"nothing of {', '.join(strange)} failed or waits for review",
                where=str(ledger),
                remedy="the mart stripe_invoice_items lists what does, with the reason",
            )
        for row in found:
            # A row that was tried is one whose outcome must be looked up.
            state = "PENDING" if row.op_id is None else "SENDING"
            change = sa.update(stripe_outbox).where(_row.outbox_id == row.outbox_id)
            connection.execute(change.values(state=state, lease_until=now, changed_at=now))
        return len(found)


def _rows(connection: sa.Connection, closing_number: int) -> Iterable[dict[str, Any]]:
    invoices = _invoices(connection, issued_invoices.c.closing_number == closing_number)
    for invoice in invoices.values():
        yield _new("invoice", invoice_content(invoice), invoice, position=0)
    lines = (
        sa.select(issued_lines)
        .join(issued_invoices, issued_lines.c.invoice_id == issued_invoices.c.invoice_id)
        .where(issued_invoices.c.closing_number == closing_number)
        .order_by(issued_lines.c.invoice_id, issued_lines.c.line_number)
    )
    for line in connection.execute(lines).mappings().all():
        invoice = invoices[line["invoice_id"]]
        content = item_content(cast(Mapping[str, Any], line), invoice)
        yield _new("item", content, invoice, position=line["line_number"])
    yield from _credit_rows(connection, closing_number)


def _credit_rows(connection: sa.Connection, closing_number: int) -> Iterable[dict[str, Any]]:
    """Credit notes of a closing; their invoices were issued by this or an earlier one."""
    notes = connection.execute(
        sa.select(credit_notes)
        .where(credit_notes.c.closing_number == closing_number)
        .order_by(credit_notes.c.sequence_number)
    ).mappings()
    found = [dict(note) for note in notes]
    if not found:
        return
    of_closing = sa.select(credit_notes.c.invoice_id).where(credit_notes.c.closing_number == closing_number)
    invoices = _invoices(connection, issued_invoices.c.invoice_id.in_(of_closing))
    by_note: dict[str, list[Mapping[str, Any]]] = {note["credit_note_id"]: [] for note in found}
    lines = (
        sa.select(credit_note_lines)
        .join(credit_notes, credit_note_lines.c.credit_note_id == credit_notes.c.credit_note_id)
        .where(credit_notes.c.closing_number == closing_number)
        .order_by(credit_note_lines.c.credit_note_id, credit_note_lines.c.line_number)
    )
    for line in connection.execute(lines).mappings():
        by_note[line["credit_note_id"]].append(cast(Mapping[str, Any], line))
    for note in found:
        invoice = invoices[note["invoice_id"]]
        content = credit_note_content(note, by_note[note["credit_note_id"]], invoice)
        yield _new("credit_note", content, invoice, position=note["sequence_number"]) | {
            "closing_number": closing_number
        }


def _invoices(connection: sa.Connection, condition: sa.ColumnElement[bool]) -> dict[str, dict[str, Any]]:
    rows = connection.execute(
        sa.select(issued_invoices).where(condition).order_by(issued_invoices.c.sequence_number)
    ).mappings()
    return {row["invoice_id"]: dict(row) for row in rows}


def _new(kind: Kind, content: Json, invoice: Mapping[str, Any], *, position: int) -> dict[str, Any]:
    identity = [invoice["customer_id"], content["period_start"], kind, content["subject_id"], REVISION]
    return {
        "outbox_id": "out_" + hashlib.sha256(canonical(identity).encode()).hexdigest()[:32],
        "kind": kind,
        "closing_number": invoice["closing_number"],
        "customer_id": invoice["customer_id"],
        "currency": invoice["currency"],
        "period_start": invoice["period_start"],
        "period_end": invoice["period_end"],
        "invoice_id": invoice["invoice_id"],
        "subject_id": content["subject_id"],
        "revision": REVISION,
        "position": position,
        "amount_minor": content["amount_minor"],
        "content": canonical(content),
    }
