"""Comparing the ledger with what Stripe holds: every operation and object by op_id, statuses, balances.

The comparison is one statement of SQL over what was listed; nothing is changed at Stripe.
"""

import hashlib
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, cast

import sqlalchemy as sa

from pipelines.errors import MeterhouseError
from pipelines.ledger import Ledger
from pipelines.ledger.payments_schema import (
    stripe_differences,
    stripe_invoices,
    stripe_outbox,
    stripe_reconciliations,
    stripe_seen,
)
from pipelines.ledger.schema import Instant
from pipelines.payments.answers import (
    Invoice,
    Json,
    NoAccessError,
    SeenCreditNote,
    SeenInvoice,
    SeenItem,
    StripeCallError,
    need,
)
from pipelines.payments.client import StripeApi
from pipelines.payments.invoices import keep_state
from pipelines.payments.requests import reference
from pipelines.payments.sender import Sender, no_access

LOOK_BACK: Final = timedelta(days=100)
"""How far back objects are compared unless told otherwise; older open invoices are looked at one by one."""

_CHUNK = 2_000

_DIFFERENCES = """
with asked as (

    select
        kind as object, op_id, subject_id, invoice_id, state, sent_at, stripe_id, stripe_customer_id,
        stripe_invoice_id, amount_minor, lower(currency) as currency
    from stripe_outbox
    where kind in ('invoice', 'item', 'credit_note') and op_id is not null

),

ours as (

    select object, op_id, stripe_id, stripe_customer_id, stripe_invoice_id, amount_minor, currency, status
    from stripe_seen
    where op_id is not null

),

incomplete as (

    select distinct invoice_id from stripe_outbox where kind in ('invoice', 'item') and state <> 'SENT'

),

joined as (

    select
        coalesce(asked.object, ours.object) as object,
        coalesce(asked.op_id, ours.op_id) as op_id,
        asked.op_id as asked_op_id,
        asked.subject_id, asked.invoice_id, asked.state, asked.sent_at, asked.amount_minor,
        asked.stripe_id as stated_id,
        asked.currency || ', ' || asked.stripe_customer_id
            || case when asked.object = 'invoice' then '' else ', ' || asked.stripe_invoice_id end as stated,
        ours.currency || ', ' || coalesce(ours.stripe_customer_id, '')
            || case when ours.object = 'invoice' then '' else ', ' || coalesce(ours.stripe_invoice_id, '') end
            as found,
        ours.stripe_id, ours.amount_minor as found_minor, ours.status
    from asked
    full outer join ours on asked.op_id = ours.op_id and asked.object = ours.object

),

to_pay as (

    select
        invoice_id, stripe_invoice_id, amount_paid_minor, amount_remaining_minor,
        stripe_total_minor + starting_balance_minor - ending_balance_minor - pre_payment_credit_minor
            as to_pay_minor
    from stripe_invoices
    where status in ('open', 'paid', 'uncollectible')

),

differences as (

    select
        'missing' as kind, object, invoice_id, subject_id, op_id, stated_id as stripe_id,
        cast(amount_minor as varchar) as ledger_says, 'not there' as stripe_says, 1 as is_blocking
    from joined
    where stripe_id is null and state = 'SENT' and sent_at >= :since

    union all

    select
        'extra', object, null, null, op_id, stripe_id,
        'nothing of this op_id', cast(found_minor as varchar), 1
    from joined
    where asked_op_id is null

    union all

    select
        'extra', stripe_seen.object, stripe_invoices.invoice_id, null, null, stripe_seen.stripe_id,
        'nothing', cast(stripe_seen.amount_minor as varchar) || ' without op_id on our invoice', 1
    from stripe_seen
    inner join stripe_invoices on stripe_seen.stripe_invoice_id = stripe_invoices.stripe_invoice_id
    where stripe_seen.op_id is null and stripe_seen.object = 'item'

    union all

    select
        'duplicate', object, min(invoice_id), min(subject_id), op_id, min(stripe_id),
        '1', cast(count(*) as varchar), 1
    from joined
    where stripe_id is not null
    group by object, op_id
    having count(*) > 1

    union all

    select
        'mismatched', joined.object, joined.invoice_id, joined.subject_id, joined.op_id, joined.stripe_id,
        cast(joined.amount_minor as varchar) || ' ' || joined.stated,
        cast(joined.found_minor as varchar) || ' ' || joined.found, 1
    from joined
    left join incomplete on joined.invoice_id = incomplete.invoice_id
    where
        joined.stripe_id is not null
        and joined.state = 'SENT'
        and (
            joined.stated <> joined.found
            or (
                joined.amount_minor <> joined.found_minor
                and (joined.object <> 'invoice' or incomplete.invoice_id is null)
            )
        )

    union all

    select
        'unrecorded', object, invoice_id, subject_id, op_id, stripe_id, state, 'there', 1
    from joined
    where stripe_id is not null and state <> 'SENT'

    union all

    select
        'unsent', kind, invoice_id, subject_id, op_id, stripe_id,
        state || ': ' || coalesce(last_error, ''), 'nothing', 0
    from stripe_outbox
    where state in ('FAILED', 'NEEDS_REVIEW')

    union all

    select
        'missing', 'outbox', issued_lines.invoice_id, issued_lines.invoice_line_id, null, null,
        cast(issued_lines.amount_minor as varchar), 'no operation for this line', 1
    from issued_lines
    left join stripe_outbox
        on issued_lines.invoice_line_id = stripe_outbox.subject_id and stripe_outbox.kind = 'item'
    where stripe_outbox.outbox_id is null

    union all

    select
        'mismatched', 'outbox', issued_lines.invoice_id, issued_lines.invoice_line_id, stripe_outbox.op_id,
        stripe_outbox.stripe_id, cast(issued_lines.amount_minor as varchar),
        cast(stripe_outbox.amount_minor as varchar) || ' in the outbox', 1
    from issued_lines
    inner join stripe_outbox
        on issued_lines.invoice_line_id = stripe_outbox.subject_id and stripe_outbox.kind = 'item'
    where issued_lines.amount_minor <> stripe_outbox.amount_minor

    union all

    select
        'status', 'invoice', stripe_invoices.invoice_id, stripe_invoices.invoice_id, null,
        stripe_invoices.stripe_invoice_id,
        case when finalizations.outbox_id is null then 'not finalized by us' else 'finalized' end,
        stripe_invoices.status, 1
    from stripe_invoices
    left join stripe_outbox as finalizations
        on
            stripe_invoices.invoice_id = finalizations.invoice_id
            and finalizations.kind = 'finalization'
            and finalizations.state = 'SENT'
    where
        stripe_invoices.status = 'void'
        or (finalizations.outbox_id is null) <> (stripe_invoices.status = 'draft')

    union all

    select
        'status', object, invoice_id, subject_id, op_id, stripe_id, 'issued', status, 1
    from joined
    where object = 'credit_note' and asked_op_id is not null and status = 'void'

    union all

    select
        'balance', 'invoice', invoice_id, invoice_id, null, stripe_invoice_id,
        cast(stripe_total_minor as varchar),
        cast(ending_balance_minor - starting_balance_minor as varchar) || ' moved on the balance of '
            || stripe_customer_id, 0
    from stripe_invoices
    where status <> 'void' and ending_balance_minor <> starting_balance_minor

    union all

    select
        'mismatched', 'payment', invoice_id, invoice_id, null, stripe_invoice_id,
        cast(to_pay_minor as varchar),
        cast(amount_paid_minor + amount_remaining_minor as varchar) || ' paid and open', 1
    from to_pay
    where to_pay_minor <> amount_paid_minor + amount_remaining_minor

)

select * from differences
order by is_blocking desc, kind, object, invoice_id, subject_id, stripe_id
"""


@dataclass(frozen=True)
class Difference:
    """One thing that the ledger and Stripe say differently.

    :param kind: missing, extra, duplicate, mismatched, unrecorded, status; unsent and balance are told, but
        are no disagreement.
    """

    kind: str
    object: str
    invoice_id: str | None
    subject_id: str | None
    op_id: str | None
    stripe_id: str | None
    ledger_says: str
    stripe_says: str
    is_blocking: bool


@dataclass(frozen=True)
class Reconciliation:
    """What a comparison found.

    :param failed_events: events of Stripe that wait because they could not be handled, in words.
    """

    reconciliation_id: str
    account: str
    since: datetime
    seen: int
    differences: Sequence[Difference]
    failed_events: Sequence[str] = ()

    @property
    def is_clean(self) -> bool:
        """Whether nothing disagrees."""
        return not any(difference.is_blocking for difference in self.differences)


def reconcile(
    ledger: Ledger,
    sender: Sender,
    since: datetime | None = None,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Reconciliation:
    """List what Stripe holds, keep it and its states in the ledger, and compare.

    :param since: compares what was created from then on; by default ``LOOK_BACK`` before now.
    :raises ConfigurationError: the key does not serve, or is of another account.
    :raises MeterhouseError: Stripe did not answer; what was known before stays.
    """
    account = sender.preflight()
    started = sender.clock()
    since = since or started - LOOK_BACK
    try:
        seen, states = _look(ledger, sender.api, since, on_progress)
    except NoAccessError as error:
        raise no_access(error) from None
    except StripeCallError as error:
        raise MeterhouseError(
            f"Stripe gave no answer that serves: {error}",
            where="reconcile",
            remedy="nothing was compared; try again later",
        ) from None
    with ledger.writing() as connection:
        now = sender.clock()
        _keep(connection, seen, since, started)
        for invoice_id, found in states:
            keep_state(connection, invoice_id, account, found, known_at=started, now=now)
        differences = [Difference(**dict(row)) for row in connection.execute(_statement(since)).mappings()]
        reconciliation = Reconciliation(uuid.uuid4().hex, account, since, len(seen), differences)
        _record(connection, reconciliation, started, now)
    ledger.export()
    return reconciliation


def _statement(since: datetime) -> sa.TextualSelect:
    columns: list[sa.ColumnClause[Any]] = [sa.column(name) for name in Difference.__dataclass_fields__]
    text = sa.text(_DIFFERENCES).bindparams(sa.bindparam("since", since, type_=Instant))
    return text.columns(*columns)


def _look(
    ledger: Ledger, api: StripeApi, since: datetime, on_progress: Callable[[int, int], None]
) -> tuple[list[dict[str, Any]], list[tuple[str, Json]]]:
    """What Stripe holds that is or looks like ours, and the states of our invoices."""
    created = {"gte": int(since.timestamp())}
    invoices = api.list("/v1/invoices", created=created)
    on_progress(1, 4)
    items = api.list("/v1/invoiceitems", created=created)
    on_progress(2, 4)
    notes = api.list("/v1/credit_notes", created=created)
    on_progress(3, 4)
    with ledger.reading() as connection:
        drafts = sa.select(stripe_outbox.c.invoice_id, stripe_outbox.c.stripe_id).where(
            stripe_outbox.c.kind == "invoice", stripe_outbox.c.state == "SENT"
        )
        ours = {row.stripe_id: row.invoice_id for row in connection.execute(drafts)}
        open_ones = sa.select(stripe_invoices.c.stripe_invoice_id).where(
            stripe_invoices.c.status.in_(("draft", "open", "uncollectible"))
        )
        still_open: set[str] = set(connection.scalars(open_ones))
    listed = {invoice["id"] for invoice in invoices}
    older = [api.get(f"/v1/invoices/{stripe_id}") for stripe_id in sorted(still_open - listed)]
    seen = [
        *(_seen_invoice(need(SeenInvoice, one)) for one in invoices),
        *(_seen_item(need(SeenItem, one)) for one in items),
        *(_seen_credit_note(need(SeenCreditNote, one)) for one in notes),
    ]
    # An account may bill for others too: what bears no op_id counts only on our invoices.
    relevant = [row for row in seen if row["op_id"] or row["stripe_invoice_id"] in ours]
    states = [(ours[one["id"]], one) for one in [*invoices, *older] if one["id"] in ours]
    for _, ours_at_stripe in states:
        need(Invoice, ours_at_stripe)
    on_progress(4, 4)
    return relevant, states


def _seen_invoice(found: SeenInvoice) -> dict[str, Any]:
    invoice = {"stripe_invoice_id": found.id, "amount_minor": found.total, "status": found.status}
    return _seen("invoice", found, found.created) | invoice


def _seen_item(found: SeenItem) -> dict[str, Any]:
    return _seen("item", found, found.date) | _amount(found) | {"status": None}


def _seen_credit_note(found: SeenCreditNote) -> dict[str, Any]:
    return _seen("credit_note", found, found.created) | _amount(found) | {"status": found.status}


def _amount(found: SeenItem | SeenCreditNote) -> dict[str, Any]:
    return {"stripe_invoice_id": reference(found.invoice), "amount_minor": found.amount}


def _seen(kind: str, found: SeenInvoice | SeenItem | SeenCreditNote, created: int) -> dict[str, Any]:
    return {
        "stripe_id": found.id,
        "object": kind,
        "op_id": found.op_id,
        "stripe_customer_id": reference(found.customer),
        "currency": found.currency,
        "created_at": datetime.fromtimestamp(created, UTC),
    }


def _keep(connection: sa.Connection, seen: Iterable[dict[str, Any]], since: datetime, at: datetime) -> None:
    rows = [row | {"seen_at": at} for row in seen]
    connection.execute(sa.delete(stripe_seen).where(stripe_seen.c.created_at >= since.replace(microsecond=0)))
    for start in range(0, len(rows), _CHUNK):
        connection.execute(sa.insert(stripe_seen), rows[start : start + _CHUNK])


def _record(
    connection: sa.Connection, reconciliation: Reconciliation, started: datetime, finished: datetime
) -> None:
    connection.execute(
        sa.insert(stripe_reconciliations).values(
            reconciliation_id=reconciliation.reconciliation_id,
            account=reconciliation.account,
            since=reconciliation.since,
            started_at=started,
            finished_at=finished,
            seen_count=reconciliation.seen,
            difference_count=sum(difference.is_blocking for difference in reconciliation.differences),
        )
    )
    rows = [
        vars(difference)
        | {
            "reconciliation_id": reconciliation.reconciliation_id,
            "difference_id": _difference_id(reconciliation.reconciliation_id, number),
        }
        for number, difference in enumerate(reconciliation.differences)
    ]
    if rows:
        connection.execute(sa.insert(stripe_differences), cast(Any, rows))


def _difference_id(reconciliation_id: str, number: int) -> str:
    return hashlib.sha256(f"{reconciliation_id}\n{number}".encode()).hexdigest()[:32]
