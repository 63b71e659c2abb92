"""What a customer has used.

Only options and their help: what is shown belongs to ``show/``, the work itself further down.
"""

import sys
from typing import Annotated

import typer

from pipelines.cli.app import READING, AsOfOption, HomeOption, need_home, settings_of

app = typer.Typer()


@app.command(
    rich_help_panel=READING,
    epilog="Examples: `meterhouse usage company-7` · `meterhouse usage company-7 --periods 6 --format json`",
)
def usage(
    customer: Annotated[
        str, typer.Argument(metavar="CUSTOMER", help="The customer's id.", show_default=False)
    ],
    periods: Annotated[
        int, typer.Option("--periods", metavar="N", min=0, max=1200, help="How many past cycles to show.")
    ] = 12,
    output_format: Annotated[
        str, typer.Option("--format", metavar="table|json|csv", help="How to write it.")
    ] = "table",
    home: HomeOption = None,
    as_of: AsOfOption = None,
) -> None:
    """Show what a customer has used, its limits, projection, history and alerts, as last published."""
    from pipelines.cli.show.usage import show_usage

    settings = settings_of(home, as_of)
    need_home(settings)
    show_usage(settings, customer, sys.stdout, output_format, periods)
