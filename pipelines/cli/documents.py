"""Invoices and credit notes as documents, and charges for FinOps tools.

Only options and their help: what is shown belongs to ``show/``, the work itself further down.
"""

from pathlib import Path
from typing import Annotated

import typer

from pipelines.cli.app import BOOKS, HomeOption, need_home, settings_of
from pipelines.times import parse_month

app = typer.Typer()


@app.command(
    rich_help_panel=BOOKS,
    epilog="Examples: `meterhouse invoice INV-000001 --output .`"
    " · `meterhouse invoice --month 2026-03 --output march/`"
    " · `meterhouse invoice CN-000001 --format html --output .`",
)
def invoice(  # noqa: PLR0917
    output: Annotated[Path, typer.Option("--output", metavar="DIR", help="Where the files go.")],
    document: Annotated[
        str | None,
        typer.Argument(
            metavar="DOCUMENT", help="Number or id of an invoice or credit note.", show_default=False
        ),
    ] = None,
    month: Annotated[
        str | None,
        typer.Option(
            "--month",
            metavar="YYYY-MM",
            help="Instead: every issued invoice whose cycle ends in it, every credit note issued in it.",
        ),
    ] = None,
    formats: Annotated[
        list[str] | None,
        typer.Option("--format", metavar="pdf|html|csv", help="Repeat for several. Default: pdf."),
    ] = None,
    with_drafts: Annotated[
        bool,
        typer.Option("--with-drafts", help="With --month: also invoices not issued yet, marked as drafts."),
    ] = False,
    replace: Annotated[
        bool, typer.Option("--replace", help="Overwrite files that say something else.")
    ] = False,
    home: HomeOption = None,
) -> None:
    """Write invoices and credit notes as documents: lines, usage with charts, corrections explained."""
    from pipelines.documents import write_invoices
    from pipelines.progress import Terminal

    settings = settings_of(home, None)
    need_home(settings)
    first_day = parse_month(month, "--month") if month else None
    with Terminal() as steps:
        written = write_invoices(
            settings.home,
            output,
            document=document,
            month=first_day,
            formats=formats or ["pdf"],
            with_drafts=with_drafts,
            replace=replace,
            steps=steps,
        )
    typer.echo(
        f"Wrote {len(written.files):,} {'file' if len(written.files) == 1 else 'files'} into {output}"
        + (f"; {len(written.unchanged):,} were there already." if written.unchanged else ".")
    )


@app.command(
    "export-focus",
    rich_help_panel=BOOKS,
    epilog="Example: `meterhouse export-focus --month 2026-03 --output march.csv`",
)
def export_focus_command(
    month: Annotated[str, typer.Option("--month", metavar="YYYY-MM", help="Billing periods that end in it.")],
    output: Annotated[Path, typer.Option("--output", metavar="FILE", help="FILE.csv or FILE.parquet.")],
    force: Annotated[bool, typer.Option("--force", help="Write over a file that is there.")] = False,
    home: HomeOption = None,
) -> None:
    """Write issued charges as FOCUS 1.4 (Cost and Usage) for FinOps tools, corrections as such."""
    from pipelines.documents import export_focus

    settings = settings_of(home, None)
    need_home(settings)
    first_day = parse_month(month, "--month")
    exported = export_focus(settings.home.published_file, first_day, output, may_overwrite=force)
    typer.echo(
        f"Wrote {exported.charge_count:,} charges to {exported.file};"
        f" {exported.metadata_file.name} describes its columns."
    )
