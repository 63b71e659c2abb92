"""Alerts that were raised.

Only options and their help: what is shown belongs to ``show/``, the work itself further down.
"""

import sys
from typing import Annotated

import typer

from pipelines.cli.app import READING, AsOfOption, HomeOption, need_home, settings_of
from pipelines.errors import ConfigurationError

app = typer.Typer()


@app.command(
    rich_help_panel=READING,
    epilog="Examples: `meterhouse alerts --unread` · `meterhouse alerts --mark-read all`"
    " · `meterhouse alerts --format json`",
)
def alerts(  # noqa: PLR0917
    more_ids: Annotated[
        list[str] | None,
        typer.Argument(metavar="ID", help="Further ids for --mark-read.", show_default=False),
    ] = None,
    mark_read: Annotated[
        str | None,
        typer.Option("--mark-read", metavar="ID...|all", help="Mark these as read instead of showing them."),
    ] = None,
    customer: Annotated[
        str | None, typer.Option("--customer", metavar="ID", help="Only this customer's.")
    ] = None,
    unread: Annotated[bool, typer.Option("--unread", help="Only those that nobody has read.")] = False,
    output_format: Annotated[
        str, typer.Option("--format", metavar="table|json|csv", help="How to write them.")
    ] = "table",
    home: HomeOption = None,
    as_of: AsOfOption = None,
) -> None:
    """Show the alerts that were raised, newest day first, or mark them as read."""
    from pipelines.cli.show.alerts import mark_alerts_read, show_alerts

    settings = settings_of(home, as_of)
    need_home(settings)
    if mark_read is not None:
        count = mark_alerts_read(settings, [mark_read, *(more_ids or [])])
        typer.echo(f"Marked {count:,} {'alert' if count == 1 else 'alerts'} as read.")
        return
    if more_ids:
        raise ConfigurationError(
            f"{more_ids[0]!r} is not expected here", where="alerts", remedy="write --mark-read before the ids"
        )
    show_alerts(settings, sys.stdout, output_format, customer, is_unread_only=unread)
