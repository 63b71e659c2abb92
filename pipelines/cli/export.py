"""Published tables as files.

Only options and their help: what is shown belongs to ``show/``, the work itself further down.
"""

import sys
from pathlib import Path
from typing import Annotated

import typer

from pipelines.cli.app import READING, AsOfOption, HomeOption, need_home, settings_of

app = typer.Typer()


@app.command(
    rich_help_panel=READING,
    epilog="Examples: `meterhouse export company-7 --month 2026-03 --output march.csv`"
    " · `meterhouse export --table monthly_usage --from 2026-01-01 --to 2026-03-31 --output quarter.parquet`",
)
def export(  # noqa: PLR0917
    customer: Annotated[
        str | None, typer.Argument(metavar="CUSTOMER", help="Default: all customers.", show_default=False)
    ] = None,
    table: Annotated[
        str,
        typer.Option(
            "--table",
            metavar="TABLE",
            help="Any published table of days or cycles, e.g. monthly_usage, cost_per_request.",
        ),
    ] = "daily_usage",
    month: Annotated[
        str | None,
        typer.Option("--month", metavar="YYYY-MM", help="Its days of usage, or the cycles that end in it."),
    ] = None,
    first_day: Annotated[
        str | None, typer.Option("--from", metavar="DATE", help="First day, of usage or of a cycle's end.")
    ] = None,
    last_day: Annotated[
        str | None, typer.Option("--to", metavar="DATE", help="Last of these days, included.")
    ] = None,
    output: Annotated[
        Path, typer.Option("--output", metavar="FILE", help="Where to; `-` is standard output, as CSV.")
    ] = Path("-"),
    output_format: Annotated[
        str | None,
        typer.Option("--format", metavar="csv|parquet", help="Default: parquet if FILE ends so, else csv."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Write over a file that is there.")] = False,
    raw: Annotated[
        bool, typer.Option("--raw", help="Texts as they are, also what a spreadsheet takes for a formula.")
    ] = False,
    home: HomeOption = None,
    as_of: AsOfOption = None,
) -> None:
    """Write published usage of a customer and period to CSV or Parquet, exact in every digit."""
    from pipelines.cli.show.usage import describe_export, write_export

    settings = settings_of(home, as_of)
    need_home(settings)
    wanted = describe_export(
        customer,
        table,
        (month, first_day, last_day),
        output,
        output_format,
        may_overwrite=force,
        is_raw=raw,
    )
    typer.echo(write_export(settings, wanted, sys.stdout), err=True)
