"""Tables of issued documents: closings, invoices, credit notes and their lines. All are append-only.

The database itself refuses what must never be: a changed row, a gap in a series of numbers, a line credited
beyond its amount. What is issued, and when, is decided by ``pipelines.books``; sending it has its own tables.
"""

import sqlalchemy as sa

from pipelines.ledger.schema import ExactDecimal, Instant, metadata

closings = sa.Table(
    "closings",
    metadata,
    sa.Column("closing_number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("through", sa.Date, nullable=False),
    sa.Column("as_of", Instant, nullable=False),
    sa.Column("closed_at", Instant, nullable=False),
    # Who closed, and when by the machine's clock: the instants above are what `--as-of` says. Null: closed
    # before these were kept.
    sa.Column("closed_by", sa.Text),
    sa.Column("recorded_at", Instant),
    # Corrections of an invoice that came to less, in units of its currency, were left waiting.
    sa.Column("corrections_from", ExactDecimal, nullable=False, server_default="0"),
    sa.Column("catalog_version", sa.Text, nullable=False),
    sa.Column("accounts_version", sa.Text, nullable=False),
    sa.Column("prices_version", sa.Text, nullable=False),
    sa.Column("code_version", sa.Text, nullable=False),
    sa.Column("batch_count", sa.Integer, nullable=False),
    sa.Column("invoice_count", sa.Integer, nullable=False),
    sa.Column("credit_note_count", sa.Integer, nullable=False),
)

_CLOSING = "closings.closing_number"

closing_batches = sa.Table(
    "closing_batches",
    metadata,
    sa.Column("batch_id", sa.Text, primary_key=True),
    sa.Column("closing_number", sa.Integer, sa.ForeignKey(_CLOSING), nullable=False),
    sa.Index("closing_batches_by_closing", "closing_number"),
)

issued_invoices = sa.Table(
    "issued_invoices",
    metadata,
    sa.Column("invoice_id", sa.Text, primary_key=True),
    sa.Column("closing_number", sa.Integer, sa.ForeignKey(_CLOSING), nullable=False),
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
    sa.Column("issued_at", Instant, nullable=False),
    sa.Index("issued_invoices_by_closing", "closing_number"),
)

# What rating an issued cycle again is held to, of every subscription that serves it, with lines or without;
# a correction by other terms adds a row.
issued_periods = sa.Table(
    "issued_periods",
    metadata,
    sa.Column("invoice_id", sa.Text, sa.ForeignKey("issued_invoices.invoice_id"), primary_key=True),
    sa.Column("subscription_id", sa.Text, primary_key=True),
    sa.Column("closing_number", sa.Integer, sa.ForeignKey(_CLOSING), primary_key=True, autoincrement=False),
    sa.Column("customer_id", sa.Text, nullable=False),
    sa.Column("plan_id", sa.Text, nullable=False),
    sa.Column("plan_version", sa.Date, nullable=False),
    sa.Column("terms_hash", sa.Text, nullable=False),
    # Null: issued before these were kept.
    sa.Column("accounts_hash", sa.Text),
    sa.Column("cycle_days", sa.Integer),
    sa.Column("period_start", sa.Date, nullable=False),
    sa.Column("period_end", sa.Date, nullable=False),
    sa.Column("service_start", sa.Date, nullable=False),
    sa.Column("service_end", sa.Date, nullable=False),
    sa.Index("issued_periods_by_closing", "closing_number"),
)

issued_lines = sa.Table(
    "issued_lines",
    metadata,
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
    sa.Column("quantity", ExactDecimal, nullable=False),
    sa.Column("amount", ExactDecimal, nullable=False),
    sa.Column("amount_minor", sa.BigInteger, nullable=False),
    sa.Column("currency", sa.Text, nullable=False),
    sa.Column("period_start", sa.Date, nullable=False),
    sa.Column("period_end", sa.Date, nullable=False),
    sa.Column("service_start", sa.Date, nullable=False),
    sa.Column("service_end", sa.Date, nullable=False),
    # Adjustments: the rated line that is put right (it may never have been issued) and its invoice.
    sa.Column("adjusts_line_id", sa.Text),
    sa.Column("adjusts_invoice_id", sa.Text),
    sa.Column("restated_quantity", ExactDecimal),
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

credit_notes = sa.Table(
    "credit_notes",
    metadata,
    sa.Column("credit_note_id", sa.Text, primary_key=True),
    sa.Column("closing_number", sa.Integer, sa.ForeignKey(_CLOSING), nullable=False),
    sa.Column("credit_note_number", sa.Text, nullable=False, unique=True),
    sa.Column("sequence_number", sa.Integer, nullable=False, unique=True),
    sa.Column("invoice_id", sa.Text, sa.ForeignKey("issued_invoices.invoice_id"), nullable=False),
    sa.Column("customer_id", sa.Text, nullable=False),
    sa.Column("currency", sa.Text, nullable=False),
    sa.Column("amount_minor", sa.BigInteger, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("content_hash", sa.Text, nullable=False),
    sa.Column("issued_at", Instant, nullable=False),
    sa.CheckConstraint("amount_minor > 0", name="credit_notes_give"),
    # One per invoice and closing.
    sa.UniqueConstraint("invoice_id", "closing_number", name="credit_notes_once"),
)

credit_note_lines = sa.Table(
    "credit_note_lines",
    metadata,
    sa.Column("credit_note_line_id", sa.Text, primary_key=True),
    sa.Column("credit_note_id", sa.Text, sa.ForeignKey("credit_notes.credit_note_id"), nullable=False),
    sa.Column("line_number", sa.Integer, nullable=False),
    sa.Column("invoice_line_id", sa.Text, sa.ForeignKey("issued_lines.invoice_line_id"), nullable=False),
    # The rated line that is put right; the issued line credited may be one of its adjustments.
    sa.Column("corrects_line_id", sa.Text, nullable=False),
    sa.Column("amount_minor", sa.BigInteger, nullable=False),
    sa.Column("description", sa.Text, nullable=False),
    sa.Column("quantity", ExactDecimal, nullable=False),
    sa.Column("restated_quantity", ExactDecimal, nullable=False),
    sa.Column("restated_amount_minor", sa.BigInteger, nullable=False),
    sa.Column("period_start", sa.Date, nullable=False),
    sa.Column("period_end", sa.Date, nullable=False),
    sa.Column("causes", sa.Text),
    sa.CheckConstraint("amount_minor > 0", name="credit_note_lines_give"),
    sa.UniqueConstraint("credit_note_id", "line_number", name="credit_note_lines_numbered"),
    sa.Index("credit_note_lines_by_line", "invoice_line_id"),
)

BOOKS = (
    closings,
    closing_batches,
    issued_invoices,
    issued_periods,
    issued_lines,
    credit_notes,
    credit_note_lines,
)
"""Every table of the books, in the order in which their rows refer to each other."""
