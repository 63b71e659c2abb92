"""What issued cycles are held to gets a table: a subscription without a line on its invoice has terms too."""

import sqlalchemy as sa
from alembic import op

from pipelines.ledger.migrations.guards import append_only

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

# The first line issued of a cycle, on its invoice or as a later adjustment of it, pinned the terms.
_FILL = """
insert into issued_periods (
    invoice_id, subscription_id, closing_number, customer_id, plan_id, plan_version,
    terms_hash, period_start, period_end, service_start, service_end
)
select
    invoice_id, subscription_id, closing_number, customer_id, plan_id, plan_version,
    terms_hash, period_start, period_end, service_start, service_end
from (
    select
        coalesce(issued_lines.adjusts_invoice_id, issued_lines.invoice_id) as invoice_id,
        issued_lines.subscription_id, issued_invoices.closing_number, issued_lines.customer_id,
        issued_lines.plan_id, issued_lines.plan_version,
        issued_lines.terms_hash, issued_lines.period_start, issued_lines.period_end,
        issued_lines.service_start, issued_lines.service_end,
        row_number() over (
            partition by
                coalesce(issued_lines.adjusts_invoice_id, issued_lines.invoice_id),
                issued_lines.subscription_id
            order by issued_invoices.closing_number, issued_lines.invoice_line_id
        ) as place
    from issued_lines
    join issued_invoices on issued_lines.invoice_id = issued_invoices.invoice_id
) as pinned
where place = 1
"""


def upgrade() -> None:
    """Create the table, fill it from the lines that pinned terms so far, and take these off the lines."""
    op.create_table(
        "issued_periods",
        sa.Column("invoice_id", sa.Text, sa.ForeignKey("issued_invoices.invoice_id"), primary_key=True),
        sa.Column("subscription_id", sa.Text, primary_key=True),
        sa.Column("closing_number", sa.Integer, sa.ForeignKey("closings.closing_number"), nullable=False),
        sa.Column("customer_id", sa.Text, nullable=False),
        sa.Column("plan_id", sa.Text, nullable=False),
        sa.Column("plan_version", sa.Date, nullable=False),
        sa.Column("terms_hash", sa.Text, nullable=False),
        sa.Column("accounts_hash", sa.Text),
        sa.Column("cycle_days", sa.Integer),
        sa.Column("period_start", sa.Date, nullable=False),
        sa.Column("period_end", sa.Date, nullable=False),
        sa.Column("service_start", sa.Date, nullable=False),
        sa.Column("service_end", sa.Date, nullable=False),
    )
    op.create_index("issued_periods_by_closing", "issued_periods", ["closing_number"])
    op.execute(_FILL)
    op.drop_column("issued_lines", "billing_anchor_day")
    op.drop_column("issued_lines", "terms_hash")
    dialect = op.get_bind().dialect.name
    for statement in append_only(dialect, "issued_periods", "invoice_id", "subscription_id"):
        op.execute(statement)


def downgrade() -> None:
    """The ledger is memory: going back would forget."""
    raise NotImplementedError("restore a backup instead")
