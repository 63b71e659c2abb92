"""The outbox to Stripe, Stripe's invoices and events, and reconciliations. What was sent is never changed."""

import sqlalchemy as sa
from alembic import op

from pipelines.ledger.migrations.guards import append_only, frozen_once_sent

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables of payments."""
    instant = sa.DateTime(timezone=True)
    op.create_table(
        "stripe_outbox",
        sa.Column("outbox_id", sa.Text, primary_key=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("closing_number", sa.Integer, sa.ForeignKey("closings.closing_number"), nullable=False),
        sa.Column("customer_id", sa.Text, nullable=False),
        sa.Column("currency", sa.Text, nullable=False),
        sa.Column("period_start", sa.Date, nullable=False),
        sa.Column("period_end", sa.Date, nullable=False),
        sa.Column("invoice_id", sa.Text, sa.ForeignKey("issued_invoices.invoice_id"), nullable=False),
        sa.Column("subject_id", sa.Text, nullable=False),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("amount_minor", sa.BigInteger, nullable=False),
        sa.Column("content", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("account", sa.Text),
        sa.Column("op_id", sa.Text, unique=True),
        sa.Column("stripe_customer_id", sa.Text),
        sa.Column("request", sa.Text),
        sa.Column("generation", sa.Integer, nullable=False),
        sa.Column("key_used_at", instant),
        sa.Column("attempt_count", sa.Integer, nullable=False),
        sa.Column("claimed_by", sa.Text),
        sa.Column("lease_until", instant),
        sa.Column("last_status", sa.Integer),
        sa.Column("last_error", sa.Text),
        sa.Column("stripe_id", sa.Text),
        sa.Column("stripe_invoice_id", sa.Text),
        sa.Column("stripe_amount_minor", sa.BigInteger),
        sa.Column("request_id", sa.Text),
        sa.Column("was_adopted", sa.Boolean),
        sa.Column("created_at", instant, nullable=False),
        sa.Column("changed_at", instant, nullable=False),
        sa.Column("sent_at", instant),
        sa.CheckConstraint(
            "kind in ('invoice', 'item', 'finalization', 'credit_note')", name="stripe_outbox_known_kind"
        ),
        sa.CheckConstraint(
            "state in ('PENDING', 'SENDING', 'SENT', 'FAILED', 'NEEDS_REVIEW')",
            name="stripe_outbox_known_state",
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
    )
    op.create_index("stripe_outbox_by_state", "stripe_outbox", ["state", "kind", "closing_number"])
    op.create_index("stripe_outbox_by_invoice", "stripe_outbox", ["invoice_id", "kind", "position"])
    op.create_index("stripe_outbox_by_change", "stripe_outbox", ["changed_at"])
    op.create_table(
        "stripe_invoices",
        sa.Column(
            "invoice_id",
            sa.Text,
            sa.ForeignKey("issued_invoices.invoice_id"),
            primary_key=True,
            nullable=False,
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
        sa.Column("finalized_at", instant),
        sa.Column("paid_at", instant),
        sa.Column("voided_at", instant),
        sa.Column("known_at", instant, nullable=False),
        sa.Column("changed_at", instant, nullable=False),
        sa.CheckConstraint(
            "status in ('draft', 'open', 'paid', 'uncollectible', 'void')",
            name="stripe_invoices_known_status",
        ),
    )
    op.create_index("stripe_invoices_by_status", "stripe_invoices", ["status"])
    op.create_table(
        "stripe_events",
        sa.Column("event_id", sa.Text, primary_key=True),
        sa.Column("event_type", sa.Text, nullable=False),
        sa.Column("created_at", instant, nullable=False),
        sa.Column("api_version", sa.Text),
        sa.Column("object_id", sa.Text),
        sa.Column("payload", sa.Text, nullable=False),
        sa.Column("received_at", instant, nullable=False),
    )
    op.create_table(
        "stripe_event_results",
        sa.Column("event_id", sa.Text, sa.ForeignKey("stripe_events.event_id"), primary_key=True),
        sa.Column("outcome", sa.Text, nullable=False),
        sa.Column("handled_at", instant, nullable=False),
    )
    op.create_table(
        "stripe_reconciliations",
        sa.Column("reconciliation_id", sa.Text, primary_key=True),
        sa.Column("account", sa.Text, nullable=False),
        sa.Column("since", instant, nullable=False),
        sa.Column("started_at", instant, nullable=False),
        sa.Column("finished_at", instant, nullable=False),
        sa.Column("seen_count", sa.Integer, nullable=False),
        sa.Column("difference_count", sa.Integer, nullable=False),
    )
    op.create_table(
        "stripe_differences",
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
    op.create_table(
        "stripe_seen",
        sa.Column("stripe_id", sa.Text, primary_key=True),
        sa.Column("object", sa.Text, nullable=False),
        sa.Column("op_id", sa.Text),
        sa.Column("stripe_customer_id", sa.Text),
        sa.Column("stripe_invoice_id", sa.Text),
        sa.Column("amount_minor", sa.BigInteger, nullable=False),
        sa.Column("currency", sa.Text, nullable=False),
        sa.Column("status", sa.Text),
        sa.Column("created_at", instant, nullable=False),
        sa.Column("seen_at", instant, nullable=False),
    )
    op.create_index("stripe_seen_by_op", "stripe_seen", ["op_id"])
    dialect = op.get_bind().dialect.name
    for table, key in (
        ("stripe_events", "event_id"),
        ("stripe_event_results", "event_id"),
        ("stripe_reconciliations", "reconciliation_id"),
        ("stripe_differences", "difference_id"),
    ):
        for statement in append_only(dialect, table, key):
            op.execute(statement)
    for statement in frozen_once_sent(dialect):
        op.execute(statement)


def downgrade() -> None:
    """The ledger is memory: going back would forget."""
    raise NotImplementedError("restore a backup instead")
