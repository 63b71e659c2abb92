"""Calls of Stripe's API: paced, tried again where that is safe; errors say what is known afterwards.

What a request says and what follows from its answer does not belong here.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from random import SystemRandom
from typing import TYPE_CHECKING, Any, Final

from pipelines.payments.answers import (
    Json,
    Listed,
    NoAccessError,
    Page,
    RefusedError,
    StripeCallError,
    UnknownOutcomeError,
    need,
)
from pipelines.payments.settings import StripeSettings, redact

if TYPE_CHECKING:
    from stripe import StripeError

_log = logging.getLogger("meterhouse.payments")
_random = SystemRandom()

API_VERSION = "2026-10-28.endive"
"""The version that the SDK of the lock speaks; pinned, so that an account's default changes nothing here."""

PAGE = 100
_RETRIED = {409, 429, 500, 502, 503, 504}
_TOTAL_PER_SECOND: Final = {"live": 80, "test": 20}
_CATCH_UP_SECONDS: Final = 0.2
"""How far missed turns may be made up for: 20 requests a second are then 25 in any one second at most."""


@dataclass(frozen=True)
class Pace:
    """How fast and how patiently Stripe is asked.

    :param requests_per_second: per endpoint; Stripe allows 25.
    :param total_per_second: of all endpoints together; Stripe allows 100, of test keys 25. None: by the key.
    :param tries: requests for one call, the first one included.
    :param first_delay_seconds: before the second try; each further delay is twice as long, up to
        ``longest_delay_seconds``, each cut at random by up to half.
    :param lease_seconds: how long an operation belongs to the sender that claimed it.
    :param key_seconds: how long an idempotency key is relied upon; Stripe forgets it after about 24 hours.
    :param workers: requests that may wait for an answer: the pace is kept while none takes longer than
        ``workers / requests_per_second`` seconds.
    :param workers_per_invoice: how many of them may be for items of one invoice.
    """

    requests_per_second: float = 20
    total_per_second: float | None = None
    tries: int = 5
    first_delay_seconds: float = 0.5
    longest_delay_seconds: float = 8
    connect_seconds: float = 3
    read_seconds: float = 20
    lease_seconds: float = 600
    key_seconds: float = 23 * 3600
    workers: int = 24
    workers_per_invoice: int = 12

    def __post_init__(self) -> None:
        longest = self.tries * (self.connect_seconds + self.read_seconds + self.longest_delay_seconds)
        # A call looks for what is there, sends, and may look again.
        if self.lease_seconds < 3 * longest:
            raise ValueError(f"a lease of {self.lease_seconds} s is shorter than three calls of {longest} s")

    def delay(self, failures: int) -> float:
        """Seconds to wait after so many failures."""
        longest = min(self.first_delay_seconds * 2.0 ** (failures - 1), self.longest_delay_seconds)
        return float(longest * _random.uniform(0.5, 1))


@dataclass(frozen=True)
class Answer:
    """What Stripe answered: the object as plain JSON, and the id of the request for asking about it."""

    body: Json
    request_id: str | None


class StripeApi:
    """The endpoints that are used; may be shared by threads."""

    def __init__(self, settings: StripeSettings, pace: Pace | None = None) -> None:
        import stripe
        from stripe import _util

        self.settings = settings
        self.pace = pace or Pace()
        self._stripe = stripe
        # Reports timings of earlier requests to Stripe; nothing here needs it.
        stripe.enable_telemetry = False
        logging.getLogger("stripe").addFilter(partial(_clean, settings.key))
        # With STRIPE_LOG the SDK prints to stderr itself, past every filter.
        _util.STRIPE_LOG = None
        http = stripe.RequestsClient(timeout=(self.pace.connect_seconds, self.pace.read_seconds))
        self._client = stripe.StripeClient(
            settings.key,
            stripe_version=API_VERSION,
            # Retrying is decided here: the SDK leaves 429 alone and repeats a 500 that its key has kept.
            max_network_retries=0,
            base_addresses={"api": settings.api_base},
            http_client=http,
        )
        self._turns = _Turns(self.pace.requests_per_second)
        self._all_turns = _Turns(self.pace.total_per_second or _TOTAL_PER_SECOND[settings.mode])
        self._one_by_one: dict[str, threading.Lock] = {}
        self._is_stopped = threading.Event()

    @property
    def is_live(self) -> bool:
        """Whether real customers are billed."""
        return self.settings.mode == "live"

    def stop(self) -> None:
        """Try nothing again any more: whoever waits for requests under way waits for their answers alone."""
        self._is_stopped.set()

    def account(self) -> str:
        """The account of the key and its mode: ``acct_1 (test)``. Both modes of an account share its id."""
        return f"{need(Listed, self._get('/v1/account')).id} ({self.settings.mode})"

    def post(self, path: str, body: Mapping[str, Any], key: str) -> Answer:
        """Do something, at most once per key.

        :raises RefusedError: it was not done and will not be.
        :raises NoAccessError: the key does not serve.
        :raises UnknownOutcomeError: it may have been done.
        """
        return self._call("post", path, body, key)

    def get(self, path: str) -> Json:
        """One object.

        :raises StripeCallError: as ``post``.
        """
        return self._get(path)

    def list(self, path: str, **filters: object) -> list[Json]:
        """Every object of a list, in Stripe's order, newest first.

        :raises StripeCallError: as ``post``.
        """
        found: list[Json] = []
        after: dict[str, str] = {}
        while True:
            page = need(Page, self._get(path, {**filters, "limit": PAGE, **after}))
            ids = [need(Listed, one).id for one in page.data]
            found += page.data
            if not page.has_more or not ids:
                return found
            after = {"starting_after": ids[-1]}

    def _get(self, path: str, filters: Mapping[str, Any] | None = None) -> Json:
        return self._call("get", path, filters or {}, None).body

    def _call(self, method: str, path: str, params: Mapping[str, Any], key: str | None) -> Answer:
        endpoint = f"{method} {'/'.join(path.split('/')[:3])}"
        subject = str(params.get("invoice", path))
        failures = 0
        while True:
            alone = self._one_by_one.get(subject)
            try:
                with alone or nullcontext():
                    self._turns.wait(endpoint)
                    self._all_turns.wait()
                    if alone is None and subject in self._one_by_one:
                        # Another request was refused meanwhile: this one would be in its way.
                        continue
                    return self._request(method, path, params, key)
            except UnknownOutcomeError as error:
                failures += 1
                is_last = failures >= self.pace.tries or self._is_stopped.is_set()
                if is_last or (error.is_replayed and error.has_ended):
                    raise
                if error.is_locked:
                    # Stripe changes this object elsewhere, or our own requests are in each other's way.
                    self._one_by_one.setdefault(subject, threading.Lock())
                _log.info("%s: %s; trying again", endpoint, error)
                self._is_stopped.wait(self.pace.delay(failures))

    def _request(self, method: str, path: str, params: Mapping[str, Any], key: str | None) -> Answer:
        options: dict[str, Any] = {"idempotency_key": key} if key else {}
        try:
            answer = self._client.raw_request(method, path, **params, **options)
        except self._stripe.StripeError as error:
            raise self._as_call_error(error) from None
        body = answer.data if isinstance(answer.data, dict) else None
        if body is None:
            raise UnknownOutcomeError("the answer is not an object", answer.code)
        return Answer(body, answer.request_id)

    def _as_call_error(self, error: "StripeError") -> StripeCallError:
        status, request_id = error.http_status, error.request_id
        said = redact(str(error.user_message or error), self.settings.key)
        what = f"{status}: {' '.join(said.split())}" if status else f"no answer: {type(error).__name__}"
        if status in {401, 403}:
            return NoAccessError(what, status, request_id)
        if status is None or status in _RETRIED or status >= 500:
            headers = {name.lower(): value for name, value in (error.headers or {}).items()}
            is_replayed = headers.get("idempotent-replayed") == "true"
            # The SDK leaves the code of a 429 here only.
            is_locked = getattr(error.error, "code", None) == "lock_timeout"
            return UnknownOutcomeError(what, status, request_id, is_replayed=is_replayed, is_locked=is_locked)
        return RefusedError(what, status, request_id)


def _clean(key: str, record: logging.LogRecord) -> bool:
    """Take what the SDK says in its log without the key; a filter that lets every record pass."""
    record.msg, record.args = redact(record.getMessage(), key), None
    return True


class _Turns:
    """Gives the requests of each endpoint their moments, evenly; those missed may follow a little closer."""

    def __init__(self, per_second: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._gap = 1 / per_second
        self._clock = clock
        self._next: dict[str, float] = {}
        self._lock = threading.Lock()

    def wait(self, endpoint: str = "") -> None:
        with self._lock:
            now = self._clock()
            moment = max(now - _CATCH_UP_SECONDS, self._next.get(endpoint, now))
            self._next[endpoint] = moment + self._gap
        if (pause := moment - self._clock()) > 0:
            time.sleep(pause)
