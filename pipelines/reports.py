"""Where news that somebody must act on goes: failed runs, stale sources.

Deciding what is news does not belong here.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

Kind = Literal["run_failed", "source_stale"]

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


DESTINATIONS: list[Callable[[Report], None]] = [write_to_log]
"""Whoever wants to hear; append to be told."""


def report(
    kind: Kind,
    what: str,
    where: str,
    remedy: str,
    destinations: Sequence[Callable[[Report], None]] | None = None,
) -> None:
    """Tell every destination; one that fails keeps no other from hearing.

    Never raises: news about a failure must not become another.
    """
    news = Report(kind, what, where, remedy)
    for destination in DESTINATIONS if destinations is None else destinations:
        try:
            destination(news)
        except Exception:
            _log.exception("a report could not be delivered by %r", destination)
