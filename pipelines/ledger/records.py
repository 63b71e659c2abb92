"""What the ledger takes and gives, as plain records. Tables and statements do not belong here."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Literal, Self

DecisionKind = Literal["dismissed", "accepted"]
DeliveryState = Literal["pending", "sent", "failed"]


@dataclass(frozen=True)
class Alert:
    """An alert as ``budget_alerts`` computes it; its id is the same whenever the same thing is found again.

    :param threshold: a ratio; None where the kind has none.
    :param observed: in the meter's unit or in money, and so is ``limit_value``.
    :param triggered_on: the local day whose usage triggered it, not the day on which that became known.
    """

    alert_id: str
    customer_id: str
    kind: str
    severity: str
    triggered_on: date
    message: str
    meter_id: str | None = None
    threshold: Decimal | None = None
    observed: Decimal | None = None
    limit_value: Decimal | None = None
    period_start: date | None = None

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Self:
        """A row of ``budget_alerts``; columns that an alert does not have are left aside."""
        return cls(**{name: row[name] for name in cls.__dataclass_fields__ if name in row})


@dataclass(frozen=True)
class RaisedAlert:
    """An alert of the ledger: what it said when it was raised, since when, and whether somebody has read it.

    :param build_id: the build that knew it first.
    """

    alert: Alert
    build_id: str | None
    raised_at: datetime
    read_at: datetime | None
    read_by: str | None


@dataclass(frozen=True)
class Decision:
    """What somebody decided about a recommendation; of several, the one with the highest number counts."""

    decision_number: int
    recommendation_id: str
    decision: DecisionKind
    note: str | None
    decided_at: datetime


@dataclass(frozen=True)
class Message:
    """Something to tell, in words.

    :param key: what makes it the same message: told once per destination.
    :param alert_id: the alert it tells of, if it tells of one alone.
    """

    key: str
    kind: str
    severity: str
    title: str
    body: str
    alert_id: str | None = None


@dataclass(frozen=True)
class Notification:
    """A message on its way to one destination.

    :param destination: the name of the environment variable, never the address in it.
    :param next_attempt_at: not before this instant; None: at once.
    """

    notification_id: str
    destination: str
    kind: str
    severity: str
    title: str
    body: str
    alert_id: str | None
    state: DeliveryState
    attempt_count: int
    last_error: str | None
    created_at: datetime
    next_attempt_at: datetime | None
    sent_at: datetime | None
