"""Sends what waits in the outbox: at least once (D-ledger-at-least-once), in bounded time.

Which messages there are and how a destination is reached does not belong here.
"""

import logging
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import SystemRandom

from pipelines.ledger import Ledger, Notification
from pipelines.notify.destinations import Destination, NotDeliveredError
from pipelines.times import utc_now

_log = logging.getLogger("meterhouse.notify")
_random = SystemRandom()


@dataclass(frozen=True)
class RetryPolicy:
    """How patient sending is. With the defaults a message is given up after about two days.

    :param budget_seconds: how long one delivery may take in all.
    :param attempt_seconds: how long one attempt may take.
    :param first_delay_seconds: before the second attempt; each further delay is ``factor`` times as long,
        up to ``longest_delay_seconds``; each is cut at random by up to half: senders must not march in step.
    :param most_failures: failures in a row after which a destination is left alone until the next run.
    """

    max_attempts: int = 16
    budget_seconds: float = 15
    attempt_seconds: float = 10
    first_delay_seconds: float = 1
    factor: float = 4
    longest_delay_seconds: float = 6 * 3600
    most_failures: int = 3

    def delay(self, attempt_count: int) -> timedelta:
        """How long to wait after so many attempts."""
        longest = min(
            self.first_delay_seconds * self.factor ** (attempt_count - 1), self.longest_delay_seconds
        )
        return timedelta(seconds=longest * _random.uniform(0.5, 1))


@dataclass(frozen=True)
class DeliveryReport:
    """What became of the outbox.

    :param sent: messages accepted now.
    :param waiting: messages that will be tried again.
    :param failed: messages given up, now or before; they stay until somebody looks.
    """

    sent: int = 0
    waiting: int = 0
    failed: int = 0


DEFAULT_POLICY = RetryPolicy()


def deliver_pending(
    ledger: Ledger,
    destinations: Sequence[Destination],
    policy: RetryPolicy = DEFAULT_POLICY,
    clock: Callable[[], datetime] = utc_now,
) -> DeliveryReport:
    """Send what is due to the destinations in use. Never raises: news must not stop the work.

    A message that fails is tried again in this run if its turn comes within the budget, else in the next one.
    Messages to destinations that are not in use wait.

    :param clock: the machine's clock, also in a run as of another instant: sending happens when it happens.
    """
    try:
        sent = _deliver(ledger, {one.name: one for one in destinations}, policy, clock)
        states = ledger.count_notifications()
    except Exception as error:
        _log.error("notifications could not be delivered and wait for the next run: %s", error)
        return DeliveryReport()
    report = DeliveryReport(sent, states.get("pending", 0), states.get("failed", 0))
    if report.waiting or report.failed:
        _log.warning(
            "notifications: %d sent, %d wait for another attempt, %d given up",
            report.sent,
            report.waiting,
            report.failed,
        )
    return report


def _deliver(
    ledger: Ledger, in_use: dict[str, Destination], policy: RetryPolicy, clock: Callable[[], datetime]
) -> int:
    end = time.monotonic() + policy.budget_seconds
    failures_in_a_row: Counter[str] = Counter()
    sent = 0
    while (left := end - time.monotonic()) > 0:
        open_names = [name for name in in_use if failures_in_a_row[name] < policy.most_failures]
        if not open_names:
            break
        now = clock()
        lease_until = now + timedelta(seconds=policy.attempt_seconds + 60)
        notification = ledger.claim_notification(open_names, now, lease_until, policy.max_attempts)
        if notification is None:
            due = ledger.next_due(open_names)
            wait = (due - clock()).total_seconds() if due else None
            if wait is None or wait >= left:
                break
            time.sleep(max(wait, 0.01))
            continue
        send_seconds = min(policy.attempt_seconds, left)
        if _attempt(ledger, in_use, notification, policy, send_seconds, clock=clock):
            sent += 1
            failures_in_a_row[notification.destination] = 0
        else:
            failures_in_a_row[notification.destination] += 1
    return sent


def _attempt(
    ledger: Ledger,
    in_use: dict[str, Destination],
    notification: Notification,
    policy: RetryPolicy,
    seconds: float,
    *,
    clock: Callable[[], datetime],
) -> bool:
    destination = in_use[notification.destination]
    try:
        destination.send(notification.title, notification.body, notification.severity, seconds)
    except NotDeliveredError as error:
        is_last = notification.attempt_count >= policy.max_attempts
        again = None if is_last else clock() + policy.delay(notification.attempt_count)
        ledger.record_failure(notification.notification_id, str(error), again)
        _log.warning(
            "%s: attempt %d of %d to send %r failed: %s",
            destination.name,
            notification.attempt_count,
            policy.max_attempts,
            notification.title,
            error,
        )
        return False
    ledger.record_sent(notification.notification_id, clock())
    return True
