"""What a command is told: which home, which clock, by whom. Documents of the home do not belong here."""

import getpass
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from pipelines.errors import ConfigurationError
from pipelines.home import Home
from pipelines.times import parse_instant

HOME_VARIABLE = "METERHOUSE_HOME"
DEFAULT_HOME = Path("data/home")
GRACE_VARIABLE = "METERHOUSE_CLOSE_GRACE_DAYS"
SCHEDULES_VARIABLE = "METERHOUSE_SCHEDULES"
_GRACE_DAYS = 3
_MOST_GRACE_DAYS = 27


@dataclass(frozen=True)
class QuietTime:
    """How long a file of the inbox must have been as it is before it is read, by the machine's clock.

    :param seconds: any file.
    :param unended_seconds: a CSV whose last line has no end.
    :param clock: nanoseconds since 1970.
    :param wait: seconds.
    """

    seconds: float = 2
    unended_seconds: float = 60
    clock: Callable[[], int] = time.time_ns
    wait: Callable[[float], None] = time.sleep


@dataclass(frozen=True)
class Settings:
    """A home and a clock. ``fixed_clock`` None: the wall clock."""

    home: Home
    fixed_clock: datetime | None = None
    quiet: QuietTime = field(default_factory=QuietTime)

    def now(self) -> datetime:
        """The clock of everything Meterhouse writes, UTC."""
        return self.fixed_clock or datetime.now(UTC)


def load_settings(
    home: Path | None = None, as_of: str | None = None, environment: Mapping[str, str] = os.environ
) -> Settings:
    """Settings from arguments, then environment, then defaults.

    :param as_of: an ISO 8601 instant with offset; None: the wall clock.
    :raises ConfigurationError: not an instant.
    """
    root = home or Path(environment.get(HOME_VARIABLE) or DEFAULT_HOME)
    return Settings(Home(root.expanduser().resolve()), parse_instant(as_of) if as_of is not None else None)


def login_name() -> str:
    """Whoever runs this process, by login name; where there is none, as in a container, by number."""
    try:
        name = getpass.getuser()
    except (ImportError, KeyError, OSError):
        name = ""
    return name if name.strip() and name.isprintable() else f"uid {os.getuid()}"


def close_grace_days(environment: Mapping[str, str] = os.environ) -> int:
    """Days after the end of a month before its books are closed by themselves.

    :raises ConfigurationError: not a whole number from 0 to 27.
    """
    text = environment.get(GRACE_VARIABLE, "").strip() or str(_GRACE_DAYS)
    if not (text.isascii() and text.isdigit() and int(text) <= _MOST_GRACE_DAYS):
        raise ConfigurationError(
            f"{text!r} is not a number of days from 0 to {_MOST_GRACE_DAYS}",
            where=GRACE_VARIABLE,
            remedy=f"write e.g. {_GRACE_DAYS}, or leave it unset for that",
        )
    return int(text)


def starts_every_schedule(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether closing and sending go by themselves too, where nobody switched them on in the interface.

    :raises ConfigurationError: neither unset nor ``all``.
    """
    text = environment.get(SCHEDULES_VARIABLE, "").strip()
    if text not in {"", "all"}:
        raise ConfigurationError(
            f"{text!r} names no schedules",
            where=SCHEDULES_VARIABLE,
            remedy="write all, or leave it unset: then closing and sending start by hand until switched on",
        )
    return text == "all"


def need_schedule_settings(environment: Mapping[str, str] = os.environ) -> None:
    """Make sure of what the environment says about schedules, before anything is done.

    :raises ConfigurationError: one of these settings is none.
    """
    close_grace_days(environment)
    starts_every_schedule(environment)
