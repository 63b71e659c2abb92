"""Alerts, who read them, decisions about recommendations, and the outbox of notifications."""

import sqlalchemy as sa
from alembic import op

from pipelines.ledger.migrations.guards import append_only

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the first tables; facts are append-only."""
    instant = sa.DateTime(timezone=True)
    op.create_table(
        "alerts",
        sa.Column("alert_id", sa.Text, primary_key=True),
        sa.Column("customer_id", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("meter_id", sa.Text),
        sa.Column("threshold", sa.Text),
        sa.Column("observed", sa.Text),
        sa.Column("limit_value", sa.Text),
        sa.Column("severity", sa.Text, nullable=False),
        sa.Column("period_start", sa.Date),
        sa.Column("triggered_on", sa.Date, nullable=False),
        sa.Column("message", sa.Text, nullable=False),
        sa.Column("build_id", sa.Text),
        sa.Column("raised_at", instant, nullable=False),
    )
    op.create_table(
        "alert_reads",
        sa.Column("alert_id", sa.Text, sa.ForeignKey("alerts.alert_id"), primary_key=True),
        sa.Column("read_by", sa.Text),
        sa.Column("read_at", instant, nullable=False),
    )
    op.create_table(
        "decisions",
        sa.Column(
            "decision_number",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            primary_key=True,
            autoincrement=True,
        ),
        sa.Column("recommendation_id", sa.Text, nullable=False),
        sa.Column("decision", sa.Text, nullable=False),
        sa.Column("note", sa.Text),
        sa.Column("decided_at", instant, nullable=False),
        sa.CheckConstraint("decision in ('dismissed', 'accepted')", name="decisions_known_decision"),
    )
    op.create_index("decisions_by_recommendation", "decisions", ["recommendation_id", "decision_number"])
    op.create_table(
        "notifications",
        sa.Column("notification_id", sa.Text, primary_key=True),
        sa.Column("alert_id", sa.Text, sa.ForeignKey("alerts.alert_id")),
        sa.Column("destination", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("severity", sa.Text, nullable=False),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("last_error", sa.Text),
        sa.Column("attempt_count", sa.Integer, nullable=False),
        sa.Column("created_at", instant, nullable=False),
        sa.Column("next_attempt_at", instant),
        sa.Column("sent_at", instant),
        sa.CheckConstraint("state in ('pending', 'sent', 'failed')", name="notifications_known_state"),
    )
    op.create_index(
        "notifications_by_state", "notifications", ["state", "destination", "attempt_count", "created_at"]
    )
    dialect = op.get_bind().dialect.name
    for table, key in (("alerts", "alert_id"), ("alert_reads", "alert_id"), ("decisions", "decision_number")):
        for statement in append_only(dialect, table, key):
            op.execute(statement)


def downgrade() -> None:
    """The ledger is memory: going back would forget."""
    raise NotImplementedError("restore a backup instead")
