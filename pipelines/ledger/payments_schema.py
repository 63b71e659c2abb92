"""Tables of what goes to Stripe and comes back: the outbox, Stripe's invoices, events, reconciliations.

Documents are facts and have tables of their own; the state of telling Stripe about them changes, until an
operation is sent: then the database refuses every change of it. How and when is for ``pipelines.payments``.
"""

import sqlalchemy as sa

from pipelines.ledger.schema import Instant, metadata

stripe_outbox = sa.Table(
    "stripe_outbox",
    metadata,
    sa.Column("outbox_id", sa.Text, primary_key=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("closing_number", sa.Integer, sa.ForeignKey("closings.closing_number"), nullable=False),
    sa.Column("customer_id", sa.Text, nullable=False),
    sa.Column("currency", sa.Text, nullable=False),
    sa.Column("period_start", sa.Date, nullable=False),
    sa.Column("period_end", sa.Date, nullable=False),
    sa.Column("invoice_id", sa.Text, sa.ForeignKey("issued_invoices.invoice_id"), nullable=False),
    # What it tells of: the invoice's, the line's or the credit note's own id.
    sa.Column("subject_id", sa.Text, nullable=False),
    # The way in which requests were built when the row was added.
    sa.Column("revision", sa.Integer, nullable=False),
    sa.Column("position", sa.Integer, nullable=False),
    sa.Column("amount_minor", sa.BigInteger, nullable=False),
    sa.Column("content", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    # Known from the first attempt on, and the same ever after.
    sa.Column("account", sa.Text),
    sa.Column("op_id", sa.Text, unique=True),
    sa.Column("stripe_customer_id", sa.Text),
    sa.Column("request", sa.Text),
    sa.Column("generation", sa.Integer, nullable=False),
    sa.Column("key_used_at", Instant),
    sa.Column("attempt_count", sa.Integer, nullable=False),
    sa.Column("claimed_by", sa.Text),
    sa.Column("lease_until", Instant),
    sa.Column("last_status", sa.Integer),
    sa.Column("last_error", sa.Text),
    # As Stripe's answer said, not as the request asked.
    sa.Column("stripe_id", sa.Text),
    sa.Column("stripe_invoice_id", sa.Text),
    sa.Column("stripe_amount_minor", sa.BigInteger),
    sa.Column("request_id", sa.Text),
    sa.Column("was_adopted", sa.Boolean),
    sa.Column("created_at", Instant, nullable=False),
    sa.Column("changed_at", Instant, nullable=False),
    sa.Column("sent_at", Instant),
    sa.CheckConstraint(
        "kind in ('invoice', 'item', 'finalization', 'credit_note')", name="stripe_outbox_known_kind"
    ),
    sa.CheckConstraint(
        "state in ('PENDING', 'SENDING', 'SENT', 'FAILED', 'NEEDS_REVIEW')", name="stripe_outbox_known_state"
    ),
    sa.CheckConstraint(
        "state not in ('SENDING', 'SENT') or (op_id is not null and request is not null)",
        name="stripe_outbox_says_what_it_sends",
    ),
    sa.CheckConstraint("state <> 'SENT' or stripe_id is not null", name="stripe_outbox_has_a_receipt"),
    sa.UniqueConstraint(
        "customer_id", "period_start", "kind", "subject_id", "revision", name="stripe_outbox_once"
    ),
    sa.UniqueConstraint("kind", "stripe_id", name="stripe_outbox_one_each"),
    sa.Index("stripe_outbox_by_state", "state", "kind", "closing_number"),
    sa.Index("stripe_outbox_by_invoice", "invoice_id", "kind", "position"),
    sa.Index("stripe_outbox_by_change", "changed_at"),
)

stripe_invoices = sa.Table(
    "stripe_invoices",
    metadata,
    sa.Column(
        "invoice_id", sa.Text, sa.ForeignKey("issued_invoices.invoice_id"), primary_key=True, nullable=False
    ),
    sa.Column("account", sa.Text, nullable=False),
    sa.Column("stripe_invoice_id", sa.Text, nullable=False, unique=True),
    sa.Column("stripe_customer_id", sa.Text, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("is_payment_failed", sa.Boolean, nullable=False),
    sa.Column("stripe_total_minor", sa.BigInteger, nullable=False),
    sa.Column("amount_due_minor", sa.BigInteger, nullable=False),
    sa.Column("amount_paid_minor", sa.BigInteger, nullable=False),
    sa.Column("amount_remaining_minor", sa.BigInteger, nullable=False),
    sa.Column("starting_balance_minor", sa.BigInteger, nullable=False),
    sa.Column("ending_balance_minor", sa.BigInteger),
    sa.Column("pre_payment_credit_minor", sa.BigInteger, nullable=False),
    sa.Column("post_payment_credit_minor", sa.BigInteger, nullable=False),
    sa.Column("hosted_invoice_url", sa.Text),
    sa.Column("invoice_pdf_url", sa.Text),
    sa.Column("finalized_at", Instant),
    sa.Column("paid_at", Instant),
    sa.Column("voided_at", Instant),
    # The instant that this state was true at, by Stripe's clock or ours.
    sa.Column("known_at", Instant, nullable=False),
    sa.Column("changed_at", Instant, nullable=False),
    sa.CheckConstraint(
        "status in ('draft', 'open', 'paid', 'uncollectible', 'void')", name="stripe_invoices_known_status"
    ),
    sa.Index("stripe_invoices_by_status", "status"),
)

stripe_events = sa.Table(
    "stripe_events",
    metadata,
    sa.Column("event_id", sa.Text, primary_key=True),
    sa.Column("event_type", sa.Text, nullable=False),
    sa.Column("created_at", Instant, nullable=False),
    sa.Column("api_version", sa.Text),
    sa.Column("object_id", sa.Text),
    sa.Column("payload", sa.Text, nullable=False),
    sa.Column("received_at", Instant, nullable=False),
)

stripe_event_results = sa.Table(
    "stripe_event_results",
    metadata,
    sa.Column("event_id", sa.Text, sa.ForeignKey("stripe_events.event_id"), primary_key=True),
    sa.Column("outcome", sa.Text, nullable=False),
    sa.Column("handled_at", Instant, nullable=False),
)

stripe_event_failures = sa.Table(
    "stripe_event_failures",
    metadata,
    sa.Column("event_id", sa.Text, sa.ForeignKey("stripe_events.event_id"), primary_key=True),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("attempt_count", sa.Integer, nullable=False),
    sa.Column("first_failed_at", Instant, nullable=False),
    sa.Column("last_failed_at", Instant, nullable=False),
)
"""Events that could not be handled; one that has a result too was handled after all."""

stripe_reconciliations = sa.Table(
    "stripe_reconciliations",
    metadata,
    sa.Column("reconciliation_id", sa.Text, primary_key=True),
    sa.Column("account", sa.Text, nullable=False),
    sa.Column("since", Instant, nullable=False),
    sa.Column("started_at", Instant, nullable=False),
    sa.Column("finished_at", Instant, nullable=False),
    sa.Column("seen_count", sa.Integer, nullable=False),
    sa.Column("difference_count", sa.Integer, nullable=False),
)

stripe_differences = sa.Table(
    "stripe_differences",
    metadata,
    sa.Column("difference_id", sa.Text, primary_key=True),
    sa.Column(
        "reconciliation_id",
        sa.Text,
        sa.ForeignKey("stripe_reconciliations.reconciliation_id"),
        nullable=False,
    ),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("object", sa.Text, nullable=False),
    sa.Column("invoice_id", sa.Text),
    sa.Column("subject_id", sa.Text),
    sa.Column("op_id", sa.Text),
    sa.Column("stripe_id", sa.Text),
    sa.Column("ledger_says", sa.Text),
    sa.Column("stripe_says", sa.Text),
    sa.Column("is_blocking", sa.Boolean, nullable=False),
)

stripe_seen = sa.Table(
    "stripe_seen",
    metadata,
    sa.Column("stripe_id", sa.Text, primary_key=True),
    sa.Column("object", sa.Text, nullable=False),
    sa.Column("op_id", sa.Text),
    sa.Column("stripe_customer_id", sa.Text),
    sa.Column("stripe_invoice_id", sa.Text),
    sa.Column("amount_minor", sa.BigInteger, nullable=False),
    sa.Column("currency", sa.Text, nullable=False),
    sa.Column("status", sa.Text),
    sa.Column("created_at", Instant, nullable=False),
    sa.Column("seen_at", Instant, nullable=False),
    sa.Index("stripe_seen_by_op", "op_id"),
)
"""What Stripe held when it was last looked at, replaced as it is seen again: nobody's fact but Stripe's."""
