"""Where news that somebody must act on goes: failed runs, stale sources, events that cannot be handled.

Deciding what is news does not belong here, nor does sending it (``pipelines.notify``).
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from pipelines.home import Home

Kind = Literal["run_failed", "source_stale", "event_failed"]

_log = logging.getLogger("meterhouse")


@dataclass(frozen=True)
class Report:
    """One piece of news: what happened, where, and what to do about it."""

    kind: Kind
    what: str
    where: str
    remedy: str


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
        from pipelines.notify import report_sender

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
