"""Where news that somebody must act on goes: failed runs, stale sources, events that cannot be handled.

Deciding what is news does not belong here; the words are those of ``messages``, sending is ``delivery``'s.
"""

import logging
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from urllib.parse import unquote, urlsplit

from pipelines.home import Home
from pipelines.ledger import URL_VARIABLE, Ledger, Message, open_ledger
from pipelines.notify.delivery import DEFAULT_POLICY, RetryPolicy, deliver_pending
from pipelines.notify.destinations import Destination, NotDeliveredError, destinations_in_use
from pipelines.notify.messages import Kind, Report, render_report
from pipelines.times import utc_now

_log = logging.getLogger("meterhouse")
_SECRETS = ("STRIPE_API_KEY", "STRIPE_WEBHOOK_SECRET", URL_VARIABLE)


def write_to_log(news: Report) -> None:
    """The destination that is always there."""
    _log.error("%s: %s (%s) -> %s", news.kind, news.what, news.where, news.remedy)


def sender_of(home: Home) -> Callable[[Report], None]:
    """The destinations of a home's alerts.yml; where that cannot be read, those that it has by default.

    A message that is not accepted is kept in the ledger and tried again by whatever sends next.
    """

    def send(news: Report) -> None:
        # Loaded by a failure only: most runs never need them.
        from pipelines.catalog import load_alert_settings

        report_sender(home, load_alert_settings(home).destinations)(news)

    return send


DESTINATIONS: list[Callable[[Report], None]] = [write_to_log]
"""Whoever wants to hear of every home; append to be told."""


def report(
    kind: Kind,
    what: str,
    where: str,
    remedy: str,
    destinations: Sequence[Callable[[Report], None]] | None = None,
    *,
    home: Home | None = None,
) -> None:
    """Tell every destination; one that fails keeps no other from hearing.

    Never raises: news about a failure must not become another. Takes no longer than one delivery may
    (``RetryPolicy``).

    :param destinations: instead of DESTINATIONS.
    :param home: whose own destinations are told as well.
    """
    news = Report(kind, what, where, remedy)
    told = [*(DESTINATIONS if destinations is None else destinations), *([sender_of(home)] if home else [])]
    for destination in told:
        try:
            destination(news)
        except Exception:
            _log.exception("a report could not be delivered by %r", destination)


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
