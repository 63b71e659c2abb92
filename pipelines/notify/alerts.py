"""From alerts that the warehouse finds to alerts that the ledger remembers and people hear of.

Which alerts there are is decided in SQL (``budget_alerts``); their words belong to ``messages``, sending them
to ``delivery``.
"""

import logging
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import duckdb

from pipelines.home import Home
from pipelines.lake.places import export_folder
from pipelines.ledger import Alert, Ledger, open_ledger
from pipelines.notify.delivery import DEFAULT_POLICY, DeliveryReport, RetryPolicy, deliver_pending
from pipelines.notify.destinations import Destination, destinations_in_use
from pipelines.notify.messages import render_alerts
from pipelines.times import utc_now
from pipelines.warehouse.measure import open_tables

_log = logging.getLogger("meterhouse.alerts")
_LEVELS = {"info": logging.INFO, "error": logging.ERROR, "critical": logging.ERROR}


@dataclass(frozen=True)
class Raised:
    """What became of a build's alerts.

    :param alerts: those that were raised now, for the first time.
    :param failure: why none could be raised; they are raised by the next run.
    """

    alerts: list[Alert] = field(default_factory=list)
    delivery: DeliveryReport = field(default_factory=DeliveryReport)
    failure: str | None = None


def raise_new_alerts(
    home: Home,
    entries: Iterable[str],
    raised_at: datetime,
    build_id: str | None = None,
    *,
    environment: Mapping[str, str] = os.environ,
    policy: RetryPolicy = DEFAULT_POLICY,
    clock: Callable[[], datetime] = utc_now,
) -> Raised:
    """Raise the alerts of the last good warehouse that were not raised before, and send what waits.

    Never raises an error: alerts must not stop the work.

    :param entries: the destinations of alerts.yml.
    :param clock: when sending happens; ``raised_at`` is the run's own clock.
    """
    try:
        with open_ledger(home, environment=environment) as ledger:
            destinations = destinations_in_use(entries, environment)
            new = raise_alerts(ledger, found_alerts(home), destinations, raised_at, build_id)
            return Raised(new, deliver_pending(ledger, destinations, policy, clock))
    except Exception as error:
        _log.error("alerts could not be raised and wait for the next run: %s", error)
        return Raised(failure=str(error))


def found_alerts(home: Home) -> list[Alert]:
    """The warehouse's alerts, in order of their ids, without those that the ledger's export already has.

    The ledger itself has the last word; leaving these aside keeps a run's work from growing with its past.
    """
    known = export_folder(home) / "alerts.parquet"
    with open_tables(home.warehouse_file) as tables:
        found = tables.table("budget_alerts")
        if known.exists():
            raised = tables.read_parquet(str(known)).set_alias("raised")
            found = found.set_alias("found").join(raised, "found.alert_id = raised.alert_id", how="anti")
        return _as_alerts(found.order("alert_id"))


def _as_alerts(rows: duckdb.DuckDBPyRelation) -> list[Alert]:
    return [Alert.from_row(dict(zip(rows.columns, row, strict=True))) for row in rows.fetchall()]


def raise_alerts(
    ledger: Ledger,
    found: Iterable[Alert],
    destinations: Sequence[Destination],
    raised_at: datetime,
    build_id: str | None = None,
) -> list[Alert]:
    """Add the alerts that are new, with their messages, in one transaction; say them in the log; return them.

    Nothing is sent yet: ``deliver_pending`` does, so that what dies in between is sent by the next run.
    """
    names = [destination.name for destination in destinations]
    new = ledger.raise_alerts(found, raised_at, build_id, render_alerts, names)
    for alert in new:
        _log.log(
            _LEVELS.get(alert.severity, logging.WARNING),
            "alert %s: %s, customer %s, %s: %s",
            alert.alert_id,
            alert.kind,
            alert.customer_id,
            alert.triggered_on.isoformat(),
            alert.message,
        )
    return new
