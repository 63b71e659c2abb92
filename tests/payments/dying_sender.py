"""A sender for a process of its own, which kills itself where it is told to. Tests do not belong here."""

import json
import os
import signal
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pipelines.home import Home
from pipelines.ledger import open_ledger
from pipelines.payments.client import Pace, StripeApi
from pipelines.payments.outbox import Claims
from pipelines.payments.sender import Sender
from pipelines.payments.settings import load_stripe_settings


def send(home: str, customers: Mapping[str, str], pace: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    """Send everything; what it did goes to stdout.

    :param given: ``stage``: claim (before the request), post (after it), sent (after the receipt); ``path`` or
        ``kind``: of which operations; ``after``: how many of them first.
    """
    _prepare(given)
    with open_ledger(Home(Path(home))) as ledger:
        report = Sender(ledger, StripeApi(load_stripe_settings(), Pace(**pace)), customers).send()
        print(json.dumps([dict(report.counts), report.troubles]))


def _prepare(given: Mapping[str, Any]) -> None:
    left, lock = [given.get("after", 1)], threading.Lock()

    def dying(
        function: Callable[..., object], fits: Callable[[Any], bool], *, before: bool = False
    ) -> Callable[..., object]:
        def wrapped(self: object, first: Any, *arguments: object, **named: object) -> object:
            with lock:  # of several workers one has the last turn
                left[0] -= fits(first)
                is_last = fits(first) and left[0] == 0
            if is_last and before:
                os.kill(os.getpid(), signal.SIGKILL)
            result = function(self, first, *arguments, **named)
            if is_last:
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        return wrapped

    def is_path(asked: str) -> bool:
        return asked == given["path"]

    def is_kind(operation: Any) -> bool:
        return bool(operation.kind == given["kind"])

    stage = given.get("stage")
    if stage == "claim":
        StripeApi.post = dying(StripeApi.post, is_path, before=True)
    if stage == "post":
        StripeApi.post = dying(StripeApi.post, is_path)
    if stage == "sent":
        Claims.sent = dying(Claims.sent, is_kind)
