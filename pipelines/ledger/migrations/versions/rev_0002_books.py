"""Closings, issued invoices and credit notes: append-only, numbered without gaps, never credited too much."""

import sqlalchemy as sa
from alembic import op

from pipelines.ledger.migrations.guards import append_only, bounded_credit, gapless, no_replacement

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables of issued documents."""
    instant = sa.DateTime(timezone=True)
    op.create_table(
        "closings",
        sa.Column("closing_number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("through", sa.Date, nullable=False),
        sa.Column("as_of", instant, nullable=False),
        sa.Column("closed_at", instant, nullable=False),
        sa.Column("catalog_version", sa.Text, nullable=False),
        sa.Column("accounts_version", sa.Text, nullable=False),
        sa.Column("prices_version", sa.Text, nullable=False),
        sa.Column("code_version", sa.Text, nullable=False),
        sa.Column("batch_count", sa.Integer, nullable=False),
        sa.Column("invoice_count", sa.Integer, nullable=False),
        sa.Column("credit_note_count", sa.Integer, nullable=False),
    )
    op.create_table(
        "closing_batches",
        sa.Column("batch_id", sa.Text, primary_key=True),
        sa.Column("closing_number", sa.Integer, sa.ForeignKey("closings.closing_number"), nullable=False),
    )
    op.create_index("closing_batches_by_closing", "closing_batches", ["closing_number"])
    op.create_table(
        "issued_invoices",
        sa.Column("invoice_id", sa.Text, primary_key=True),
        sa.Column("closing_number", sa.Integer, sa.ForeignKey("closings.closing_number"), nullable=False),
        sa.Column("invoice_number", sa.Text, nullable=False, unique=True),
        sa.Column("sequence_number", sa.Integer, nullable=False, unique=True),
        sa.Column("customer_id", sa.Text, nullable=False),
        sa.Column("customer_name", sa.Text),
        sa.Column("customer_email", sa.Text),
        sa.Column("currency", sa.Text, nullable=False),
        sa.Column("minor_units", sa.Integer, nullable=False),
        sa.Column("timezone", sa.Text, nullable=False),
        sa.Column("period_start", sa.Date, nullable=False),
        sa.Column("period_end", sa.Date, nullable=False),
        sa.Column("total_minor", sa.BigInteger, nullable=False),
        sa.Column("line_count", sa.Integer, nullable=False),
        sa.Column("content_hash", sa.Text, nullable=False),
        sa.Column("issued_at", instant, nullable=False),
    )
    op.create_index("issued_invoices_by_closing", "issued_invoices", ["closing_number"])
    op.create_table(
        "issued_lines",
        sa.Column("invoice_line_id", sa.Text, primary_key=True),
        sa.Column("invoice_id", sa.Text, sa.ForeignKey("issued_invoices.invoice_id"), nullable=False),
        sa.Column("line_number", sa.Integer, nullable=False),
        sa.Column("customer_id", sa.Text, nullable=False),
        sa.Column("subscription_id", sa.Text, nullable=False),
        sa.Column("plan_id", sa.Text, nullable=False),
        sa.Column("plan_version", sa.Date, nullable=False),
        sa.Column("line_type", sa.Text, nullable=False),
        sa.Column("meter_id", sa.Text),
        sa.Column("description", sa.Text, nullable=False),
        sa.Column("quantity", sa.Text, nullable=False),
        sa.Column("amount", sa.Text, nullable=False),
        sa.Column("amount_minor", sa.BigInteger, nullable=False),
        sa.Column("currency", sa.Text, nullable=False),
        sa.Column("period_start", sa.Date, nullable=False),
        sa.Column("period_end", sa.Date, nullable=False),
        sa.Column("service_start", sa.Date, nullable=False),
        sa.Column("service_end", sa.Date, nullable=False),
        sa.Column("billing_anchor_day", sa.Integer, nullable=False),
        sa.Column("terms_hash", sa.Text, nullable=False),
        sa.Column("adjusts_line_id", sa.Text),
        sa.Column("adjusts_invoice_id", sa.Text),
        sa.Column("restated_quantity", sa.Text),
        sa.Column("restated_amount_minor", sa.BigInteger),
        sa.Column("causes", sa.Text),
        sa.UniqueConstraint("invoice_id", "line_number", name="issued_lines_numbered"),
        sa.CheckConstraint(
            "line_type in ('price', 'capacity', 'usage', 'adjustment')", name="issued_lines_known_type"
        ),
        sa.CheckConstraint(
            "(line_type = 'adjustment') = (adjusts_line_id is not null)", name="issued_lines_adjust_something"
        ),
    )
    op.create_table(
        "credit_notes",
        sa.Column("credit_note_id", sa.Text, primary_key=True),
        sa.Column("closing_number", sa.Integer, sa.ForeignKey("closings.closing_number"), nullable=False),
        sa.Column("credit_note_number", sa.Text, nullable=False, unique=True),
        sa.Column("sequence_number", sa.Integer, nullable=False, unique=True),
        sa.Column("invoice_id", sa.Text, sa.ForeignKey("issued_invoices.invoice_id"), nullable=False),
        sa.Column("customer_id", sa.Text, nullable=False),
        sa.Column("currency", sa.Text, nullable=False),
        sa.Column("amount_minor", sa.BigInteger, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("content_hash", sa.Text, nullable=False),
        sa.Column("issued_at", instant, nullable=False),
        sa.CheckConstraint("amount_minor > 0", name="credit_notes_give"),
        sa.UniqueConstraint("invoice_id", "closing_number", name="credit_notes_once"),
    )
    op.create_table(
        "credit_note_lines",
        sa.Column("credit_note_line_id", sa.Text, primary_key=True),
        sa.Column("credit_note_id", sa.Text, sa.ForeignKey("credit_notes.credit_note_id"), nullable=False),
        sa.Column("line_number", sa.Integer, nullable=False),
        sa.Column("invoice_line_id", sa.Text, sa.ForeignKey("issued_lines.invoice_line_id"), nullable=False),
        sa.Column("corrects_line_id", sa.Text, nullable=False),
        sa.Column("amount_minor", sa.BigInteger, nullable=False),
        sa.Column("description", sa.Text, nullable=False),
        sa.Column("quantity", sa.Text, nullable=False),
        sa.Column("restated_quantity", sa.Text, nullable=False),
        sa.Column("restated_amount_minor", sa.BigInteger, nullable=False),
        sa.Column("period_start", sa.Date, nullable=False),
        sa.Column("period_end", sa.Date, nullable=False),
        sa.Column("causes", sa.Text),
        sa.CheckConstraint("amount_minor > 0", name="credit_note_lines_give"),
        sa.UniqueConstraint("credit_note_id", "line_number", name="credit_note_lines_numbered"),
    )
    op.create_index("credit_note_lines_by_line", "credit_note_lines", ["invoice_line_id"])
    _guard(op.get_bind().dialect.name)


def _guard(dialect: str) -> None:
    keys = {
        "closings": "closing_number",
        "closing_batches": "batch_id",
        "issued_invoices": "invoice_id",
        "issued_lines": "invoice_line_id",
        "credit_notes": "credit_note_id",
        "credit_note_lines": "credit_note_line_id",
    }
    others = {
        "issued_invoices": [["invoice_number"], ["sequence_number"]],
        "issued_lines": [["invoice_id", "line_number"]],
        "credit_notes": [["credit_note_number"], ["sequence_number"], ["invoice_id", "closing_number"]],
        "credit_note_lines": [["credit_note_id", "line_number"]],
    }
    series = {
        "closings": "closing_number",
        "issued_invoices": "sequence_number",
        "credit_notes": "sequence_number",
    }
    statements = [statement for table, key in keys.items() for statement in append_only(dialect, table, key)]
    for table, uniques in others.items():
        for columns in uniques:
            statements += no_replacement(dialect, table, columns)
    for table, column in series.items():
        statements += gapless(dialect, table, column)
    statements += bounded_credit(dialect)
    for statement in statements:
        op.execute(statement)


def downgrade() -> None:
    """Issued documents are facts: going back would forget them."""
    raise NotImplementedError("restore a backup instead")
