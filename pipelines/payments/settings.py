"""What the environment says about Stripe: key, mode, address. Secrets never leave these records as text.

What is done with them does not belong here.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlsplit

from pipelines.errors import ConfigurationError

KEY_VARIABLE = "STRIPE_API_KEY"
SECRET_VARIABLE = "STRIPE_WEBHOOK_SECRET"  # noqa: S105  # the name of a variable
BASE_VARIABLE = "METERHOUSE_STRIPE_API_BASE"
LIVE_VARIABLE = "METERHOUSE_STRIPE_LIVE"
DEFAULT_BASE = "https://api.stripe.com"

Mode = Literal["test", "live"]

_KEY = re.compile(r"(?:sk|rk)_(test|live)_[A-Za-z0-9_]+")
_SECRETS = re.compile(r"\b(?:(?:sk|rk)_(?:test|live)_|whsec_)[^\s\"',;)]+")


@dataclass(frozen=True)
class StripeSettings:
    """A key that may be used, and where. Its text never holds the key."""

    key: str = field(repr=False)
    mode: Mode
    api_base: str = DEFAULT_BASE


def load_stripe_settings(environment: Mapping[str, str] = os.environ) -> StripeSettings | None:
    """The settings for sending; None without a key.

    :raises ConfigurationError: not a secret key, a live key while live mode is off, live mode switched on
        for a test key, or an address that a key must not be sent to. No request was made.
    """
    key = environment.get(KEY_VARIABLE, "").strip()
    if not key:
        return None
    match = _KEY.fullmatch(key)
    if match is None:
        raise ConfigurationError(
            "the value is not a secret or restricted key of Stripe",
            where=KEY_VARIABLE,
            remedy="copy the key that begins with sk_test_, rk_test_, sk_live_ or rk_live_",
        )
    mode: Mode = "live" if match[1] == "live" else "test"
    switch = environment.get(LIVE_VARIABLE, "").strip().lower()
    if switch not in {"", "true", "false"}:
        raise ConfigurationError(
            f"{switch!r} is neither true nor false",
            where=LIVE_VARIABLE,
            remedy="write true, or leave it unset",
        )
    if mode == "live" and switch != "true":
        raise ConfigurationError(
            "the key is a live key, and live mode is off: nothing was sent",
            where=KEY_VARIABLE,
            remedy=f"use a test key, or set {LIVE_VARIABLE}=true to bill real customers",
        )
    if mode == "test" and switch == "true":
        raise ConfigurationError(
            "live mode is on, but the key is a test key: nothing was sent",
            where=LIVE_VARIABLE,
            remedy="use the live key, or unset it",
        )
    return StripeSettings(key, mode, _address(environment, mode))


def redact(text: str, *secrets: str) -> str:
    """The text without secrets: those given, and whatever has the form of one."""
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        text = text.replace(secret, "***")
    return _SECRETS.sub("***", text)


def _address(environment: Mapping[str, str], mode: Mode) -> str:
    base = environment.get(BASE_VARIABLE, "").strip().rstrip("/") or DEFAULT_BASE
    if base == DEFAULT_BASE:
        return base
    try:
        parts = urlsplit(base)
        is_usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.username is None
    except ValueError:
        is_usable = False
    if not is_usable:
        raise ConfigurationError(
            "the value is not the address of an API",
            where=BASE_VARIABLE,
            remedy="write e.g. http://127.0.0.1:12111, or leave it unset for Stripe itself",
        )
    if mode == "live":
        raise ConfigurationError(
            "a live key goes to Stripe itself only: nothing was sent",
            where=BASE_VARIABLE,
            remedy="unset it, or use a test key",
        )
    return base
