"""What all commands share: options, the home they are for, and how they warn. Commands do not belong here."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipelines.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipelines.progress import Steps
    from pipelines.settings import Settings

HOME, READING, BOOKS, STRIPE = "Homes and runs", "Usage and advice", "Books", "Stripe"
"""Under what ``--help`` lists commands."""

HomeOption = Annotated[
    Path | None,
    typer.Option("--home", metavar="DIR", help="The home folder. Default: METERHOUSE_HOME, else data/home."),
]
AsOfOption = Annotated[
    str | None,
    typer.Option(
        "--as-of",
        metavar="INSTANT",
        help="Fixes the clock everywhere, e.g. 2026-03-31T23:59:59Z; UTC if it has no offset. Default: now.",
    ),
]


def settings_of(home: Path | None, as_of: str | None) -> "Settings":
    """The home and the clock that a command is told."""
    from pipelines.settings import load_settings

    return load_settings(home, as_of)


def need_home(settings: "Settings") -> None:
    """:raises ConfigurationError: there is no home."""
    if not settings.home.catalog.is_dir():
        raise ConfigurationError(
            "there is no home here: it has no catalog/",
            where=str(settings.home.root),
            remedy=f"start one (`meterhouse init --product ai_pair_orchestrator --home {settings.home.root}`)"
            " or name another with --home",
        )


def command_line() -> str:
    """This command as it was written, for whoever waits for it."""
    return " ".join(["meterhouse", *sys.argv[1:]])


def say_waiting(steps: "Steps") -> "Callable[[str], None]":
    """Tells who else holds the home."""
    return lambda holder: steps.say(f"Another command holds this home: {holder}. Waiting for it to end.")


def warn(text: str | None) -> None:
    """Say what went wrong and kept nothing from being done; None: nothing did."""
    if text is not None:
        typer.echo(f"Warning: {text}", err=True)


def complain(text: str) -> None:
    """Say why a command failed."""
    from rich.console import Console

    Console(stderr=True, highlight=False).print(text, style="red", markup=False, soft_wrap=True)
