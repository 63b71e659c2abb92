"""The command line: arguments in, exit codes and readable text out. The work itself does not belong here.

Dagster and dbt take seconds to import, so everything but the standard library and typer is imported by the
command that needs it.
"""

import logging
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipelines import interruption
from pipelines.errors import ConfigurationError, MeterhouseError, describe_os_error
from pipelines.files import keep_private, open_to_others
from pipelines.times import parse_date, parse_month

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipelines.progress import Steps
    from pipelines.settings import Settings

_MOST_LISTED = 100

app = typer.Typer(
    name="meterhouse",
    help="Turns raw usage events into invoices that finance can prove.\n\n"
    "Start with: meterhouse init --product ai_pair_orchestrator, then meterhouse run.",
    epilog="Exit codes: 0 done; 1 a step failed; 2 wrong arguments or configuration, nothing changed;"
    " 130 or 143 interrupted, the last line says whether as before or done.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)

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
DebugOption = Annotated[
    bool, typer.Option("--debug", help="Show Python's traceback when something unexpected fails.")
]


def main() -> None:
    """Entry point of the console script."""
    logging.getLogger("meterhouse").addHandler(logging.NullHandler())
    with interruption.told():
        keep_private()
        _run()


def _run() -> None:
    try:
        app(prog_name="meterhouse")
    except MeterhouseError as error:
        interruption.check()
        _complain(str(error))
        sys.exit(error.exit_code)
    except Exception as error:
        interruption.check()
        if "--debug" in sys.argv:
            raise
        if isinstance(error, OSError) and error.errno is not None:
            _complain(str(describe_os_error(error)))
            sys.exit(1)
        _complain(
            f"{type(error).__name__}: {error}\n"
            f"  -> this was not foreseen, during `{_command()}`. What was published"
            " before is untouched and running the command again is safe; --debug shows where in the code"
        )
        sys.exit(1)


@app.command(epilog="Example: `meterhouse init --product ai_pair_orchestrator --home /srv/billing`")
def init(
    product: Annotated[
        str, typer.Option("--product", metavar="NAME", help="Whose catalog and accounts to start with.")
    ],
    home: HomeOption = None,
    as_of: AsOfOption = None,
    debug: DebugOption = False,
) -> None:
    """Start a home with a product's catalog and accounts. Documents that differ are never overwritten."""
    from pipelines.catalog import copy_product

    settings = _settings(home, as_of)
    copy_product(settings.home, product)
    typer.echo(f"{settings.home.root} now has the catalog and accounts of {product}.")
    typer.echo(
        "Put files into its inbox/, or simulate some: `meterhouse simulate-usage`, then `meterhouse run`"
    )


@app.command(
    "simulate-usage",
    epilog="Example: `meterhouse simulate-usage --events 100000 --days 92 --seed 1 --until 2026-04-01`",
)
def simulate_usage_command(  # noqa: PLR0917
    events: Annotated[int, typer.Option("--events", min=1, help="Records to write.")] = 100_000,
    days: Annotated[int, typer.Option("--days", min=1, help="Days that they cover.")] = 92,
    seed: Annotated[int, typer.Option("--seed", help="Another seed gives other usage.")] = 1,
    until: Annotated[
        str | None,
        typer.Option(
            "--until", metavar="DATE", help="First day without usage, UTC. Default: the clock's today."
        ),
    ] = None,
    home: HomeOption = None,
    as_of: AsOfOption = None,
    debug: DebugOption = False,
) -> None:
    """Write realistic usage files into inbox/, with duplicates, revisions, late and bad records."""
    from pipelines.progress import Terminal
    from pipelines.simulate import simulate_usage

    settings = _settings(home, as_of)
    _need_home(settings)
    now = settings.now()
    with Terminal() as steps, steps.step("Simulating usage") as step:
        files = simulate_usage(
            settings.home,
            events=events,
            days=days,
            seed=seed,
            until=parse_date(until, "--until") if until else now.date(),
            as_of=now,
            on_progress=step.update,
        )
    typer.echo(f"Wrote {events:,} records into {len(files):,} files under {settings.home.inbox}.")


@app.command(
    epilog="Examples: `meterhouse run` · `meterhouse run --home /srv/billing --as-of 2026-04-01T00:00:00Z`"
)
def run(
    full: Annotated[
        bool,
        typer.Option(
            "--full", help="Compute the whole warehouse again instead of what changed; same result."
        ),
    ] = False,
    home: HomeOption = None,
    as_of: AsOfOption = None,
    debug: DebugOption = False,
) -> None:
    """Read new usage files, rebuild what they touch, check everything, publish."""
    from rich.console import Console

    from pipelines.lock import hold_home
    from pipelines.orchestration.runs import run_main_job
    from pipelines.progress import Terminal
    from pipelines.serving.summary import print_summary
    from pipelines.session import Session
    from pipelines.settings import need_schedule_settings

    settings = _settings(home, as_of)
    _need_home(settings)
    need_schedule_settings()
    with Terminal() as steps, hold_home(settings.home, _command(), on_wait=_say_waiting(steps)):
        session = Session(settings, steps, starts_over=full)
        with steps.step("Checking catalog and accounts"):
            session.configuration  # noqa: B018  # faults end the command here, before anything starts
        settings.home.ensure()
        run_main_job(session)
    print_summary(session, Console(highlight=False))


@app.command(
    epilog="Examples: `meterhouse close 2026-03` · `meterhouse close --through 2026-03-15 --dry-run`"
    " · `meterhouse close 2026-03 --by 'Ada Lovelace' --corrections-from 1.00 --expect 9f86d081...`"
)
def close(  # noqa: PLR0917
    month: Annotated[
        str | None, typer.Argument(metavar="[YYYY-MM]", help="The month.", show_default=False)
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
    debug: DebugOption = False,
) -> None:
    """Issue invoices and corrections of every cycle that ended in or before a month; again is safe."""
    from rich.console import Console

    from pipelines.books.closing import close_books, need_expected
    from pipelines.books.command import closer, hash_to_expect, least_correction, print_outcome
    from pipelines.books.listing import need_listing, print_listing, save_listing, write_listing
    from pipelines.lock import hold_home
    from pipelines.orchestration.recording import record_closing
    from pipelines.progress import Terminal
    from pipelines.session import Session
    from pipelines.times import last_day

    settings = _settings(home, as_of)
    _need_home(settings)
    day = last_day(month, parse_date(through, "--through") if through else None)
    closed_by, expected, least = closer(by), hash_to_expect(expect), least_correction(corrections_from)
    file = output.expanduser().resolve() if output else None
    listing = need_listing(output_format, file, is_dry_run=dry_run)
    with Terminal() as steps, hold_home(settings.home, _command(), on_wait=_say_waiting(steps)):
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
        _warn(record_closing(session))


@app.command(
    epilog="Examples: `meterhouse check --home /srv/billing` · `meterhouse check --set-aside`",
)
def check(
    aside: Annotated[
        bool, typer.Option("--set-aside", help="Move files that no commit names from lake/ to lake/.aside/.")
    ] = False,
    home: HomeOption = None,
    as_of: AsOfOption = None,
    debug: DebugOption = False,
) -> None:
    """Validate the home without changing it: documents, waiting files, and every file of the lake."""
    from pipelines.books.issued_plans import need_issued_plans
    from pipelines.catalog import load_configuration
    from pipelines.ingest import by_reason, pending
    from pipelines.lake.checks import stale_sources, unbalanced_batches
    from pipelines.lake.links import links_out_of_lake
    from pipelines.maintenance.lake_check import check_lake, set_strangers_aside
    from pipelines.progress import Terminal

    settings = _settings(home, as_of)
    _need_home(settings)
    configuration = load_configuration(settings.home)
    need_issued_plans(settings.home, configuration)
    if aside:
        from pipelines.lock import hold_home

        with Terminal() as steps, hold_home(settings.home, _command(), on_wait=_say_waiting(steps)):
            moved = set_strangers_aside(settings.home)
        for name in moved:
            typer.echo(f"Moved to lake/.aside/{name}")
        typer.echo(
            f"{len(moved)} files set aside." if moved else "Every file of the lake is named by a commit."
        )
    catalog, accounts = configuration.catalog, configuration.accounts
    typer.echo(
        f"Catalog and accounts are valid: {len(catalog.meters)} meters, {len(catalog.plans)} plan versions,"
        f" {len(accounts.customers)} customers, {len(accounts.subscriptions)} subscriptions."
    )
    found = pending(settings.home, configuration.sources, settings.quiet)
    waiting = found.files
    files = "1 new file" if len(waiting) == 1 else f"{len(waiting):,} new files"
    typer.echo(f"Inbox: {files} to read." if waiting else "Inbox: nothing new.")
    for file in waiting:
        source = configuration.sources.source_for(file.name) if configuration.sources else None
        typer.echo(
            f"  {file.name}: {f'source {source.name}' if source else 'no source fits; plain events'}"
            + (f"; not yet: {file.waits}" if file.waits else "")
        )
    if found.left:
        typer.echo(f"Left alone in the inbox: {len(found.left):,}.")
        for line in by_reason(((left.name, left.reason) for left in found.left), _MOST_LISTED):
            typer.echo(f"  {line}")
    for folder in open_to_others(settings.home):
        typer.echo(f"Warning: others may read {folder.name}/; the next command that writes ends that.")
    for stale in stale_sources(settings.home, configuration.sources, settings.now()):
        typer.echo(f"Warning: {stale}")
    if faults := unbalanced_batches(settings.home):
        raise MeterhouseError(
            "the lake lost rows: " + "; ".join(faults),
            where=str(settings.home.lake / "commits"),
            remedy="keep the lake as it is and report this",
        )
    typer.echo("Lake: every row read is accepted, duplicate or rejected.")
    with Terminal() as steps, steps.step("Verifying the lake") as step:
        lake = check_lake(settings.home, step.update)
    for name in lake.strangers:
        typer.echo(f"Warning: lake/{name}: no commit names it; it is never read. --set-aside moves it away")
    for link in links_out_of_lake(settings.home):
        if link.name.removeprefix("lake/") not in lake.strangers:
            typer.echo(f"Warning: {link}")
    lake.need_whole()
    typer.echo(f"Lake: {lake.file_count:,} files are as they were committed.")


@app.command(
    epilog="Examples: `meterhouse reread openai/2026-03.jsonl` · `meterhouse reread openai`",
)
def reread(
    paths: Annotated[
        list[str],
        typer.Argument(metavar="PATH...", help="Files or folders in inbox/.", show_default=False),
    ],
    home: HomeOption = None,
    as_of: AsOfOption = None,
    debug: DebugOption = False,
) -> None:
    """Read files again with today's mapping; what they gave before and do not say again is taken out."""
    from pipelines.ingest import reread_files
    from pipelines.lock import hold_home
    from pipelines.progress import Terminal
    from pipelines.session import Session

    settings = _settings(home, as_of)
    _need_home(settings)
    with Terminal() as steps, hold_home(settings.home, _command(), on_wait=_say_waiting(steps)):
        session = Session(settings, steps)
        with steps.step("Reading files again") as step:
            done = reread_files(
                settings.home,
                paths,
                session.configuration.sources,
                session.as_of,
                step.update,
                quiet=settings.quiet,
            )
    for batch in done:
        typer.echo(
            f"{batch.source_file}: {batch.rows_read:,} rows = {batch.accepted_count:,} accepted"
            f" + {batch.duplicate_count:,} duplicate + {batch.rejected_count:,} rejected"
            + (f"; {batch.taken_out_count:,} said before were taken out" if batch.taken_out_count else "")
        )
        for name, count in batch.freed:
            typer.echo(
                f"  {count:,} records of {name} were refused as conflicting with what was taken out, and stay"
                f" refused: `meterhouse reread {name}` takes them"
            )
    typer.echo("`meterhouse run` computes and publishes what this changes.")


@app.command(
    epilog="Examples: `meterhouse alerts --unread` · `meterhouse alerts --mark-read all`"
    " · `meterhouse alerts --format json`"
)
def alerts(  # noqa: PLR0917
    more_ids: Annotated[
        list[str] | None,
        typer.Argument(metavar="[ID]...", help="Further ids for --mark-read.", show_default=False),
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
    debug: DebugOption = False,
) -> None:
    """Show the alerts that were raised, newest day first, or mark them as read."""
    from pipelines.alerts_cli import mark_alerts_read, show_alerts

    settings = _settings(home, as_of)
    _need_home(settings)
    if mark_read is not None:
        count = mark_alerts_read(settings, [mark_read, *(more_ids or [])])
        typer.echo(f"Marked {count:,} {'alert' if count == 1 else 'alerts'} as read.")
        return
    if more_ids:
        raise ConfigurationError(
            f"{more_ids[0]!r} is not expected here", where="alerts", remedy="write --mark-read before the ids"
        )
    show_alerts(settings, sys.stdout, output_format, customer, is_unread_only=unread)


@app.command(
    epilog="Examples: `meterhouse recommendations --customer tundra`"
    " · `meterhouse recommendations --format json`"
)
def recommendations(  # noqa: PLR0917
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
    debug: DebugOption = False,
) -> None:
    """Show what the last run advises: other plans, bought allowance, cheaper models, dear requests."""
    from pipelines.recommendations_cli import show_recommendations

    settings = _settings(home, as_of)
    _need_home(settings)
    show_recommendations(settings, sys.stdout, output_format, customer, is_open_only=not everything)


@app.command(
    epilog="Example: `meterhouse dismiss rec_6b6934654b912c70fc0a4f3d --note 'moving to another plan in May'`"
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
    debug: DebugOption = False,
) -> None:
    """Say no to a recommendation, so that it does not come back."""
    from pipelines.recommendations_cli import dismiss_recommendation

    settings = _settings(home, as_of)
    _need_home(settings)
    typer.echo(dismiss_recommendation(settings, recommendation_id, note))


@app.command(
    epilog="Examples: `meterhouse usage company-7` · `meterhouse usage company-7 --periods 6 --format json`"
)
def usage(  # noqa: PLR0917
    customer: Annotated[
        str, typer.Argument(metavar="CUSTOMER", help="The customer's id.", show_default=False)
    ],
    periods: Annotated[
        int, typer.Option("--periods", min=0, max=1200, help="How many cycles that are over to show.")
    ] = 12,
    output_format: Annotated[
        str, typer.Option("--format", metavar="table|json|csv", help="How to write it.")
    ] = "table",
    home: HomeOption = None,
    as_of: AsOfOption = None,
    debug: DebugOption = False,
) -> None:
    """Show what a customer has used, its limits, projection, history and alerts, as last published."""
    from pipelines.usage_cli import show_usage

    settings = _settings(home, as_of)
    _need_home(settings)
    show_usage(settings, customer, sys.stdout, output_format, periods)


@app.command(
    epilog="Examples: `meterhouse export company-7 --month 2026-03 --output march.csv`"
    " · `meterhouse export --table monthly_usage --from 2026-01-01 --to 2026-03-31 --output quarter.parquet`"
)
def export(  # noqa: PLR0917
    customer: Annotated[
        str | None, typer.Argument(metavar="[CUSTOMER]", help="Default: all customers.", show_default=False)
    ] = None,
    table: Annotated[
        str,
        typer.Option(
            "--table", help="Any published table of days or cycles, e.g. monthly_usage, cost_per_request."
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
    debug: DebugOption = False,
) -> None:
    """Write published usage of a customer and period to CSV or Parquet, exact in every digit."""
    from pipelines.usage_cli import describe_export, write_export

    settings = _settings(home, as_of)
    _need_home(settings)
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


@app.command(
    "export-focus",
    epilog="Example: `meterhouse export-focus --month 2026-03 --output march.csv`",
)
def export_focus_command(
    month: Annotated[str, typer.Option("--month", metavar="YYYY-MM", help="Billing periods that end in it.")],
    output: Annotated[Path, typer.Option("--output", metavar="FILE", help="FILE.csv or FILE.parquet.")],
    force: Annotated[bool, typer.Option("--force", help="Write over a file that is there.")] = False,
    home: HomeOption = None,
    debug: DebugOption = False,
) -> None:
    """Write issued charges as FOCUS 1.4 (Cost and Usage) for FinOps tools, corrections as such."""
    from pipelines.documents import export_focus

    settings = _settings(home, None)
    _need_home(settings)
    first_day = parse_month(month, "--month")
    exported = export_focus(settings.home.published_file, first_day, output, may_overwrite=force)
    typer.echo(
        f"Wrote {exported.charge_count:,} charges to {exported.file};"
        f" {exported.metadata_file.name} describes its columns."
    )


@app.command(
    epilog="Examples: `meterhouse invoice INV-000001 --output .`"
    " · `meterhouse invoice --month 2026-03 --output march/`"
    " · `meterhouse invoice CN-000001 --format html --output .`"
)
def invoice(  # noqa: PLR0917
    output: Annotated[Path, typer.Option("--output", metavar="DIR", help="Where the files go.")],
    document: Annotated[
        str | None,
        typer.Argument(
            metavar="[DOCUMENT]", help="Number or id of an invoice or credit note.", show_default=False
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
    debug: DebugOption = False,
) -> None:
    """Write invoices and credit notes as documents: lines, usage with charts, corrections explained."""
    from pipelines.documents import write_invoices
    from pipelines.progress import Terminal

    settings = _settings(home, None)
    _need_home(settings)
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
    epilog="Examples: `meterhouse trace line_6b6934654b912c70fc0a4f3d`"
    " · `meterhouse trace --invoice INV-000012 --format json`"
    " · `meterhouse trace --month 2026-03 --output events.parquet`"
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
    debug: DebugOption = False,
) -> None:
    """Show the events behind an invoice line: their contributions, the allowance, the rule."""
    from pipelines.books.trace import Selection, trace_lines
    from pipelines.books.trace_cli import need_output, save_trace, write_trace
    from pipelines.lock import hold_home
    from pipelines.progress import Terminal

    settings = _settings(home, as_of)
    _need_home(settings)
    selection = Selection.of(line=line_id, invoice=invoice, month=month)
    file = output.expanduser().resolve() if output else None
    need_output(output_format, file)
    with (
        Terminal() as steps,
        hold_home(settings.home, _command(), on_wait=_say_waiting(steps)),
        trace_lines(settings.home, selection, steps) as traced,
    ):
        if file is None:
            write_trace(traced, sys.stdout, output_format)
        else:
            count = save_trace(traced, file)
            typer.echo(f"Wrote {count:,} rows to {output}.")


@app.command(
    epilog="Examples: `meterhouse rebuild INV-000012` · `meterhouse rebuild --month 2026-03`"
    " · `meterhouse rebuild INV-000012 --as-known-at 2026-03-15T12:00:00Z`"
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
    debug: DebugOption = False,
) -> None:
    """Compute issued documents again from the lake as it was known, and compare them with the ledger."""
    from pipelines.books.proof import find_documents, lines_as_known_at, rebuild_documents
    from pipelines.books.proof_cli import need_format, write_lines, write_rebuilt
    from pipelines.ledger import open_ledger
    from pipelines.lock import hold_home
    from pipelines.progress import Terminal
    from pipelines.times import parse_instant

    settings = _settings(home, as_of)
    _need_home(settings)
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
    with Terminal() as steps, hold_home(settings.home, _command(), on_wait=_say_waiting(steps)):
        if document is not None and instant is not None:
            write_lines(lines_as_known_at(settings.home, document, instant, steps), sys.stdout, output_format)
            return
        with open_ledger(settings.home) as ledger:
            ledger.export()
            documents = find_documents(ledger, document, month)
            rebuilt = rebuild_documents(settings.home, ledger, documents, steps)
    if not write_rebuilt(rebuilt, sys.stdout, output_format):
        raise typer.Exit(1)


@app.command(epilog="Example: `meterhouse backup /mnt/backups/meterhouse-2026-04-01.tar`")
def backup(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A new .tar file.", show_default=False)],
    home: HomeOption = None,
    as_of: AsOfOption = None,
    debug: DebugOption = False,
) -> None:
    """Write what cannot be computed again into one file: lake, ledger, catalog and accounts. No secrets."""
    from pipelines.lock import hold_home
    from pipelines.maintenance.backup import back_up
    from pipelines.progress import Terminal

    settings = _settings(home, as_of)
    _need_home(settings)
    with (
        Terminal() as steps,
        hold_home(settings.home, _command(), on_wait=_say_waiting(steps)),
        steps.step("Backing up and checking") as step,
    ):
        made = back_up(settings.home, file.expanduser().resolve(), settings.now(), step.update)
    for link in made.refused:
        typer.echo(f"Warning: {link}")
    rows = sum(made.rows.values())
    typer.echo(f"{file}: {made.files:,} files and {rows:,} rows of the ledger, read back and whole.")


@app.command(
    epilog="Example: `meterhouse restore /mnt/backups/meterhouse-2026-04-01.tar --home /srv/billing`"
)
def restore(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What `backup` wrote.", show_default=False)],
    home: HomeOption = None,
    as_of: AsOfOption = None,
    debug: DebugOption = False,
) -> None:
    """Make a home from a backup, in an empty folder and an empty ledger; checked whole before it is used."""
    from pipelines.lock import hold_home
    from pipelines.maintenance.backup import restore as restore_home
    from pipelines.progress import Terminal

    settings = _settings(home, as_of)
    with (
        Terminal() as steps,
        hold_home(settings.home, _command(), on_wait=_say_waiting(steps)),
        steps.step("Checking and restoring") as step,
    ):
        made = restore_home(settings.home, file.expanduser().resolve(), step.update)
    typer.echo(
        f"{settings.home.root} is as it was at {made.made_at.isoformat()}: {made.files:,} files,"
        f" {sum(made.rows.values()):,} rows of the ledger."
    )
    typer.echo(
        "Put files that came since into its inbox/ and run `meterhouse run`; before sending anything,"
        " `meterhouse reconcile` finds what was sent since."
    )


@app.command(
    epilog="Examples: `meterhouse send` · `meterhouse send --again` · `meterhouse send --again line_6b69`"
)
def send(
    subjects: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[ID]...", help="With --again: lines, invoices or credit notes.", show_default=False
        ),
    ] = None,
    again: Annotated[
        bool,
        typer.Option(
            "--again", help="Also what Stripe refused before, or what waits for review and is named."
        ),
    ] = False,
    home: HomeOption = None,
    as_of: AsOfOption = None,
    debug: DebugOption = False,
) -> None:
    """Send issued invoices, their lines and credit notes to Stripe, each exactly once.

    Without STRIPE_API_KEY it shows what would be sent, and sends nothing.
    """
    from pipelines.orchestration.recording import record_sending
    from pipelines.payments import service
    from pipelines.progress import Terminal

    settings = _settings(home, as_of)
    _need_home(settings)
    if subjects and not again:
        raise ConfigurationError(
            f"{subjects[0]!r} is not expected here", where="send", remedy="write --again before the ids"
        )
    with Terminal() as steps:
        report = service.send_outbox(settings, steps, (subjects or []) if again else None)
    if report is None:
        service.show_waiting(settings, sys.stdout)
        return
    service.show_sent(report, sys.stdout)
    _warn(record_sending(settings.home, report))
    service.fail_if_open(report)


@app.command(epilog="Examples: `meterhouse finalize` · `meterhouse finalize INV-000007 --collect`")
def finalize(
    invoices: Annotated[
        list[str] | None,
        typer.Argument(metavar="[INVOICE]...", help="Numbers or ids. Default: all.", show_default=False),
    ] = None,
    collect: Annotated[
        bool,
        typer.Option("--collect", help="Let Stripe collect the payment by itself, by card or by e-mail."),
    ] = False,
    home: HomeOption = None,
    as_of: AsOfOption = None,
    debug: DebugOption = False,
) -> None:
    """Finalize invoices at Stripe whose gate is open: all sent, nothing twice, both sums equal."""
    from pipelines.payments import service
    from pipelines.progress import Terminal

    settings = _settings(home, as_of)
    _need_home(settings)
    with Terminal() as steps:
        report = service.finalize_invoices(settings, steps, invoices or [], collects=collect)
    service.show_finalized(report, sys.stdout)
    if report.held:
        raise MeterhouseError(
            f"{len(report.held):,} invoices were held back",
            where="finalize",
            remedy="the reasons are above; run it again when they are gone",
        )


@app.command(
    epilog="Examples: `meterhouse reconcile` · `meterhouse reconcile --since 2026-01-01`"
    " · `meterhouse reconcile --offline --format csv`"
)
def reconcile(  # noqa: PLR0917
    since: Annotated[
        str | None,
        typer.Option(
            "--since", metavar="DATE", help="Compare what was created from then on. Default: 100 days."
        ),
    ] = None,
    offline: Annotated[
        bool,
        typer.Option("--offline", help="Ask nobody: show the tie-out from usage to payment as published."),
    ] = False,
    output_format: Annotated[
        str | None,
        typer.Option("--format", metavar="table|json|csv", help="With --offline: how to write it."),
    ] = None,
    home: HomeOption = None,
    as_of: AsOfOption = None,
    debug: DebugOption = False,
) -> None:
    """Compare the ledger with what Stripe holds; differences end it with exit code 1."""
    from pipelines.orchestration.recording import record_reconciliation
    from pipelines.payments import service
    from pipelines.progress import Terminal

    settings = _settings(home, as_of)
    _need_home(settings)
    if offline:
        from pipelines.payments import tie_out

        if since is not None:
            raise ConfigurationError(
                "what was published is shown whole",
                where="--since",
                remedy="leave it out, or compare with Stripe without --offline",
            )
        tie_out.need_format(output_format or "table")
        published = tie_out.read_tie_out(settings.home)
        tie_out.write_tie_out(published, sys.stdout, output_format or "table")
        tie_out.fail_if_unexplained(published)
        return
    if output_format is not None:
        raise ConfigurationError(
            "only the tie-out has formats",
            where="--format",
            remedy="add --offline; differences with Stripe are in the ledger's table stripe_differences",
        )
    start = parse_date(since, "--since") if since else None
    with Terminal() as steps:
        found = service.reconcile_ledger(settings, steps, start)
    service.show_reconciliation(found, sys.stdout)
    _warn(record_reconciliation(settings.home, found))
    service.fail_if_different(found)


@app.command(epilog="Example: `meterhouse webhooks --port 8400`, behind a proxy that speaks TLS")
def webhooks(
    port: Annotated[int, typer.Option("--port", min=1, max=65535, help="Where it listens.")] = 8400,
    host: Annotated[
        str, typer.Option("--host", help="Which address; anything but loopback is reachable from outside.")
    ] = "127.0.0.1",
    home: HomeOption = None,
    as_of: AsOfOption = None,
    debug: DebugOption = False,
) -> None:
    """Take Stripe's events at /webhooks/stripe: payments, voided invoices, cancelled subscriptions."""
    from pipelines.payments.service import listen

    settings = _settings(home, as_of)
    _need_home(settings)
    listen(settings, host, port, typer.echo)


@app.command(epilog="Example: `meterhouse ui --port 3001`, then open http://127.0.0.1:3001")
def ui(
    port: Annotated[
        str, typer.Option("--port", metavar="PORT", help="Where the web interface listens.")
    ] = "3000",
    host: Annotated[
        str, typer.Option("--host", help="Which address; anything but loopback is reachable from outside.")
    ] = "127.0.0.1",
    home: HomeOption = None,
    as_of: AsOfOption = None,
    debug: DebugOption = False,
) -> None:
    """Dagster's web interface on this home, with its schedules and the watch for new files running.

    Closing and sending start by hand until they are switched on there, or with METERHOUSE_SCHEDULES=all.
    """
    from pipelines.orchestration.interface import parse_port, serve_interface

    settings = _settings(home, as_of)
    _need_home(settings)
    if settings.fixed_clock:
        raise ConfigurationError(
            "the interface runs by the wall clock", where="--as-of", remedy="use it with `meterhouse run`"
        )
    code = serve_interface(settings, host, parse_port(port), typer.echo)
    typer.echo("Interrupted: the interface and all that it started have ended.", err=True)
    # All is ended and written; on a busy machine Python takes seconds to take Dagster's modules apart.
    os._exit(code)


@app.command(epilog="Example: `meterhouse docs`, then open the page it names.")
def docs(home: HomeOption = None, as_of: AsOfOption = None, debug: DebugOption = False) -> None:
    """Write dbt's documentation of the marts, their lineage and who reads them as one web page."""
    from pipelines.lock import hold_home
    from pipelines.progress import Terminal
    from pipelines.session import Session
    from pipelines.warehouse.builds import write_docs

    settings = _settings(home, as_of)
    _need_home(settings)
    if not settings.home.warehouse_file.exists():
        raise MeterhouseError(
            "there is no warehouse yet", where=str(settings.home.root), remedy="run `meterhouse run`"
        )
    with Terminal() as steps, hold_home(settings.home, _command(), on_wait=_say_waiting(steps)):
        session = Session(settings, steps)
        with steps.step("Writing documentation"):
            page = write_docs(settings.home, session.dbt_settings({}))
    typer.echo(str(page))


def _settings(home: Path | None, as_of: str | None) -> "Settings":
    from pipelines.settings import load_settings

    return load_settings(home, as_of)


def _need_home(settings: "Settings") -> None:
    if not settings.home.catalog.is_dir():
        raise ConfigurationError(
            "there is no home here: it has no catalog/",
            where=str(settings.home.root),
            remedy=f"start one (`meterhouse init --product ai_pair_orchestrator --home {settings.home.root}`)"
            " or name another with --home",
        )


def _command() -> str:
    return " ".join(["meterhouse", *sys.argv[1:]])


def _say_waiting(steps: "Steps") -> "Callable[[str], None]":
    return lambda holder: steps.say(f"Another command holds this home: {holder}. Waiting for it to end.")


def _warn(text: str | None) -> None:
    if text is not None:
        typer.echo(f"Warning: {text}", err=True)


def _complain(text: str) -> None:
    from rich.console import Console

    Console(stderr=True, highlight=False).print(text, style="red", markup=False, soft_wrap=True)
