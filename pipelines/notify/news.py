"""The ways in: new alerts, and reports of failed runs and silent sources.

The words and the sending do not belong here.
"""

import logging
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from urllib.parse import unquote, urlsplit

from pipelines.home import Home
from pipelines.ledger import URL_VARIABLE, Alert, Ledger, Message, open_ledger
from pipelines.notify.delivery import DEFAULT_POLICY, RetryPolicy, deliver_pending
from pipelines.notify.destinations import Destination, NotDeliveredError, destinations_in_use
from pipelines.notify.messages import render_alerts, render_report
from pipelines.notify.reports import Report
from pipelines.times import utc_now

_log = logging.getLogger("meterhouse.notify")
_LEVELS = {"info": logging.INFO, "error": logging.ERROR, "critical": logging.ERROR}
_SECRETS = ("STRIPE_API_KEY", "STRIPE_WEBHOOK_SECRET", URL_VARIABLE)


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


def enqueue_report(
    ledger: Ledger,
    report: Report,
    destinations: Sequence[Destination],
    now: datetime,
    environment: Mapping[str, str] = os.environ,
) -> int:
    """Put a report into the outbox of every destination; the same news of one day once.

    What the environment holds as a secret is taken out of its text first.

    :returns: how many rows of the outbox are new.
    """
    message = _message(report, destinations, now, environment)
    return ledger.add_messages([message], [destination.name for destination in destinations], now)


def report_sender(
    home: Home,
    entries: Iterable[str],
    environment: Mapping[str, str] = os.environ,
    policy: RetryPolicy = DEFAULT_POLICY,
    clock: Callable[[], datetime] = utc_now,
) -> Callable[[Report], None]:
    """A destination for reports: takes one into the outbox and sends what waits there.

    When the ledger itself is out of order, each destination is tried once without it. Opens the ledger only
    when there is a report and a destination; the log is a destination of its own.

    :param entries: the destinations of alerts.yml.
    """
    names = tuple(entries)

    def send(report: Report) -> None:
        destinations = destinations_in_use(names, environment)
        if not destinations:
            return
        try:
            with open_ledger(home, environment=environment) as ledger:
                enqueue_report(ledger, report, destinations, clock(), environment)
                deliver_pending(ledger, destinations, policy, clock)
        except Exception as error:
            _log.error("the ledger could not take a report, it is sent without: %s", error)
            _send_directly(_message(report, destinations, clock(), environment), destinations, policy)

    return send


def _send_directly(message: Message, destinations: Sequence[Destination], policy: RetryPolicy) -> None:
    for destination in destinations:
        try:
            destination.send(message.title, message.body, message.severity, policy.attempt_seconds)
        except NotDeliveredError as error:
            _log.error("%s: %r was not sent: %s", destination.name, message.title, error)


def _message(
    report: Report, destinations: Sequence[Destination], now: datetime, environment: Mapping[str, str]
) -> Message:
    secrets = {destination.address for destination in destinations}
    for name in _SECRETS:
        secrets |= _forms(environment.get(name, ""))
    clean = replace(
        report,
        what=_without(report.what, secrets),
        where=_without(report.where, secrets),
        remedy=_without(report.remedy, secrets),
    )
    return render_report(clean, now.date().isoformat())


def _forms(secret: str) -> set[str]:
    """A secret, and the password in it if it is a URL."""
    try:
        password = urlsplit(secret).password or ""
    except ValueError:
        password = ""
    return {form for form in (secret, password, unquote(password)) if form}


def _without(text: str, secrets: Iterable[str]) -> str:
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, "***")
    return text
