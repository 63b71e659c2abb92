"""The ledger remembers the last commits of the lake, so that one that is missing later is found."""

import sqlalchemy as sa
from alembic import op

from pipelines.ledger.migrations.guards import append_only

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table; what it would have held before is not known."""
    op.create_table(
        "lake_heads",
        sa.Column("lake_id", sa.Text, primary_key=True),
        sa.Column("commit_number", sa.Integer, primary_key=True),
        sa.Column("commit_sha256", sa.Text, nullable=False),
    )
    for statement in append_only(op.get_bind().dialect.name, "lake_heads", "lake_id", "commit_number"):
        op.execute(statement)


def downgrade() -> None:
    """The ledger is memory: going back would forget."""
    raise NotImplementedError("restore a backup instead")
