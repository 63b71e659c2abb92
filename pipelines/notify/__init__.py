"""Telling people: alerts and reports become messages, and messages reach every destination in use.

What is worth telling is decided elsewhere: alerts in the warehouse, reports in the steps that fail.
"""

from pipelines.notify.alerts import raise_alerts
from pipelines.notify.delivery import DeliveryReport, RetryPolicy, deliver_pending
from pipelines.notify.destinations import Destination, destinations_in_use
from pipelines.notify.messages import MOST_SINGLE_MESSAGES, render_alerts, render_report
from pipelines.notify.reports import enqueue_report, report_sender

__all__ = [
    "MOST_SINGLE_MESSAGES",
    "DeliveryReport",
    "Destination",
    "RetryPolicy",
    "deliver_pending",
    "destinations_in_use",
    "enqueue_report",
    "raise_alerts",
    "render_alerts",
    "render_report",
    "report_sender",
]
