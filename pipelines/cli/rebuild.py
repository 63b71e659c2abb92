"""Issued documents, computed again.

Only options and their help: what is shown belongs to ``show/``, the work itself further down.
"""

import sys
from typing import Annotated

import typer

from pipelines.cli.app import BOOKS, AsOfOption, HomeOption, command_line, need_home, say_waiting, settings_of
from pipelines.errors import ConfigurationError
from pipelines.times import parse_month

app = typer.Typer()


@app.command(
    rich_help_panel=BOOKS,
    epilog="Examples: `meterhouse rebuild INV-000012` · `meterhouse rebuild --month 2026-03`"
    " · `meterhouse rebuild INV-000012 --as-known-at 2026-03-15T12:00:00Z`",
)
def rebuild(  # noqa: PLR0917
    document: Annotated[
        str | None,
        typer.Argument(
            metavar="INVOICE_ID", help="An invoice or credit note, by id or number.", show_default=False
        ),
    ] = None,
    as_known_at: Annotated[
        str | None,
        typer.Option(
            "--as-known-at",
            metavar="INSTANT",
            help="Show the invoice's lines as they were known then, issued or not.",
        ),
    ] = None,
    month: Annotated[
        str | None, typer.Option("--month", metavar="YYYY-MM", help="All documents of cycles ending in it.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="All documents that were ever issued.")] = False,
    output_format: Annotated[
        str, typer.Option("--format", metavar="table|json|csv", help="How to write what is found.")
    ] = "table",
    home: HomeOption = None,
    as_of: AsOfOption = None,
) -> None:
    """Compute issued documents again from the lake as it was known, and compare them with the ledger."""
    from pipelines.books.proof import find_documents, lines_as_known_at, rebuild_documents
    from pipelines.cli.show.output import need_format
    from pipelines.cli.show.rebuild import write_lines, write_rebuilt
    from pipelines.ledger import open_ledger
    from pipelines.lock import hold_home
    from pipelines.progress import Terminal
    from pipelines.times import parse_instant

    settings = settings_of(home, as_of)
    need_home(settings)
    chosen = sum((document is not None, month is not None, everything))
    if chosen != 1 or (as_known_at is not None and document is None):
        raise ConfigurationError(
            "it is not clear what to compute again",
            where="rebuild",
            remedy="name one document (with --as-known-at an invoice), or --month YYYY-MM, or --all",
        )
    need_format(output_format)
    instant = parse_instant(as_known_at, "--as-known-at") if as_known_at is not None else None
    if month is not None:
        parse_month(month, "--month")
    with Terminal() as steps, hold_home(settings.home, command_line(), on_wait=say_waiting(steps)):
        if document is not None and instant is not None:
            write_lines(lines_as_known_at(settings.home, document, instant, steps), sys.stdout, output_format)
            return
        with open_ledger(settings.home) as ledger:
            ledger.export()
            documents = find_documents(ledger, document, month)
            rebuilt = rebuild_documents(settings.home, ledger, documents, steps)
    if not write_rebuilt(rebuilt, sys.stdout, output_format):
        raise typer.Exit(1)
