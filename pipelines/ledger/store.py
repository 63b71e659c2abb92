"""What can be written into the ledger and asked of it: one transaction each; facts are only added.

Texts of messages and their sending do not belong here: they come in and go out as records.
"""

import hashlib
import os
import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Self, cast

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from pipelines.errors import ConfigurationError
from pipelines.files import tighten
from pipelines.home import Home
from pipelines.ledger.connect import WRITES, Address, describe_failure, find_address, make_engine
from pipelines.ledger.export import (
    exact,
    export_books,
    export_payments,
    export_tables,
    exported_files,
    find_damaged_exports,
)
from pipelines.ledger.migrate import is_current, migrate
from pipelines.ledger.records import (
    Alert,
    Decision,
    DecisionKind,
    DeliveryState,
    Message,
    Notification,
    RaisedAlert,
)
from pipelines.ledger.schema import alert_reads, alerts, decisions, notifications

# Both engines take more parameters in one statement; this keeps the statements readable in a log.
_CHUNK = 1_000

Outbox = Callable[[Sequence[Alert]], Sequence[Message]]


def open_ledger(home: Home, url: str | None = None, environment: Mapping[str, str] = os.environ) -> "Ledger":
    """The ledger of a home, brought to the newest revision and exported; safe for several processes at once.

    :param url: a PostgreSQL URL; None: what METERHOUSE_LEDGER_URL says, and without it SQLite in the home.
        One database (or schema, by ``?options=-csearch_path=NAME``) belongs to one home.
    :raises ConfigurationError: not such a URL.
    :raises LedgerError: it cannot be reached, or a newer version wrote it.
    """
    address = find_address(home, url, environment)
    tighten(home.private_folders)
    engine = make_engine(address)
    try:
        was_migrated = migrate(engine, address, home)
    except (SQLAlchemyError, sqlite3.Error, OSError) as error:
        raise describe_failure(address, error) from None
    ledger = Ledger(home, address, engine)
    if was_migrated or not all(path.exists() for path in exported_files(home)):
        ledger.export()
    return ledger


def damaged_exports(home: Home) -> list[Path]:
    """Exported files of issued documents that do not say what the home's ledger says; read-only.

    :raises LedgerError: it cannot be reached. A ledger of another revision is left to the next run.
    """
    address = find_address(home, None)
    if not address.is_postgresql and not (home.ledger / "ledger.sqlite").exists():
        return []
    engine = make_engine(address)
    try:
        return find_damaged_exports(engine, home) if is_current(engine) else []
    except SQLAlchemyError as error:
        raise describe_failure(address, error) from None
    finally:
        engine.dispose()


class Ledger:
    """An open ledger. It holds no connection between calls; threads and processes may share it.

    Writers take turns, on either engine: what one function reads and then writes belongs together.
    """

    def __init__(self, home: Home, address: Address, engine: sa.Engine) -> None:
        self.home = home
        self._address = address
        self._engine = engine

    def __str__(self) -> str:
        return str(self._address)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of what the engine may still hold."""
        self._engine.dispose()

    # Alerts

    def raise_alerts(
        self,
        found: Iterable[Alert],
        raised_at: datetime,
        build_id: str | None = None,
        outbox: Outbox | None = None,
        destinations: Collection[str] = (),
    ) -> list[Alert]:
        """Add the alerts that are not there yet, together with the messages about them, all or nothing.

        An alert that is there stays as it was first raised, whatever it says now.

        :param outbox: turns the new alerts into messages; each waits to be sent to each destination.
        :param destinations: names of the destinations in use.
        :returns: the new ones, in order of their ids.
        :raises ValueError: a figure has more digits than the ledger's export holds.
        """
        candidates = {alert.alert_id: _checked(alert) for alert in found}
        with self.writing() as connection:
            known = _known_alerts(connection, candidates)
            new = [candidates[alert_id] for alert_id in sorted(candidates.keys() - known)]
            if new:
                raised = {"raised_at": raised_at, "build_id": build_id}
                connection.execute(sa.insert(alerts), [asdict(alert) | raised for alert in new])
                messages = outbox(new) if outbox else ()
                add_messages(connection, messages, destinations, raised_at)
        if new:
            self.export()
        return new

    def alerts(self, customer_id: str | None = None, is_unread_only: bool = False) -> list[RaisedAlert]:
        """Alerts raised, the newest day first."""
        query = (
            sa.select(alerts, alert_reads.c.read_at, alert_reads.c.read_by)
            .join_from(alerts, alert_reads, isouter=True)
            .order_by(alerts.c.triggered_on.desc(), alerts.c.customer_id, alerts.c.kind, alerts.c.alert_id)
        )
        if customer_id is not None:
            query = query.where(alerts.c.customer_id == customer_id)
        if is_unread_only:
            query = query.where(alert_reads.c.alert_id.is_(None))
        with self.reading() as connection:
            rows = connection.execute(query).mappings().all()
        return [
            RaisedAlert(
                Alert.from_row(cast(Mapping[str, Any], row)),
                row["build_id"],
                row["raised_at"],
                row["read_at"],
                row["read_by"],
            )
            for row in rows
        ]

    def unread(self, customer_id: str | None = None) -> list[RaisedAlert]:
        """Alerts that nobody has marked as read."""
        return self.alerts(customer_id, is_unread_only=True)

    def mark_read(
        self, alert_ids: Iterable[str] | None, read_at: datetime, read_by: str | None = None
    ) -> list[str]:
        """Mark alerts as read; the first reading is the one that is kept.

        :param alert_ids: None: all of them.
        :returns: the ids that were unread until now.
        :raises ConfigurationError: an id that the ledger does not have; nothing is marked.
        """
        with self.writing() as connection:
            if alert_ids is None:
                wanted = set(connection.scalars(sa.select(alerts.c.alert_id)))
            else:
                wanted = set(alert_ids)
                if strangers := sorted(wanted - _known_alerts(connection, wanted)):
                    raise ConfigurationError(
                        f"no alert has the id {', '.join(strangers)}",
                        where=str(self),
                        remedy="`meterhouse alerts` lists them",
                    )
            read: set[str] = set(connection.scalars(sa.select(alert_reads.c.alert_id)))
            new = sorted(wanted - read)
            if new:
                reading: dict[str, object] = {"read_at": read_at, "read_by": read_by}
                connection.execute(
                    sa.insert(alert_reads), [{"alert_id": alert_id} | reading for alert_id in new]
                )
        if new:
            self.export()
        return new

    # Decisions

    def dismiss(self, recommendation_id: str, decided_at: datetime, note: str | None = None) -> bool:
        """Say no to a recommendation, so that it does not come back; see ``decide``."""
        return self.decide(recommendation_id, "dismissed", decided_at, note)

    def decide(
        self, recommendation_id: str, decision: DecisionKind, decided_at: datetime, note: str | None = None
    ) -> bool:
        """Add a decision. Whether there is such a recommendation is for the caller to know.

        :returns: False if that is what was decided last: nothing is added.
        """
        last = (
            sa.select(decisions.c.decision)
            .where(decisions.c.recommendation_id == recommendation_id)
            .order_by(decisions.c.decision_number.desc())
            .limit(1)
        )
        with self.writing() as connection:
            is_new = connection.scalar(last) != decision
            if is_new:
                connection.execute(
                    sa.insert(decisions).values(
                        recommendation_id=recommendation_id,
                        decision=decision,
                        note=note,
                        decided_at=decided_at,
                    )
                )
        if is_new:
            self.export()
        return is_new

    def decisions(self) -> list[Decision]:
        """Every decision ever taken, the first one first."""
        with self.reading() as connection:
            rows = connection.execute(sa.select(decisions).order_by(decisions.c.decision_number)).mappings()
            return [Decision(**row) for row in rows]

    # Outbox

    def add_messages(
        self, messages: Sequence[Message], destinations: Collection[str], created_at: datetime
    ) -> int:
        """Put messages into the outbox, one row per message and destination; how many were not there yet."""
        with self.writing() as connection:
            return add_messages(connection, messages, destinations, created_at)

    def notifications(self, state: DeliveryState | None = None) -> list[Notification]:
        """The outbox, oldest first."""
        query = sa.select(notifications).order_by(notifications.c.created_at, notifications.c.notification_id)
        if state is not None:
            query = query.where(notifications.c.state == state)
        with self.reading() as connection:
            return [_notification(row) for row in connection.execute(query).mappings()]

    def count_notifications(self) -> dict[DeliveryState, int]:
        """How many messages are in each state; states without any are left out."""
        state = notifications.c.state
        query = sa.select(state, sa.func.count()).group_by(state).order_by(state)
        with self.reading() as connection:
            return {cast(DeliveryState, row[0]): int(row[1]) for row in connection.execute(query).all()}

    def claim_notification(
        self, destinations: Collection[str], now: datetime, lease_until: datetime, max_attempts: int
    ) -> Notification | None:
        """Take the next message that is due, and count the attempt before it is made.

        Nobody else gets it before ``lease_until``; a sender that dies leaves it to be sent again after that.
        One whose attempts are used up becomes ``failed``.

        :returns: as it was before; None if nothing is due.
        """
        due = (
            sa.select(notifications)
            .where(
                notifications.c.state == "pending",
                notifications.c.destination.in_(sorted(destinations)),
                sa.or_(notifications.c.next_attempt_at.is_(None), notifications.c.next_attempt_at <= now),
            )
            .order_by(
                notifications.c.attempt_count, notifications.c.created_at, notifications.c.notification_id
            )
            .limit(1)
        )
        with self.writing() as connection:
            while (row := connection.execute(due).mappings().first()) is not None:
                found = _notification(row)
                this = sa.update(notifications).where(
                    notifications.c.notification_id == found.notification_id
                )
                if found.attempt_count < max_attempts:
                    connection.execute(
                        this.values(attempt_count=found.attempt_count + 1, next_attempt_at=lease_until)
                    )
                    return replace(found, attempt_count=found.attempt_count + 1, next_attempt_at=lease_until)
                last_error = found.last_error or "the last attempt was interrupted"
                connection.execute(this.values(state="failed", last_error=last_error, next_attempt_at=None))
        return None

    def next_due(self, destinations: Collection[str]) -> datetime | None:
        """When the next waiting message of these destinations is due; None if none waits for its time."""
        query = sa.select(sa.func.min(notifications.c.next_attempt_at)).where(
            notifications.c.state == "pending", notifications.c.destination.in_(sorted(destinations))
        )
        with self.reading() as connection:
            return cast(datetime | None, connection.scalar(query))

    def record_sent(self, notification_id: str, sent_at: datetime) -> None:
        """The destination accepted it."""
        self._change_notification(
            notification_id, state="sent", sent_at=sent_at, last_error=None, next_attempt_at=None
        )

    def record_failure(self, notification_id: str, error: str, next_attempt_at: datetime | None) -> None:
        """The destination did not accept it.

        :param next_attempt_at: None: it is given up, and stays visible as ``failed``.
        """
        state = "failed" if next_attempt_at is None else "pending"
        self._change_notification(
            notification_id, state=state, last_error=error, next_attempt_at=next_attempt_at
        )

    def retry_failed(self) -> int:
        """Give the messages that were given up a new start; how many there were."""
        again = (
            sa.update(notifications)
            .where(notifications.c.state == "failed")
            .values(state="pending", attempt_count=0, next_attempt_at=None)
        )
        with self.writing() as connection:
            return connection.execute(again).rowcount

    # Lake

    def export(self) -> None:
        """Write the facts to the lake as Parquet. Each change does it.

        A run does it again before dbt reads: a process may have died between its change and its export, or
        another machine may have made the change.
        """
        try:
            export_tables(self._engine, self.home)
            export_books(self._engine, self.home)
            export_payments(self._engine, self.home)
        except SQLAlchemyError as error:
            raise describe_failure(self._address, error) from None

    def damaged_exports(self) -> list[Path]:
        """Exported files of issued documents that do not say what the ledger says."""
        try:
            return find_damaged_exports(self._engine, self.home)
        except SQLAlchemyError as error:
            raise describe_failure(self._address, error) from None

    def _change_notification(self, notification_id: str, **values: str | datetime | None) -> None:
        # What was sent stays sent, should a sender whose lease ran out report late.
        change = (
            sa.update(notifications)
            .where(notifications.c.notification_id == notification_id, notifications.c.state != "sent")
            .values(**values)
        )
        with self.writing() as connection:
            connection.execute(change)

    @contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """One transaction that writes, for modules with tables of their own; writers take turns.

        :raises LedgerError: the database refused, or is out of reach; nothing was written.
        """
        with self._transaction(writes=True) as connection:
            yield connection

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """One transaction that only reads.

        :raises LedgerError: the database is out of reach.
        """
        with self._transaction(writes=False) as connection:
            yield connection

    @contextmanager
    def _transaction(self, *, writes: bool) -> Iterator[sa.Connection]:
        try:
            with (
                self._engine.connect().execution_options(**{WRITES: writes}) as connection,
                connection.begin(),
            ):
                yield connection
        except SQLAlchemyError as error:
            raise describe_failure(self._address, error) from None


def _checked(alert: Alert) -> Alert:
    for name in ("threshold", "observed", "limit_value"):
        try:
            exact(getattr(alert, name))
        except ValueError as error:
            raise ValueError(f"alert {alert.alert_id}: {name}: {error}") from None
    return alert


def _known_alerts(connection: sa.Connection, alert_ids: Iterable[str]) -> set[str]:
    wanted = sorted(alert_ids)
    known = set[str]()
    for start in range(0, len(wanted), _CHUNK):
        chunk = wanted[start : start + _CHUNK]
        known.update(connection.scalars(sa.select(alerts.c.alert_id).where(alerts.c.alert_id.in_(chunk))))
    return known


def add_messages(
    connection: sa.Connection,
    messages: Sequence[Message],
    destinations: Collection[str],
    created_at: datetime,
) -> int:
    """Put messages into the outbox within a transaction that writes; how many rows were not there yet."""
    rows = {
        (notification_id := _notification_id(message.key, destination)): {
            "notification_id": notification_id,
            "alert_id": message.alert_id,
            "destination": destination,
            "kind": message.kind,
            "severity": message.severity,
            "title": message.title,
            "body": message.body,
            "state": "pending",
            "attempt_count": 0,
            "created_at": created_at,
        }
        for message in messages
        for destination in destinations
    }
    wanted = sorted(rows)
    for start in range(0, len(wanted), _CHUNK):
        column = notifications.c.notification_id
        chunk = wanted[start : start + _CHUNK]
        known: list[str] = list(connection.scalars(sa.select(column).where(column.in_(chunk))))
        for notification_id in known:
            del rows[notification_id]
    if rows:
        connection.execute(sa.insert(notifications), list(rows.values()))
    return len(rows)


def _notification_id(key: str, destination: str) -> str:
    return hashlib.sha256(f"{key}\n{destination}".encode()).hexdigest()[:32]


def _notification(row: Mapping[Any, Any]) -> Notification:
    return Notification(**cast(dict[str, Any], dict(row)))
