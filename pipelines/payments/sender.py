"""Sends what waits in the outbox to Stripe, each operation exactly once, whatever dies in between.

An operation is claimed and committed before its request. One that was tried before is looked for at Stripe by
its op_id: one match is adopted, more are for a person, none lets it be sent again: under the same key while
Stripe remembers it, under the next generation where absence is proven (D-stripe-which-key). How requests are
built and made, and which documents there are, does not belong here.
"""

import logging
import threading
import uuid
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from typing import cast

import sqlalchemy as sa

from pipelines.errors import ConfigurationError, MeterhouseError
from pipelines.ledger import Ledger
from pipelines.ledger.payments_schema import stripe_invoices, stripe_outbox
from pipelines.payments import outbox
from pipelines.payments.answers import (
    Amount,
    Invoice,
    InvoiceLine,
    Json,
    Marked,
    NoAccessError,
    RefusedError,
    StripeCallError,
    UnknownOutcomeError,
    need,
)
from pipelines.payments.client import StripeApi
from pipelines.payments.invoices import keep_state
from pipelines.payments.outbox import Attempt, Claims, LostClaimError, Operation, State
from pipelines.payments.requests import (
    Target,
    amount_of,
    build_body,
    differences,
    obstacle,
    operation_id,
    path_of,
    reference,
)
from pipelines.payments.settings import KEY_VARIABLE
from pipelines.times import Clock, utc_now

_log = logging.getLogger("meterhouse.payments")
_row = stripe_outbox.c
_REFUSED = {400, 402, 404}

OnProgress = Callable[[int, int], None]


@dataclass
class SendReport:
    """What became of the operations of one run.

    :param sender: the name under which the ledger has what it sent.
    :param counts: operations sent or adopted now, by what was done; ``elsewhere``: held by another sender
        when it was their turn.
    :param leased: operations that another sender holds at the end, or one that died and whose lease runs.
    :param leased_until: when the last of these leases ends, if nobody renews it.
    :param troubles: what failed, is not known, or waits for a person: subject and reason.
    """

    sender: str
    account: str | None = None
    counts: Counter[str] = field(default_factory=Counter)
    leased: int = 0
    leased_until: datetime | None = None
    troubles: list[tuple[State, str, str]] = field(default_factory=list)

    @property
    def has_sent(self) -> bool:
        """Whether Stripe has anything now that this ledger did not know there."""
        return bool(self.counts["sent"] or self.counts["adopted"])

    @property
    def has_failed(self) -> bool:
        """Whether anything was refused or its outcome is not known."""
        return any(state in {"FAILED", "SENDING"} for state, _, _ in self.troubles)


class Sender:
    """One sender over one ledger and one account. Several may run at once, in any number of processes.

    :param customers: Stripe's ids of customers by ours, as the accounts say now.
    """

    def __init__(
        self, ledger: Ledger, api: StripeApi, customers: Mapping[str, str | None], clock: Clock = utc_now
    ) -> None:
        self.ledger, self.api, self.customers, self.clock = ledger, api, customers, clock
        self.report = SendReport(uuid.uuid4().hex)
        self._claims = Claims(ledger, self.report.sender, timedelta(seconds=api.pace.lease_seconds))
        self._lock = threading.Lock()
        self._stopped = threading.Event()

    def preflight(self) -> str:
        """The account, after making sure that it is the one that this ledger belongs to.

        :raises ConfigurationError: the key does not serve, or is of another account or mode than before.
        :raises MeterhouseError: Stripe is out of reach.
        """
        try:
            account = self.api.account()
        except NoAccessError as error:
            raise no_access(error) from None
        except StripeCallError as error:
            raise MeterhouseError(
                f"Stripe gave no answer that serves: {error}",
                where="account",
                remedy="nothing was sent; try again later",
            ) from None
        if strange := outbox.bound_accounts(self.ledger) - {account}:
            raise ConfigurationError(
                f"the key is of account {account}, but this ledger was sent to {', '.join(sorted(strange))}",
                where=KEY_VARIABLE,
                remedy="use that account's key; try a new account or mode on a copy of the home",
            )
        self.report.account = account
        return account

    def send(self, on_progress: OnProgress = lambda done, total: None) -> SendReport:
        """Send every invoice with its items, then the credit notes whose invoice is finalized.

        :raises ConfigurationError: as ``preflight``, or the key stops serving on the way.
        """
        outbox.enqueue_missing(self.ledger)
        self.preflight()
        invoices = _open_invoices(self.ledger, self.clock())
        notes = self._credit_notes()
        count = _Count(sum(invoices.values()) + len(notes), on_progress)
        # An invoice waits for its items in a thread of its own, so that drafts never keep items waiting.
        with ThreadPoolExecutor(self.api.pace.workers, thread_name_prefix="stripe-items") as items:
            self.side_by_side(
                [partial(self._send_invoice, *invoice, items, count) for invoice in invoices.items()],
                2 * self.api.pace.workers,
            )
        self.side_by_side([partial(self._send_credit_note, note, count) for note in notes])
        self.report.leased, self.report.leased_until = outbox.leased(self.ledger, self.clock())
        return self.report

    def settle(self, operation: Operation, target: Target, *, looks: bool = False) -> bool:
        """Bring one operation to its end; whether Stripe has it now.

        :param looks: look for it at Stripe first even if this ledger never tried it.
        :raises NoAccessError: the key does not serve; the operation waits.
        """
        claimed = self._claims.take(
            operation.outbox_id, self._plan(operation, target), self.clock(), looks=looks
        )
        if claimed is None:
            self.report.counts["elsewhere"] += 1
            return False
        try:
            return self._attempt(claimed, target, looks=looks or claimed.attempt_count > 0)
        except LostClaimError:
            _log.warning("%s: another sender took over", claimed.subject_id)
            self.report.counts["elsewhere"] += 1
            return False

    # One invoice

    def _send_invoice(
        self, invoice_id: str, open_count: int, pool: ThreadPoolExecutor, count: "_Count"
    ) -> None:
        draft, items, looks = self._prepare_invoice(invoice_id)
        count.add(open_count - len(items))
        send = partial(self._send_items, draft, items, count, looks=looks)
        lanes = [pool.submit(send) for _ in range(min(len(items), self.api.pace.workers_per_invoice))]
        for lane in lanes:
            lane.result()

    def _prepare_invoice(self, invoice_id: str) -> tuple[Operation, deque[Operation], bool]:
        """Bring the draft to Stripe; with it, the items that go onto it now: none if it is not there.

        :returns: also whether the draft may hold items already. This ledger need not know of them: it may be
            a backup of before they were sent.
        """
        operations = outbox.find(
            self.ledger, _row.invoice_id == invoice_id, _row.kind.in_(("invoice", "item"))
        )
        [draft] = [operation for operation in operations if operation.kind == "invoice"]
        items = [operation for operation in operations if operation.kind == "item"]
        customer = self._customer(draft)
        if not customer:
            missing = f"customer {draft.customer_id} has no stripe_customer_id; give it in customers.csv"
            for operation in operations:
                self._hold_up(operation, missing)
            return draft, deque(), False
        if self._has_obstacle([draft, *items]):
            return draft, deque(), False
        is_new = draft.state != "SENT"
        if is_new:
            # A ledger restored from a backup does not know what it sent: drafts are always looked for.
            if not self.settle(draft, Target(customer), looks=True):
                return draft, deque(), False
            [draft] = outbox.find(self.ledger, _row.outbox_id == draft.outbox_id)
        return draft, deque(item for item in items if item.is_open), not is_new or bool(draft.was_adopted)

    def _send_items(
        self, draft: Operation, waiting: deque[Operation], count: "_Count", *, looks: bool
    ) -> None:
        """Send items of an invoice until none is left; several threads share them, in their order."""
        target = Target(cast(str, self._customer(draft)), cast(str, draft.stripe_id))
        while not self._stopped.is_set():
            try:
                item = waiting.popleft()
            except IndexError:
                return
            self.settle(item, target, looks=looks)
            count.add(1)

    def _customer(self, draft: Operation) -> str | None:
        """Stripe's id of an invoice's customer: the one first used, unless Stripe refused it."""
        if draft.stripe_customer_id and (draft.state == "SENT" or draft.last_status not in _REFUSED):
            return draft.stripe_customer_id
        return self.customers.get(draft.customer_id)

    def _has_obstacle(self, operations: Sequence[Operation]) -> bool:
        """Whether one of an invoice's operations cannot be sent; then none is: a part is not the invoice."""
        found = [
            (operation, reason)
            for operation in operations
            if (reason := obstacle(operation.kind, operation.content))
        ]
        for operation, reason in found:
            self._hold_up(operation, reason)
        if found and not any(operation.kind == "invoice" for operation, _ in found):
            draft = operations[0]
            self._hold_up(draft, f"line {found[0][0].subject_id} cannot be sent: {found[0][1]}")
        return bool(found)

    # Credit notes

    def _credit_notes(self) -> list[Operation]:
        """Those that are due and whose invoice can take them."""
        ready = (
            sa.select(stripe_invoices.c.invoice_id)
            .where(stripe_invoices.c.status.in_(("open", "paid", "uncollectible")))
            .scalar_subquery()
        )
        return outbox.find(
            self.ledger, _row.kind == "credit_note", outbox.due(self.clock()), _row.invoice_id.in_(ready)
        )

    def _send_credit_note(self, operation: Operation, count: "_Count") -> None:
        self._settle_credit_note(operation)
        count.add(1)

    def _settle_credit_note(self, operation: Operation) -> None:
        if reason := obstacle(operation.kind, operation.content):
            self._hold_up(operation, reason)
            return
        with self.ledger.reading() as connection:
            query = sa.select(stripe_invoices).where(stripe_invoices.c.invoice_id == operation.invoice_id)
            stripe_invoice = str(connection.execute(query).mappings().one()["stripe_invoice_id"])
        try:
            invoice = need(Invoice, self.api.get(f"/v1/invoices/{stripe_invoice}"))
            lines = [
                need(InvoiceLine, line) for line in self.api.list(f"/v1/invoices/{stripe_invoice}/lines")
            ]
            is_paid = invoice.amount_remaining == 0
            in_the_way = _credit_obstacle(invoice, operation.amount_minor)
            if in_the_way and not self._is_credited(operation, stripe_invoice):
                self._hold_up(operation, in_the_way)
                return
        except NoAccessError:
            raise
        except StripeCallError as error:
            self._trouble("PENDING", operation.subject_id, f"its invoice could not be looked at: {error}")
            return
        by_item = {_item_of(line): line.id for line in lines}
        credited = {line["invoice_line_id"] for line in operation.content["lines"]}
        sent = outbox.find(self.ledger, _row.kind == "item", _row.subject_id.in_(sorted(credited)))
        ids = {item.subject_id: by_item[item.stripe_id] for item in sent if item.stripe_id in by_item}
        if missing := credited - ids.keys():
            self._hold_up(operation, f"Stripe's invoice has no line for {', '.join(sorted(missing))}")
            return
        customer = reference(invoice.customer)
        # They are few, and the ledger may be a backup of before it was sent.
        if self.settle(operation, Target(customer, stripe_invoice, ids, is_paid), looks=True):
            refresh(self, operation.invoice_id, stripe_invoice)

    def _is_credited(self, operation: Operation, stripe_invoice: str) -> bool:
        """Whether a credit note may be at Stripe: then what is open there is open after it."""
        if operation.was_tried:
            return True
        try:
            known = replace(operation, op_id=self._op_id(operation))
            return self._find(known, Target("", stripe_invoice)) is not None
        except _ManyFoundError:
            return True

    # One operation

    def _op_id(self, operation: Operation) -> str:
        account = cast(str, self.report.account)
        return operation.op_id or operation_id(account, operation.kind, operation.content, operation.revision)

    def _plan(self, operation: Operation, target: Target) -> Attempt:
        account, op_id = cast(str, self.report.account), self._op_id(operation)
        body = build_body(operation.kind, operation.content, op_id, target)
        return Attempt(account, op_id, target.customer, body)

    def _attempt(self, operation: Operation, target: Target, *, looks: bool) -> bool:
        try:
            if looks and (answer := self._find(operation, target)) is not None:
                return self._receive(operation, target, answer, None, was_adopted=True)
            if looks:
                operation = self._with_key(operation, target)
            while True:
                try:
                    given = self.api.post(
                        path_of(operation.kind, target), cast(Json, operation.request), operation.key
                    )
                    return self._receive(operation, target, given.body, given.request_id, was_adopted=False)
                except UnknownOutcomeError as error:
                    if not error.has_ended:
                        raise
                    # Stripe is done with it and has failed: what is not there now will not come any more.
                    if (answer := self._find(operation, target)) is not None:
                        return self._receive(operation, target, answer, error.request_id, was_adopted=True)
                    if operation.generation >= self._most_generations(operation):
                        raise
                    operation = self._renew(operation, target)
        except _ManyFoundError as error:
            return self._give_up(operation, "NEEDS_REVIEW", str(error), None)
        except RefusedError as error:
            return self._give_up(operation, "FAILED", error.what, error.status)
        except NoAccessError as error:
            self._claims.release(operation, self.clock(), "SENDING", error.what, error.status)
            self._stopped.set()
            raise
        except UnknownOutcomeError as error:
            return self._give_up(operation, "SENDING", error.what, error.status)

    def _most_generations(self, operation: Operation) -> int:
        """Two keys per run: a server that fails on both will not be better at a third."""
        return max(operation.attempt_count, 1) + 1

    def _with_key(self, operation: Operation, target: Target) -> Operation:
        """The operation with the key to use now: the same while Stripe surely remembers it, else the next."""
        now = self.clock()
        used = operation.key_used_at
        is_forgotten = used is not None and now - used > timedelta(seconds=self.api.pace.key_seconds)
        if used is not None and (is_forgotten or operation.last_status in {*_REFUSED, 500}):
            return self._renew(operation, target)
        return self._claims.use_key(operation, now)

    def _renew(self, operation: Operation, target: Target) -> Operation:
        return self._claims.renew_key(operation, self.clock(), self._plan(operation, target))

    def _find(self, operation: Operation, target: Target) -> Json | None:
        """What Stripe has of an operation, by its op_id.

        :raises _ManyFoundError: more than one object bears it.
        """
        if operation.kind == "finalization":
            invoice = self.api.get(f"/v1/invoices/{target.invoice}")
            return None if need(Invoice, invoice).status == "draft" else invoice
        if operation.kind == "credit_note":
            candidates = self.api.list("/v1/credit_notes", invoice=target.invoice)
        else:
            # Documents are issued before they are sent; a day is more than any two clocks differ.
            since = int((operation.created_at - timedelta(days=1)).timestamp())
            candidates = self.api.list(
                path_of(operation.kind, target), customer=target.customer, created={"gte": since}
            )
        found = [one for one in candidates if need(Marked, one).op_id == operation.op_id]
        if len(found) > 1:
            ids = ", ".join(sorted(one["id"] for one in found))
            raise _ManyFoundError(
                f"Stripe has it {len(found)} times: {ids}; keep one, remove the others by hand"
            )
        return found[0] if found else None

    def _receive(
        self, operation: Operation, target: Target, answer: Json, request_id: str | None, *, was_adopted: bool
    ) -> bool:
        op_id = cast(str, operation.op_id)
        tells_state = operation.kind in {"invoice", "finalization"}
        need(Invoice if tells_state else Amount, answer)
        wrong = differences(
            operation.kind, operation.content, op_id, target, answer, is_live=self.api.is_live
        )
        if wrong:
            return self._give_up(
                operation, "NEEDS_REVIEW", f"Stripe has {answer.get('id')}, but {'; '.join(wrong)}", None
            )
        now = self.clock()
        account = cast(str, self.report.account)
        self._claims.sent(
            operation,
            now,
            stripe_id=answer["id"],
            stripe_invoice_id=target.invoice or answer["id"],
            stripe_amount_minor=amount_of(operation.kind, answer),
            request_id=request_id,
            was_adopted=was_adopted,
            also=partial(_keep, operation.invoice_id, account, answer, now) if tells_state else None,
        )
        self.report.counts["adopted" if was_adopted else "sent"] += 1
        return True

    def _give_up(self, operation: Operation, state: State, reason: str, status: int | None) -> bool:
        self._claims.release(operation, self.clock(), state, reason, status)
        self._trouble(state, operation.subject_id, reason)
        return False

    def _hold_up(self, operation: Operation, reason: str) -> None:
        if operation.state == "SENT" or operation.was_tried:
            return
        self._claims.hold_up(operation.outbox_id, reason, self.clock())
        self._trouble("NEEDS_REVIEW", operation.subject_id, reason)

    def _trouble(self, state: State, subject_id: str, reason: str) -> None:
        _log.warning("%s: %s: %s", state, subject_id, reason)
        with self._lock:
            self.report.troubles.append((state, subject_id, reason))

    def side_by_side(self, tasks: Sequence[Callable[[], object]], workers: int | None = None) -> None:
        """Run tasks in a few threads; the first that raises ends the run, after those under way.

        :param workers: None: as many as the pace names.
        :raises ConfigurationError: the key does not serve.
        """

        def run(task: Callable[[], object]) -> None:
            if not self._stopped.is_set():
                task()

        with ThreadPoolExecutor(workers or self.api.pace.workers, thread_name_prefix="stripe") as pool:
            futures = [pool.submit(run, task) for task in tasks]
            try:
                wait(futures, return_when=FIRST_EXCEPTION)
                for future in futures:
                    if future.done() and (error := future.exception()) is not None:
                        raise error
            except NoAccessError as error:
                raise no_access(error) from None
            except BaseException:
                # Also when a person interrupts: what is under way ends, nothing new begins.
                self.api.stop()
                raise
            finally:
                self._stopped.set()
                pool.shutdown(cancel_futures=True)
        self._stopped.clear()


class _Count:
    """Operations that are done with, of all that were open; may be shared by threads."""

    def __init__(self, total: int, tell: OnProgress) -> None:
        self._done, self._total, self._tell = 0, total, tell
        self._lock = threading.Lock()
        tell(0, total)

    def add(self, count: int) -> None:
        with self._lock:
            self._done += count
            self._tell(self._done, self._total)


class _ManyFoundError(Exception):
    pass


def refresh(sender: "Sender", invoice_id: str, stripe_invoice_id: str) -> None:
    """Take over what Stripe says of an invoice now; where it does not answer, reconciling will."""
    try:
        found = sender.api.get(f"/v1/invoices/{stripe_invoice_id}")
        need(Invoice, found)
    except (RefusedError, UnknownOutcomeError) as error:
        _log.warning("%s: its state could not be looked at: %s", stripe_invoice_id, error)
        return
    with sender.ledger.writing() as connection:
        _keep(invoice_id, cast(str, sender.report.account), found, sender.clock(), connection)


def _keep(invoice_id: str, account: str, found: Json, now: datetime, connection: sa.Connection) -> None:
    keep_state(connection, invoice_id, account, found, known_at=now, now=now)


def no_access(error: NoAccessError) -> ConfigurationError:
    """The key does not serve, in words for people."""
    return ConfigurationError(
        f"Stripe refuses the key: {error}",
        where=KEY_VARIABLE,
        remedy="give a key that may write invoices, invoice items and credit notes; what waits is kept",
    )


def _open_invoices(ledger: Ledger, now: datetime) -> dict[str, int]:
    """Invoices with something due, in the order in which they were issued, and how much is open of each."""
    query = (
        sa.select(_row.invoice_id, sa.func.count())
        .where(_row.kind.in_(("invoice", "item")), outbox.open_ones())
        .group_by(_row.closing_number, _row.invoice_id)
        .having(sa.func.count().filter(outbox.due(now)) > 0)
        .order_by(_row.closing_number, _row.invoice_id)
    )
    with ledger.reading() as connection:
        return {row[0]: int(row[1]) for row in connection.execute(query)}


def _credit_obstacle(invoice: Invoice, amount_minor: int) -> str | None:
    """Why Stripe's invoice cannot take a credit note of this amount as it is."""
    if invoice.status == "void":
        return "its invoice is void at Stripe: there is nothing to credit"
    if 0 < invoice.amount_remaining < amount_minor:
        return "its invoice is paid in part, and less is open than is credited; credit it by hand"
    return None


def _item_of(line: InvoiceLine) -> str | None:
    details = line.parent.invoice_item_details if line.parent else None
    return details.invoice_item if details else None
