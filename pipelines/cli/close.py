"""Closing books: options of `meterhouse close`.

Only options and their help: what is shown belongs to ``show/``, the work itself further down.
"""

import sys
from pathlib import Path
from typing import Annotated

import typer

from pipelines.cli.app import (
    BOOKS,
    AsOfOption,
    HomeOption,
    command_line,
    need_home,
    say_waiting,
    settings_of,
    warn,
)
from pipelines.times import parse_date

app = typer.Typer()


@app.command(
    rich_help_panel=BOOKS,
    epilog="Examples: `meterhouse close 2026-03` · `meterhouse close --through 2026-03-15 --dry-run`"
    " · `meterhouse close 2026-03 --by 'Ada Lovelace' --corrections-from 1.00 --expect 9f86d081...`",
)
def close(  # noqa: PLR0917
    month: Annotated[
        str | None, typer.Argument(metavar="YYYY-MM", help="The month.", show_default=False)
    ] = None,
    through: Annotated[
        str | None, typer.Option("--through", metavar="DATE", help="The last day, in place of a month.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be issued and what to look at; write nothing.")
    ] = False,
    by: Annotated[
        str | None,
        typer.Option("--by", metavar="NAME", help="Who closes; kept with it. Default: the login name."),
    ] = None,
    expect: Annotated[
        str | None,
        typer.Option(
            "--expect",
            metavar="HASH",
            help="Issue just what a dry run gave this hash, or nothing.",
        ),
    ] = None,
    corrections_from: Annotated[
        str | None,
        typer.Option(
            "--corrections-from",
            metavar="AMOUNT",
            help="Let corrections of an invoice that come to less wait, in its currency. Default: 0.",
        ),
    ] = None,
    output_format: Annotated[
        str | None,
        typer.Option(
            "--format", metavar="table|json|csv", help="How a dry run lists the documents. Default: table."
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", metavar="FILE", help="Write that list to a .json or .csv file instead."),
    ] = None,
    home: HomeOption = None,
    as_of: AsOfOption = None,
) -> None:
    """Issue invoices and corrections of every cycle that ended in or before a month; safe to repeat."""
    from rich.console import Console

    from pipelines.books.arguments import closer, hash_to_expect, least_correction
    from pipelines.books.closing import close_books, need_expected
    from pipelines.cli.show.closing import print_outcome
    from pipelines.cli.show.listing import need_listing, print_listing, save_listing, write_listing
    from pipelines.lock import hold_home
    from pipelines.orchestration.recording import record_closing
    from pipelines.progress import Terminal
    from pipelines.session import Session
    from pipelines.times import last_day

    settings = settings_of(home, as_of)
    need_home(settings)
    day = last_day(month, parse_date(through, "--through") if through else None)
    closed_by, expected, least = closer(by), hash_to_expect(expect), least_correction(corrections_from)
    file = output.expanduser().resolve() if output else None
    listing = need_listing(output_format, file, is_dry_run=dry_run)
    with Terminal() as steps, hold_home(settings.home, command_line(), on_wait=say_waiting(steps)):
        session = Session(settings, steps)
        outcome = close_books(
            session,
            day,
            corrections_from=least,
            expected_hash=expected,
            closed_by=closed_by,
            is_dry_run=dry_run,
        )
    console = Console(highlight=False)
    if dry_run and file is None and listing != "table":
        write_listing(outcome, session.warnings, sys.stdout, listing)
    else:
        if file is not None:
            save_listing(outcome, session.warnings, file, listing)
            console.print(f"The documents are listed in {output}.", markup=False)
        elif dry_run:
            print_listing(outcome, console)
        print_outcome(outcome, session.warnings, console, is_dry_run=dry_run)
    if dry_run and expected is not None:
        need_expected(outcome.plan, expected)
    if outcome.closing or session.published:
        warn(record_closing(session))
