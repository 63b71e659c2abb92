"""Dagster's web server behind a guard: it has no login, so nothing but its own pages may make it do anything.

A web page from elsewhere can have a visitor's browser send requests to loopback (D-ui-own-pages).
Starting and ending the server belongs to ``pipelines.orchestration.interface``.
"""

import argparse
from urllib.parse import urlsplit

import uvicorn
from dagster import DagsterInstance
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import WorkspaceFileTarget
from dagster_webserver.app import create_app_from_workspace_process_context
from dagster_webserver.version import __version__
from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocketClose

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
_SECONDS_OF_GRACE = 1
_POLICY_VIOLATION = 1008


class Guard:
    """Refuses requests that a page from elsewhere could have made.

    Reads stay open: browsers do not show an answer to another site's page. What changes something must be
    JSON, which browsers send for no other site unasked, and comes by a name of this server, which another
    site's name that leads to loopback is not.

    :param names: hosts that requests may be for; None: any, since nobody knows what a server that is
        reachable from outside is called.
    """

    def __init__(self, app: ASGIApp, names: frozenset[str] | None) -> None:
        self._app, self._names = app, names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on what is allowed."""
        reason = refusal(scope, self._names) if scope["type"] in {"http", "websocket"} else None
        if reason is None:
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await PlainTextResponse(f"Refused: {reason}.\n", status_code=403)(scope, receive, send)
        else:
            await WebSocketClose(_POLICY_VIOLATION, reason)(scope, receive, send)


def refusal(scope: Scope, names: frozenset[str] | None) -> str | None:
    """Why a request is refused, in words; None: it is not."""
    headers = Headers(scope=scope)
    host = headers.get("host", "")
    if names is not None and _name(host) not in names:
        return f"{host!r} is no name of this server; a proxy has to send Host: 127.0.0.1"
    if scope["type"] == "websocket":
        origin = headers.get("origin")
        return "the page is from another site" if origin and urlsplit(origin).netloc != host else None
    if scope["method"] not in {"GET", "HEAD", "OPTIONS"}:
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        return None if kind == "application/json" else "send JSON, with Content-Type: application/json"
    # Dagster takes mutations by GET, too.
    asks = scope["path"].rstrip("/") == "/graphql" and "text/html" not in headers.get("accept", "")
    return "send queries by POST" if asks else None


def _name(host: str) -> str:
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def main() -> None:
    """Serve the interface on the instance of DAGSTER_HOME until a signal comes."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", required=True, type=int)
    parser.add_argument("--workspace", required=True)
    told = parser.parse_args()
    names = LOOPBACK if told.host in LOOPBACK else None
    with (
        DagsterInstance.get() as instance,
        WorkspaceProcessContext(
            instance, WorkspaceFileTarget([told.workspace]), version=__version__
        ) as workspace,
    ):
        app = create_app_from_workspace_process_context(workspace, live_data_poll_rate=2000)
        uvicorn.run(
            Guard(app, names),
            host=told.host,
            port=told.port,
            log_level="warning",
            timeout_graceful_shutdown=_SECONDS_OF_GRACE,
        )


if __name__ == "__main__":
    main()
