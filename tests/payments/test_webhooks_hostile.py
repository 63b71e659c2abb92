"""What the port for Stripe's events stands: signed nonsense, events nobody can handle, large and slow requests."""

import hashlib
import hmac
import json
import logging
import socket
import string
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import payment_fixtures
import pytest
import requests
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from payment_ledgers import issue_invoices, send, sender_of
from servers import Receiver
from test_webhooks import SECRET, event, listening, paid

from pipelines.api import stripe_events as server
from pipelines.ledger import Ledger, open_ledger
from pipelines.ledger.payments_schema import stripe_event_failures, stripe_events, stripe_invoices
from pipelines.payments import webhooks
from pipelines.payments.finalize import finalize
from pipelines.times import utc_now

empty_home, home, ledger, fake = (
    payment_fixtures.empty_home,
    payment_fixtures.home,
    payment_fixtures.ledger,
    payment_fixtures.fake,
)
OVER_HTTP = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@dataclass
class Port:
    """A server over a ledger of its own, with an open invoice of ours at Stripe."""

    url: str
    ledger: Ledger
    invoice: dict[str, Any]

    def post(self, payload: bytes) -> requests.Response:
        """Send it as Stripe would, signed with the secret whatever it is."""
        at = int(time.time())
        signature = hmac.new(SECRET.encode(), f"{at}.".encode() + payload, hashlib.sha256).hexdigest()
        headers = {"Stripe-Signature": f"t={at},v1={signature}"}
        return requests.post(self.url, data=payload, headers=headers, timeout=30)

    def kept(self) -> int:
        with self.ledger.reading() as connection:
            return connection.scalar(sa.select(sa.func.count()).select_from(stripe_events))

    def status(self) -> str:
        with self.ledger.reading() as connection:
            return connection.scalar(sa.select(stripe_invoices.c.status))


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Port]:
    from fake_stripe import FakeStripe

    from pipelines.home import Home

    stripe = FakeStripe()
    stripe.customers["cus_c-1"] = 0
    with ExitStack() as stack, open_ledger(Home(tmp_path_factory.mktemp("port")), "") as ledger:
        stack.callback(stripe.close)
        issue_invoices(ledger, {"c-1": [1000]})
        send(ledger, stripe)
        finalize(ledger, sender_of(ledger, stripe))
        [invoice] = stripe.invoices.values()
        yield Port(stack.enter_context(listening(ledger)), ledger, dict(invoice))


@contextmanager
def nothing_unforeseen(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """The server itself has nothing to say: whatever it answers, it meant to."""
    with caplog.at_level(logging.ERROR, logger="uvicorn.error"):
        yield
    assert not [record for record in caplog.records if record.name == "uvicorn.error"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inside: st.lists(inside, max_size=4) | st.dictionaries(st.text(max_size=10), inside, max_size=4),
    max_leaves=12,
)
STRANGE = JSON | st.sampled_from(
    [10**18, -1, 10**400, 1e308, float("nan"), float("-inf"), "\x00", "\ud800", "x" * 9000]
)


def written(value: object) -> bytes:
    """JSON as careless writers write it: with NaN, and halves of characters as escapes."""
    return json.dumps(value).encode()


SPOILED = [
    b"", b" ", b"null", b"[]", b'"text"', b"17", b"{", b"{}", b'{"id": "evt_1"}', b"\xff\xfe{}", b"\xef\xbb\xbf{}",
    b'{"id": "\xc3\x28"}', b"[" * 100_000 + b"]" * 100_000, b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
    b"1" * 100_000, b'{"id": 1e999}', b"\x00" * 100, b"{'id': 1}", b'{"id": NaN}',
]  # fmt: skip


@pytest.mark.parametrize("payload", SPOILED, ids=lambda payload: repr(payload[:12]))
def test_a_signed_body_that_is_no_event_is_refused(port, payload, caplog):
    before = port.kept()
    with nothing_unforeseen(caplog):
        answer = port.post(payload)
    assert answer.status_code == 400
    assert answer.json()["error"].startswith(
        "signed, but " if payload.isascii() or b"\xef" in payload else "not"
    )
    assert port.kept() == before


@OVER_HTTP
@given(payload=st.binary(max_size=300) | JSON.map(written))
def test_whatever_is_signed_gets_an_answer(port, payload):
    before = port.kept()
    assert port.post(payload).status_code == 400
    assert port.kept() == before


ENVELOPE = [
    ("id",),
    ("type",),
    ("created",),
    ("data",),
    ("data", "object"),
    ("data", "object", "id"),
    ("api_version",),
]


@OVER_HTTP
@given(path=st.sampled_from(ENVELOPE), value=STRANGE | st.just(...))
def test_an_event_with_a_strange_envelope_is_refused_or_kept_whole(port, path, value):
    """... stands for a field that is missing."""
    one = event("charge.refunded", {"id": "ch_1"}, number=time.monotonic_ns())
    inner: Any = one
    for name in path[:-1]:
        inner = inner[name]
    if value is ...:
        inner.pop(path[-1])
    else:
        inner[path[-1]] = value
    before = port.kept()
    answer = port.post(written(one))
    assert answer.status_code in {200, 400}, answer.text
    if path[-1] in {"id", "type", "created", "data", "object"} and (
        value is ... or not isinstance(value, str | int | dict)
    ):
        assert path == ("data", "object", "id") or answer.status_code == 400
    assert port.kept() - before in ({0, 1} if answer.status_code == 200 else {0})


FIELDS = ["id", "status", "customer", "total", "amount_due", "amount_paid", "starting_balance", "status_transitions",
          "hosted_invoice_url", "attempt_count", "cancel_at", "metadata", "pre_payment_credit_notes_amount"]  # fmt: skip


@OVER_HTTP
@given(
    kind=st.sampled_from(sorted(webhooks.HANDLED)),
    changes=st.dictionaries(st.sampled_from(FIELDS), STRANGE | st.just(...), min_size=1, max_size=3),
)
def test_an_event_whose_object_is_strange_is_kept_and_stops_nothing(port, kind, changes):
    found = port.invoice | {"cancel_at_period_end": True, "attempt_count": 1}
    for name, value in changes.items():
        if value is ...:
            found.pop(name, None)
        else:
            found[name] = value
    answer = port.post(written(event(kind, found, number=time.monotonic_ns())))
    if answer.status_code == 400:
        # Not JSON as the standard has it, or an id that is none.
        assert any(name == "id" or not is_plain(value) for name, value in changes.items())
        return
    assert answer.status_code == 200, answer.text
    assert answer.json()["outcome"] in {"applied", "older", "not_ours", "kept", "failed"}
    assert not [one for one in webhooks.handle_waiting(port.ledger, [], utc_now()) if one.said != "failed"]


def is_plain(value: object) -> bool:
    """Whether it is JSON as the standard has it."""
    try:
        json.dumps(value, allow_nan=False).encode()
        json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, TypeError):
        return value is ...
    return len(json.dumps(value)) < 4000 or isinstance(value, str)


def test_an_event_that_cannot_be_handled_is_kept_told_and_skipped(home, ledger, fake, monkeypatch):
    issue_invoices(ledger, {"c-1": [1000]})
    send(ledger, fake)
    finalize(ledger, sender_of(ledger, fake))
    [invoice] = fake.invoices.values()
    never = {"id": "sub_1", "object": "subscription", "customer": "cus_c-1", "cancel_at": 10**18}
    with Receiver() as people:
        monkeypatch.setenv("METERHOUSE_ALERT_URL", people.url)
        with listening(ledger) as url:
            port = Port(url, ledger, dict(invoice))
            bad = port.post(written(event("customer.subscription.updated", never, 1)))
            good = port.post(written(event("invoice.paid", paid(invoice), 2)))
            end = time.monotonic() + 20
            while not people.requests and time.monotonic() < end:
                time.sleep(0.02)
        assert (bad.status_code, bad.json()["outcome"]) == (200, "failed")
        assert (good.status_code, good.json()["outcome"]) == (200, "applied")
        assert b"evt_1" in people.requests[0].body
        assert b"meterhouse reconcile" in people.requests[0].body
    [failed] = webhooks.failed_events(ledger)
    assert (failed.event_id, failed.attempt_count) == ("evt_1", 1)
    assert "cancel_at" in failed.reason
    # The next start tries it again and goes on; once it can be handled, it is.
    assert [one.said for one in webhooks.handle_waiting(ledger, [], utc_now())] == ["failed"]
    assert "evt_1 (customer.subscription.updated), tried 2 times" in str(webhooks.failed_events(ledger)[0])
    monkeypatch.setattr(webhooks, "_alert", lambda *_: None)
    assert [one.said for one in webhooks.handle_waiting(ledger, [], utc_now())] == ["applied"]
    assert webhooks.failed_events(ledger) == []


def test_a_ledger_that_fails_while_an_event_is_handled_has_it_sent_again(ledger, monkeypatch):
    from pipelines.ledger import LedgerError

    def refuse(*_: object) -> str:
        raise LedgerError("busy")

    with listening(ledger) as url:
        port = Port(url, ledger, {})
        one = written(event("charge.refunded", {"id": "ch_1"}))
        with monkeypatch.context() as patch:
            patch.setattr(webhooks, "_apply", refuse)
            assert port.post(one).status_code == 500
        assert port.post(one).json()["outcome"] == "kept"
    with ledger.reading() as connection:
        assert connection.scalar(sa.select(stripe_event_failures.c.attempt_count)) == 1
    assert webhooks.failed_events(ledger) == []


# Large and slow


def connect(url: str) -> socket.socket:
    return socket.create_connection(("127.0.0.1", urlsplit(url).port), timeout=30)


HEAD = b"POST /webhooks/stripe HTTP/1.1\r\nHost: x\r\n"


def answered(connection: socket.socket) -> bytes:
    """All that comes until the server closes."""
    parts = []
    try:
        while part := connection.recv(65536):
            parts.append(part)
    except ConnectionResetError:
        pass
    return b"".join(parts)


@pytest.mark.parametrize("size", [server.LARGEST_EVENT, server.LARGEST_EVENT + 1])
@pytest.mark.parametrize("is_announced", [True, False])
def test_a_body_is_bounded(port, size, is_announced):
    """At the bound it is read (and is no event), one byte past it is not."""
    with connect(port.url) as connection:
        body = b"x" * size
        if is_announced:
            connection.sendall(HEAD + f"Content-Length: {size}\r\n\r\n".encode() + body)
        else:
            connection.sendall(
                HEAD
                + b"Transfer-Encoding: chunked\r\n\r\n"
                + f"{size:x}\r\n".encode()
                + body
                + b"\r\n0\r\n\r\n"
            )
        assert connection.recv(12) == (b"HTTP/1.1 400" if size == server.LARGEST_EVENT else b"HTTP/1.1 413")


def test_a_body_without_an_end_is_cut_off(port):
    with connect(port.url) as connection:
        connection.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
        sent = 0
        try:
            while sent < 100 * server.LARGEST_EVENT:
                connection.sendall(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")
                sent += 0x10000
        except OSError:
            pass  # Reset, or a broken pipe.
    assert sent < 100 * server.LARGEST_EVENT


SLOW = {
    "says nothing": [],
    "head that does not end": [b"POST /webhooks/stripe HTTP/1.1\r\n", *[b"X-A: b\r\n"] * 1000],
    "body that does not come": [HEAD + b"Content-Length: 10\r\n\r\n"],
    "body in drops": [HEAD + b"Content-Length: 1000\r\n\r\n", *[b"x"] * 1000],
    "chunks in drops": [HEAD + b"Transfer-Encoding: chunked\r\n\r\n", *[b"1\r\nx\r\n"] * 1000],
    "elsewhere in drops": [b"POST /else HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n", *[b"x"] * 1000],
    "idle after a request": [HEAD + b"Content-Length: 2\r\n\r\n{}"],
}


def test_slow_requests_end_after_ten_seconds(port):
    """All kinds at once, over real sockets; each sends its next piece ten times a second."""
    assert server.REQUEST_SECONDS == 10
    ended: dict[str, tuple[float, bytes]] = {}

    def dawdle(name: str, pieces: list[bytes]) -> None:
        begin = time.monotonic()
        with connect(port.url) as connection:
            stop = threading.Event()

            def write() -> None:
                try:
                    for piece in pieces:
                        connection.sendall(piece)
                        if stop.wait(0.1):
                            return
                except OSError:
                    pass

            writer = threading.Thread(target=write)
            writer.start()
            said = answered(connection)
            ended[name] = (time.monotonic() - begin, said)
            stop.set()
            writer.join()

    threads = [threading.Thread(target=dawdle, args=item) for item in SLOW.items()]
    for thread in threads:
        thread.start()
    time.sleep(1)
    assert port.post(b"{}").status_code == 400
    for thread in threads:
        thread.join(40)
    for name, (seconds, said) in ended.items():
        assert 9 < seconds < 18, (name, seconds, said)
    assert set(ended) == set(SLOW)
    for name in ("body that does not come", "body in drops", "chunks in drops"):
        assert ended[name][1].startswith(b"HTTP/1.1 408"), ended[name]


def test_many_slow_connections_keep_no_good_one_out(port):
    """Twice as many as may wait, all in the middle of a request."""
    with ExitStack() as stack:
        for number in range(2 * server.MOST_WAITING):
            one = stack.enter_context(connect(port.url))
            one.sendall(HEAD[:-5] if number % 2 else HEAD + b"Content-Length: 100\r\n\r\n{")
        begin = time.monotonic()
        number = time.monotonic_ns()
        answer = port.post(written(event("charge.refunded", {"id": "ch_1"}, number)))
        assert (answer.status_code, answer.json()["outcome"]) == (200, "kept")
        assert time.monotonic() - begin < 5


def test_letters_of_ids_that_stripe_uses_are_taken(port):
    number = string.ascii_letters + string.digits
    one = event("invoice.paid", {"id": "in_1MtHbELkdIwHu7ixl4OzzPMv"}, number)
    assert port.post(written(one)).json()["outcome"] == "not_ours"
