"""Where messages go: names from alerts.yml, addresses from the environment alone. An address is a secret.

When and how often something is sent does not belong here.
"""

import logging
import os
import re
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from apprise import NotifyBase

_log = logging.getLogger("meterhouse.notify")
_said: set[str] = set()

# Threads with this name send; whatever libraries log in them may hold an address and is kept from every log.
_THREAD_NAME = "meterhouse-notify"
_TALKATIVE = {"apprise", "urllib3", "requests", "requests_oauthlib", "oauthlib", "charset_normalizer"}


class NotDeliveredError(Exception):
    """Why a destination did not take a message; its text never holds the address."""


@dataclass(frozen=True)
class Destination:
    """A destination in use. Its name may be shown and stored, its address never."""

    name: str
    address: str = field(repr=False)

    def send(self, title: str, body: str, severity: str, timeout_seconds: float) -> None:
        """Hand a message over and wait for the answer, no longer than told.

        :param severity: info, warning, error or critical; anything else counts as a warning.
        :raises NotDeliveredError: it was not accepted, as far as is known: it may have arrived nevertheless.
        """
        attempt = _Attempt(self, title, body, severity)
        # Not waited for when the process ends: a receiver that answers byte by byte must not keep it alive.
        thread = threading.Thread(target=attempt.run, name=_THREAD_NAME, daemon=True)
        thread.start()
        thread.join(timeout_seconds)
        if thread.is_alive():
            raise NotDeliveredError(f"no answer within {timeout_seconds:.0f} s")
        if attempt.error is not None:
            raise NotDeliveredError(attempt.error)

    @cached_property
    def _service(self) -> "NotifyBase | None":
        # Importing Apprise takes a while, and loading its services more.
        import apprise

        asset = apprise.AppriseAsset(
            app_id="Meterhouse",
            app_desc="Meterhouse billing",
            app_url="",
            # The thread of this module watches the time; Apprise's own threads would outlive it.
            async_mode=False,
            service_timeout=0,
            storage_mode="memory",
            # A redirected POST arrives as a GET without the message.
            http_redirects=False,
        )
        scheme = self.address.partition("://")[0].lower()
        service: NotifyBase | None = None
        if scheme != "http":
            # Apprise also knows the https addresses that Slack, Discord and others give out.
            service = apprise.Apprise.instantiate(self.address, asset=asset)
        if service is None and scheme in {"http", "https"}:
            service = _webhook(self.address, asset)
        return service


def destinations_in_use(
    entries: Iterable[str], environment: Mapping[str, str] = os.environ
) -> list[Destination]:
    """The destinations of alerts.yml (``env:NAME``) whose variable is set; each once, in their order.

    A variable that is not set means that the destination is not in use, which is said once.
    """
    found: dict[str, Destination] = {}
    for entry in entries:
        name = entry.removeprefix("env:")
        if address := environment.get(name, "").strip():
            found.setdefault(name, Destination(name, address))
        elif name not in _said:
            _said.add(name)
            _log.info("%s is not set: nothing is sent to this destination", name)
    return list(found.values())


class _Attempt:
    def __init__(self, destination: Destination, title: str, body: str, severity: str) -> None:
        self.destination, self.title, self.body, self.severity = destination, title, body, severity
        self.error: str | None = None

    def run(self) -> None:
        try:
            self.error = self._send()
        except Exception as error:
            # Only its type: the text of a foreign error may hold the address.
            self.error = f"the sender failed with {type(error).__name__}"

    def _send(self) -> str | None:
        heard = _Listener.start()
        service = self.destination._service
        if service is None:
            return f"{self.destination.name} does not hold an address that can be used"
        import apprise

        # Loading a service may have brought new loggers.
        heard = _Listener.start()
        types = {
            "info": apprise.NotifyType.INFO,
            "error": apprise.NotifyType.FAILURE,
            "critical": apprise.NotifyType.FAILURE,
        }
        sender = apprise.Apprise([service], asset=service.asset)
        was_sent = sender.notify(
            body=self.body,
            title=self.title,
            notify_type=types.get(self.severity, apprise.NotifyType.WARNING),
            body_format=apprise.NotifyFormat.TEXT,
        )
        return None if was_sent else _reason(heard)


class _Listener(logging.Filter):
    """Keeps the records of sending threads from every log, and remembers what the current one said."""

    _said = threading.local()

    @classmethod
    def start(cls) -> list[str]:
        cls._said.lines = lines = list[str]()
        for name in list(logging.root.manager.loggerDict):
            logger = logging.getLogger(name)
            if name.partition(".")[0] in _TALKATIVE and _LISTENER not in logger.filters:
                logger.addFilter(_LISTENER)
        return lines

    def filter(self, record: logging.LogRecord) -> bool:
        if threading.current_thread().name != _THREAD_NAME:
            return True
        lines: list[str] | None = getattr(self._said, "lines", None)
        if lines is not None:
            lines.append(record.getMessage())
        return False


_LISTENER = _Listener()


def _reason(heard: Iterable[str]) -> str:
    """What is safe to say of what Apprise said: nothing but a status."""
    said = "\n".join(heard)
    if status := re.search(r"\berror=(\d{3})\b", said):
        return f"it answered with HTTP status {status[1]}"
    if "onnection error" in said:
        return "it could not be reached, or did not answer in time"
    return "it did not accept the message"


def _webhook(address: str, asset: object) -> "NotifyBase | None":
    """A JSON POST to exactly this address: path and query as given."""
    from apprise.plugins.custom_json import NotifyJSON

    try:
        parts = urlsplit(address)
        host, port = parts.hostname, parts.port
    except ValueError:
        return None
    if not host:
        return None
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    service: NotifyBase = NotifyJSON(  # type: ignore[no-untyped-call]
        schema="jsons" if parts.scheme.lower() == "https" else "json",
        host=f"[{host}]" if ":" in host else host,
        port=port,
        user=parts.username,
        password=parts.password,
        fullpath=target,
        asset=asset,
    )
    return service
