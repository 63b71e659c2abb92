"""Closings get who made them, when by the machine's clock, and which corrections they left waiting."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add them. Of closings that are there nobody knows the first two; they issued every correction."""
    op.add_column("closings", sa.Column("closed_by", sa.Text))
    op.add_column("closings", sa.Column("recorded_at", sa.DateTime(timezone=True)))
    op.add_column(
        "closings", sa.Column("corrections_from", sa.Text, nullable=False, server_default=sa.text("'0'"))
    )


def downgrade() -> None:
    """The ledger is memory: going back would forget."""
    raise NotImplementedError("restore a backup instead")
