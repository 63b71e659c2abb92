"""The port that Stripe's events come in by: one thin route, and how long and how much it listens to whom.

What an event means does not belong here.
"""

import asyncio
import logging
import socket
from collections.abc import Callable, Sequence
from typing import Final

import h11
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from uvicorn import Config, Server
from uvicorn.protocols.http.h11_impl import H11Protocol

from pipelines import interruption
from pipelines.catalog import load_alert_settings
from pipelines.errors import ConfigurationError, MeterhouseError
from pipelines.ledger import Ledger, open_ledger
from pipelines.notify import Destination, deliver_pending, destinations_in_use
from pipelines.notify.reports import report
from pipelines.payments.webhooks import (
    Outcome,
    SignatureError,
    failed_events,
    handle_waiting,
    receive,
    webhook_secret,
)
from pipelines.settings import Settings
from pipelines.times import Clock, utc_now

_log = logging.getLogger("meterhouse.payments")

LARGEST_EVENT: Final = 1_000_000
"""Bytes. Stripe's events are a tenth of it at most; who has not proven to be Stripe yet makes the process
hold no more than this for a connection (D-webhooks-port)."""
REQUEST_SECONDS: Final = 10
"""How long a request may take to arrive, and a connection may stay without one. Stripe sends at once."""
MOST_WAITING: Final = 200
"""Connections whose request has not arrived; one more, and the one that has waited longest gives way."""
PATH = "/webhooks/stripe"
_MOST_TOLD = 20
REMEDY: Final = (
    "`meterhouse reconcile` asks Stripe for the state of the invoices and lists such events; they are tried"
    " again whenever Stripe sends them and with every start of `meterhouse webhooks`"
)


def webhook_app(
    ledger: Ledger,
    secret: str,
    destinations: Sequence[Destination] = (),
    clock: Clock = utc_now,
) -> Starlette:
    """An application with the one route. It answers 200 once an event is kept, whether it could be handled
    or not, 400 for what Stripe did not sign and what is no event, 408 and 413 for what is too slow and too
    large, 500 when the ledger does not take it: then Stripe sends it again.
    """
    told = list(destinations)

    def take(payload: bytes, signature: str) -> Outcome:
        return receive(ledger, payload, signature, secret, destinations=told, now=clock())

    async def stripe_event(request: Request) -> Response:
        try:
            async with asyncio.timeout(REQUEST_SECONDS):
                payload = await _body(request)
        except TimeoutError:
            return _refusal(408, f"the request did not arrive within {REQUEST_SECONDS} seconds")
        except ClientDisconnect:
            return _refusal(400, "the request did not arrive whole")
        if payload is None:
            return _refusal(413, f"more than {LARGEST_EVENT} bytes")
        signature = request.headers.get("Stripe-Signature", "")
        try:
            outcome = await asyncio.to_thread(take, payload, signature)
        except SignatureError as error:
            _log.warning("refused: %s", error)
            return JSONResponse({"error": str(error)}, status_code=400)
        except MeterhouseError as error:
            _log.error("an event could not be kept, Stripe will send it again: %s", error)
            return JSONResponse({"error": "not kept; send it again"}, status_code=500)
        # People are told after the answer: Stripe waits a few seconds only.
        status = 500 if outcome.may_pass else 200
        answer = {"event": outcome.event_id, "outcome": outcome.said}
        return JSONResponse(answer, status, background=BackgroundTask(_tell, ledger, told, [outcome]))

    return Starlette(routes=[Route(PATH, stripe_event, methods=["POST"])])


def tell_of_failed(ledger: Ledger, outcomes: Sequence[Outcome]) -> None:
    """Tell people of events that could not be handled."""
    failed = [outcome for outcome in outcomes if outcome.said == "failed"]
    if failed:
        first = f"{failed[0].event_id}: {failed[0].reason}"
        what = "an event of Stripe" if len(failed) == 1 else f"{len(failed):,} events of Stripe"
        report("event_failed", f"{what} could not be handled: {first}", PATH, REMEDY, home=ledger.home)


def serve(app: Starlette, host: str, port: int, on_start: Callable[[], None] = lambda: None) -> None:
    """Listen until the process is told to end; requests that have arrived are answered first.

    :raises Interrupted: a signal told it.
    """
    on_start()
    interruption.has_done("listening has ended, and every event that was answered is kept")
    Server(server_config(app, host, port)).run()


def server_config(app: Starlette, host: str, port: int) -> Config:
    """How it listens: connections that say nothing, or not enough, are closed."""
    return Config(
        app,
        host=host,
        port=port,
        log_level="warning",
        access_log=False,
        http=_Patient,
        ws="none",
        lifespan="off",
        timeout_keep_alive=REQUEST_SECONDS,
        timeout_graceful_shutdown=REQUEST_SECONDS,
    )


class _Patient(H11Protocol):
    """HTTP over connections whose requests arrive within ``REQUEST_SECONDS``.

    The server's own settings bound the pause between two requests only.
    """

    _waiting: Final[dict["_Patient", None]] = {}
    """In the order in which they began to wait."""
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._wait()
        if len(self._waiting) > MOST_WAITING:
            next(iter(self._waiting)).give_up()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end_waiting()
        super().connection_lost(exc)

    def handle_events(self) -> None:
        super().handle_events()
        if self.conn.their_state in {h11.DONE, h11.MUST_CLOSE, h11.CLOSED, h11.ERROR}:
            self._end_waiting()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if not self.transport.is_closing() and self.conn.their_state is h11.IDLE:
            self._wait()

    def give_up(self) -> None:
        """Close the connection; a request whose head has arrived is answered by the route."""
        self._end_waiting()
        if self.cycle is None or self.cycle.response_complete:
            self.transport.abort()
        elif not self.transport.is_closing():
            self.loop.call_later(1, self.transport.abort)

    def _wait(self) -> None:
        self._end_waiting()
        self._waiting[self] = None
        self._deadline = self.loop.call_later(REQUEST_SECONDS, self.give_up)

    def _end_waiting(self) -> None:
        self._waiting.pop(self, None)
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


async def _body(request: Request) -> bytes | None:
    """What was sent; None as soon as it is more than an event can be, or says that it will be."""
    announced = request.headers.get("Content-Length", "0")
    if announced.isdigit() and int(announced) > LARGEST_EVENT:
        return None
    parts = bytearray()
    async for part in request.stream():
        parts += part
        if len(parts) > LARGEST_EVENT:
            return None
    return bytes(parts)


def _refusal(status: int, why: str) -> Response:
    """An answer before the end of the request; the rest of it is not waited for."""
    return JSONResponse({"error": why}, status, headers={"Connection": "close"})


def _tell(ledger: Ledger, told: list[Destination], outcomes: Sequence[Outcome]) -> None:
    tell_of_failed(ledger, outcomes)
    if told and any(outcome.alerts for outcome in outcomes):
        deliver_pending(ledger, told)


def listen(settings: Settings, host: str, port: int, say: Callable[[str], None]) -> None:
    """Take Stripe's events until the process is told to end; those left over from before first.

    :raises ConfigurationError: there is no signing secret, or the port is not free.
    """
    secret = webhook_secret()
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise ConfigurationError(
                f"cannot listen on {host}:{port}: {error.strerror}", where="--port", remedy="choose another"
            ) from None
    destinations = destinations_in_use(load_alert_settings(settings.home).destinations)
    with open_ledger(settings.home) as ledger:
        tell_of_failed(ledger, handle_waiting(ledger, destinations, utc_now()))
        for failed in failed_events(ledger)[:_MOST_TOLD]:
            say(f"Not handled: {failed}")
        app = webhook_app(ledger, secret, destinations)
        serve(app, host, port, lambda: say(f"Listening at http://{host}:{port}{PATH}; Ctrl+C ends it."))
