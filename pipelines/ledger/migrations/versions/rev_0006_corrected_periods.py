"""A correction pins terms too: an issued cycle of a subscription may have several, each from a closing on."""

import sqlalchemy as sa
from alembic import op

from pipelines.ledger.migrations.guards import append_only

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_COLUMNS = (
    "invoice_id, subscription_id, closing_number, customer_id, plan_id, plan_version, terms_hash,"
    " accounts_hash, cycle_days, period_start, period_end, service_start, service_end"
)


def upgrade() -> None:
    """Make the closing a part of the key; SQLite cannot change a key, so the table is made again."""
    op.execute(f"create table kept_periods as select {_COLUMNS} from issued_periods")
    op.drop_table("issued_periods")
    op.create_table(
        "issued_periods",
        sa.Column("invoice_id", sa.Text, sa.ForeignKey("issued_invoices.invoice_id"), primary_key=True),
        sa.Column("subscription_id", sa.Text, primary_key=True),
        sa.Column(
            "closing_number",
            sa.Integer,
            sa.ForeignKey("closings.closing_number"),
            primary_key=True,
            autoincrement=False,
        ),
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
    op.execute(f"insert into issued_periods ({_COLUMNS}) select {_COLUMNS} from kept_periods")
    op.drop_table("kept_periods")
    dialect = op.get_bind().dialect.name
    for statement in append_only(
        dialect, "issued_periods", "invoice_id", "subscription_id", "closing_number"
    ):
        op.execute(statement)


def downgrade() -> None:
    """The ledger is memory: going back would forget."""
    raise NotImplementedError("restore a backup instead")
