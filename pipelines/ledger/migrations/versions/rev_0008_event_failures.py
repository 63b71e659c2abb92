"""Events of Stripe that could not be handled get a table: why, how often, and since when."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table."""
    instant = sa.DateTime(timezone=True)
    op.create_table(
        "stripe_event_failures",
        sa.Column("event_id", sa.Text, sa.ForeignKey("stripe_events.event_id"), primary_key=True),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("attempt_count", sa.Integer, nullable=False),
        sa.Column("first_failed_at", instant, nullable=False),
        sa.Column("last_failed_at", instant, nullable=False),
    )


def downgrade() -> None:
    """The ledger is memory: going back would forget."""
    raise NotImplementedError("restore a backup instead")
