"""The words of a message: a title and a body that can be understood without opening anything.

Figures come as they were computed; where a message goes does not belong here.
"""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from pipelines.figures import plain_text
from pipelines.ledger import Alert, Message

Kind = Literal["run_failed", "source_stale", "event_failed"]


@dataclass(frozen=True)
class Report:
    """One piece of news: what happened, where, and what to do about it."""

    kind: Kind
    what: str
    where: str
    remedy: str


MOST_SINGLE_MESSAGES = 20
"""As many new alerts are told one by one; more of them at once become one summary that shows this many."""

_ORDER = ("critical", "error", "warning", "info")
_REPORT_TITLES = {"run_failed": "A run failed", "source_stale": "A source is silent"}


def render_alerts(alerts: Sequence[Alert]) -> list[Message]:
    """One message per alert; one summary for all of them if they are many."""
    if len(alerts) <= MOST_SINGLE_MESSAGES:
        return [_alert(alert) for alert in alerts]
    return [_summary(alerts)]


def render_report(report: Report, day: str) -> Message:
    """A report's message. The same news of the same day is the same message.

    :param day: the day on which it is told, in any form that names it.
    """
    title = _REPORT_TITLES.get(report.kind, report.kind.replace("_", " "))
    lines = [report.what]
    if report.where:
        lines.append(f"Where: {report.where}")
    if report.remedy:
        lines.append(f"What to do: {report.remedy}")
    severity = "critical" if report.kind == "run_failed" else "warning"
    key = _hash("report", report.kind, report.what, report.where, day)
    return Message(key, report.kind, severity, f"Meterhouse: {title}", "\n".join(lines))


def _alert(alert: Alert) -> Message:
    title = f"{alert.severity.capitalize()}: {_text(alert)}, customer {alert.customer_id}"
    lines = [alert.message]
    if alert.observed is not None:
        limit = f" of {plain_text(alert.limit_value)}" if alert.limit_value is not None else ""
        threshold = f" (threshold {plain_text(alert.threshold)})" if alert.threshold is not None else ""
        lines.append(f"Observed: {plain_text(alert.observed)}{limit}{threshold}")
    if alert.period_start is not None:
        lines.append(f"Period from: {alert.period_start.isoformat()}")
    lines += [f"Day: {alert.triggered_on.isoformat()}", f"Alert: {alert.alert_id}"]
    return Message(
        _hash("alert", alert.alert_id), alert.kind, alert.severity, title, "\n".join(lines), alert.alert_id
    )


def _summary(alerts: Sequence[Alert]) -> Message:
    ordered = sorted(alerts, key=lambda alert: (_rank(alert.severity), alert.customer_id, alert.alert_id))
    counts = Counter((_rank(alert.severity), alert.severity, alert.kind) for alert in ordered)
    lines = [
        f"{count} x {severity}: {kind.replace('_', ' ')}"
        for (_, severity, kind), count in sorted(counts.items())
    ]
    lines += ["", f"The first {MOST_SINGLE_MESSAGES}:"]
    lines += [
        f"- {alert.severity}, customer {alert.customer_id}, {alert.triggered_on.isoformat()}: {alert.message}"
        for alert in ordered[:MOST_SINGLE_MESSAGES]
    ]
    lines += ["", "All of them: meterhouse alerts"]
    key = _hash("summary", *sorted(alert.alert_id for alert in alerts))
    return Message(
        key, "alert_summary", ordered[0].severity, f"Meterhouse: {len(alerts)} new alerts", "\n".join(lines)
    )


def _text(alert: Alert) -> str:
    kind = alert.kind.replace("_", " ")
    return f"{kind} of {alert.meter_id}" if alert.meter_id else kind


def _rank(severity: str) -> int:
    return _ORDER.index(severity) if severity in _ORDER else len(_ORDER)


def _hash(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
