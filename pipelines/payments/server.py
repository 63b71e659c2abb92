"""The port that Stripe's events come in by: one thin route. What an event means does not belong here."""

import asyncio
import logging
from collections.abc import Callable, Sequence

from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from pipelines.errors import MeterhouseError
from pipelines.ledger import Ledger
from pipelines.notify import Destination, deliver_pending
from pipelines.payments.sender import Clock, utc_now
from pipelines.payments.webhooks import Outcome, SignatureError, receive

_log = logging.getLogger("meterhouse.payments")

LARGEST_EVENT = 1_000_000
"""Bytes; Stripe's events are a tenth of it at most."""
PATH = "/webhooks/stripe"


def webhook_app(
    ledger: Ledger,
    secret: str,
    destinations: Sequence[Destination] = (),
    clock: Clock = utc_now,
) -> Starlette:
    """An application with the one route. It answers 200 once an event is kept, 400 for what Stripe did not
    sign, 500 when the ledger does not take it: then Stripe sends it again.
    """
    told = list(destinations)

    def take(payload: bytes, signature: str) -> Outcome:
        return receive(ledger, payload, signature, secret, destinations=told, now=clock())

    async def stripe_event(request: Request) -> Response:
        payload = await _body(request)
        if payload is None:
            return JSONResponse({"error": "too large"}, status_code=413)
        signature = request.headers.get("Stripe-Signature", "")
        try:
            outcome = await asyncio.to_thread(take, payload, signature)
        except SignatureError as error:
            _log.warning("refused: %s", error)
            return JSONResponse({"error": "not an event signed by Stripe"}, status_code=400)
        except MeterhouseError as error:
            _log.error("an event could not be kept, Stripe will send it again: %s", error)
            return JSONResponse({"error": "not kept; send it again"}, status_code=500)
        # People are told after the answer: Stripe waits a few seconds only.
        news = BackgroundTask(deliver_pending, ledger, told) if outcome.alerts and told else None
        return JSONResponse({"event": outcome.event_id, "outcome": outcome.said}, background=news)

    return Starlette(routes=[Route(PATH, stripe_event, methods=["POST"])])


def serve(app: Starlette, host: str, port: int, on_start: Callable[[], None] = lambda: None) -> None:
    """Listen until the process is told to end."""
    import uvicorn

    on_start()
    uvicorn.run(app, host=host, port=port, log_level="warning", access_log=False)


async def _body(request: Request) -> bytes | None:
    """What was sent; None as soon as it is more than an event can be."""
    parts = bytearray()
    async for part in request.stream():
        parts += part
        if len(parts) > LARGEST_EVENT:
            return None
    return bytes(parts)
