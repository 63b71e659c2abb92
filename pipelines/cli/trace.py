"""The events behind invoice lines.

Only options and their help: what is shown belongs to ``show/``, the work itself further down.
"""

import sys
from pathlib import Path
from typing import Annotated

import typer

from pipelines.cli.app import BOOKS, AsOfOption, HomeOption, command_line, need_home, say_waiting, settings_of

app = typer.Typer()


@app.command(
    rich_help_panel=BOOKS,
    epilog="Examples: `meterhouse trace line_6b6934654b912c70fc0a4f3d`"
    " · `meterhouse trace --invoice INV-000012 --format json`"
    " · `meterhouse trace --month 2026-03 --output events.parquet`",
)
def trace(  # noqa: PLR0917
    line_id: Annotated[
        str | None, typer.Argument(metavar="INVOICE_LINE_ID", help="The line.", show_default=False)
    ] = None,
    invoice: Annotated[
        str | None, typer.Option("--invoice", metavar="ID", help="All lines of an invoice, by id or number.")
    ] = None,
    month: Annotated[
        str | None, typer.Option("--month", metavar="YYYY-MM", help="All lines of cycles that end in it.")
    ] = None,
    output_format: Annotated[
        str, typer.Option("--format", metavar="table|json|csv", help="How to write them.")
    ] = "table",
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            metavar="FILE",
            help="Write a .parquet or .csv table instead: a row per line and event.",
        ),
    ] = None,
    home: HomeOption = None,
    as_of: AsOfOption = None,
) -> None:
    """Show the events behind an invoice line: their contributions, the allowance, the rule."""
    from pipelines.books.trace import Selection, trace_lines
    from pipelines.cli.show.trace import need_output, save_trace, write_trace
    from pipelines.lock import hold_home
    from pipelines.progress import Terminal

    settings = settings_of(home, as_of)
    need_home(settings)
    selection = Selection.of(line=line_id, invoice=invoice, month=month)
    file = output.expanduser().resolve() if output else None
    need_output(output_format, file)
    with (
        Terminal() as steps,
        hold_home(settings.home, command_line(), on_wait=say_waiting(steps)),
        trace_lines(settings.home, selection, steps) as traced,
    ):
        if file is None:
            write_trace(traced, sys.stdout, output_format)
        else:
            count = save_trace(traced, file)
            typer.echo(f"Wrote {count:,} rows to {output}.")
