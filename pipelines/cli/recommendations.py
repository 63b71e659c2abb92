"""What the last run advises, and saying no to it.

Only options and their help: what is shown belongs to ``show/``, the work itself further down.
"""

import sys
from typing import Annotated

import typer

from pipelines.cli.app import READING, AsOfOption, HomeOption, need_home, settings_of

app = typer.Typer()


@app.command(
    rich_help_panel=READING,
    epilog="Examples: `meterhouse recommendations --customer tundra`"
    " · `meterhouse recommendations --format json`",
)
def recommendations(
    customer: Annotated[
        str | None, typer.Option("--customer", metavar="ID", help="Only this customer's.")
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Also those that were dismissed or accepted.")
    ] = False,
    output_format: Annotated[
        str, typer.Option("--format", metavar="table|json|csv", help="How to write them.")
    ] = "table",
    home: HomeOption = None,
    as_of: AsOfOption = None,
) -> None:
    """Show what the last run advises: other plans, bought allowance, cheaper models, expensive requests."""
    from pipelines.cli.show.recommendations import show_recommendations

    settings = settings_of(home, as_of)
    need_home(settings)
    show_recommendations(settings, sys.stdout, output_format, customer, is_open_only=not everything)


@app.command(
    rich_help_panel=READING,
    epilog="Example: `meterhouse dismiss rec_6b6934654b912c70fc0a4f3d --note 'another plan in May'`",
)
def dismiss(
    recommendation_id: Annotated[
        str, typer.Argument(metavar="ID", help="`meterhouse recommendations` shows it.")
    ],
    note: Annotated[
        str | None, typer.Option("--note", metavar="TEXT", help="Why; kept with the decision.")
    ] = None,
    home: HomeOption = None,
    as_of: AsOfOption = None,
) -> None:
    """Say no to a recommendation, so that it does not come back."""
    from pipelines.cli.show.recommendations import dismiss_recommendation

    settings = settings_of(home, as_of)
    need_home(settings)
    typer.echo(dismiss_recommendation(settings, recommendation_id, note))
