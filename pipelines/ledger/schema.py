"""The ledger's tables as they are now, for both engines. How they came to be so is the migrations' business.

Facts (alerts, what was read, decisions) are append-only: triggers made by the migrations refuse every change,
on either engine. The outbox of notifications is the one table whose rows change.
"""

from datetime import UTC, datetime
from decimal import Decimal

import sqlalchemy as sa
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator

from pipelines.figures import plain_text

HEAD_REVISION = "0008"
"""The newest revision under ``migrations/versions``; a ledger that is there needs no migration."""

APPEND_ONLY = ("alerts", "alert_reads", "decisions", "lake_heads")


class ExactDecimal(TypeDecorator[Decimal]):
    """A decimal as text without trailing zeros: SQLite has no decimals, and both engines hold the same."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> str | None:
        """Text that a reader recognises: no exponent, no zeros at the end."""
        return None if value is None else plain_text(value)

    def process_result_value(self, value: object, dialect: Dialect) -> Decimal | None:
        """The decimal that was written."""
        return None if value is None else Decimal(str(value))


class Instant(TypeDecorator[datetime]):
    """An instant in UTC, to the microsecond; without offset it is refused."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """UTC; without offset where the engine keeps none."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("an instant of the ledger needs an offset")
        utc = value.astimezone(UTC)
        return utc.replace(tzinfo=None) if dialect.name == "sqlite" else utc

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """The instant with its offset, whatever the session's time zone is."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


metadata = sa.MetaData()

# An INTEGER key of SQLite counts by itself; its BIGINT does not.
_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

alerts = sa.Table(
    "alerts",
    metadata,
    sa.Column("alert_id", sa.Text, primary_key=True),
    sa.Column("customer_id", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("meter_id", sa.Text),
    sa.Column("threshold", ExactDecimal),
    sa.Column("observed", ExactDecimal),
    sa.Column("limit_value", ExactDecimal),
    sa.Column("severity", sa.Text, nullable=False),
    sa.Column("period_start", sa.Date),
    sa.Column("triggered_on", sa.Date, nullable=False),
    sa.Column("message", sa.Text, nullable=False),
    sa.Column("build_id", sa.Text),
    sa.Column("raised_at", Instant, nullable=False),
)

alert_reads = sa.Table(
    "alert_reads",
    metadata,
    sa.Column("alert_id", sa.Text, sa.ForeignKey("alerts.alert_id"), primary_key=True),
    sa.Column("read_by", sa.Text),
    sa.Column("read_at", Instant, nullable=False),
)

decisions = sa.Table(
    "decisions",
    metadata,
    sa.Column("decision_number", _NUMBER, primary_key=True, autoincrement=True),
    sa.Column("recommendation_id", sa.Text, nullable=False),
    sa.Column("decision", sa.Text, nullable=False),
    sa.Column("note", sa.Text),
    sa.Column("decided_at", Instant, nullable=False),
    sa.CheckConstraint("decision in ('dismissed', 'accepted')", name="decisions_known_decision"),
    sa.Index("decisions_by_recommendation", "recommendation_id", "decision_number"),
)

lake_heads = sa.Table(
    "lake_heads",
    metadata,
    sa.Column("lake_id", sa.Text, primary_key=True),
    sa.Column("commit_number", sa.Integer, primary_key=True),
    sa.Column("commit_sha256", sa.Text, nullable=False),
)

notifications = sa.Table(
    "notifications",
    metadata,
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
    sa.Column("created_at", Instant, nullable=False),
    sa.Column("next_attempt_at", Instant),
    sa.Column("sent_at", Instant),
    sa.CheckConstraint("state in ('pending', 'sent', 'failed')", name="notifications_known_state"),
    sa.Index("notifications_by_state", "state", "destination", "attempt_count", "created_at"),
)
