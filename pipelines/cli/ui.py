"""Dagster's web interface.

Only options and their help: what is shown belongs to ``show/``, the work itself further down.
"""

import os
from typing import Annotated

import typer

from pipelines.cli.app import HOME, AsOfOption, HomeOption, need_home, settings_of
from pipelines.errors import ConfigurationError

app = typer.Typer()


@app.command(
    rich_help_panel=HOME, epilog="Example: `meterhouse ui --port 3001`, then open http://127.0.0.1:3001"
)
def ui(
    port: Annotated[
        str, typer.Option("--port", metavar="PORT", help="Where the web interface listens.")
    ] = "3000",
    host: Annotated[
        str,
        typer.Option(
            "--host",
            metavar="ADDRESS",
            help="Which address; anything but loopback is reachable from outside.",
        ),
    ] = "127.0.0.1",
    home: HomeOption = None,
    as_of: AsOfOption = None,
) -> None:
    """Dagster's web interface on this home, with its schedules and the watch for new files running.

    Closing and sending start by hand until they are switched on there, or with METERHOUSE_SCHEDULES=all.
    """
    from pipelines.orchestration.interface import parse_port, serve_interface

    settings = settings_of(home, as_of)
    need_home(settings)
    if settings.fixed_clock:
        raise ConfigurationError(
            "the interface runs by the wall clock", where="--as-of", remedy="use it with `meterhouse run`"
        )
    code = serve_interface(settings, host, parse_port(port), typer.echo)
    typer.echo("Interrupted: the interface and all that it started have ended.", err=True)
    # All is ended and written; on a busy machine Python takes seconds to take Dagster's modules apart.
    os._exit(code)
