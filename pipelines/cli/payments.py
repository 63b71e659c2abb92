"""Stripe: sending, finalizing, comparing, and taking its events.

Only options and their help: what is shown belongs to ``show/``, the work itself further down.
"""

import sys
from typing import Annotated

import typer

from pipelines.cli.app import STRIPE, AsOfOption, HomeOption, need_home, settings_of, warn
from pipelines.errors import ConfigurationError, MeterhouseError
from pipelines.times import parse_date

app = typer.Typer()


@app.command(
    rich_help_panel=STRIPE,
    epilog="Examples: `meterhouse send` · `meterhouse send --again` · `meterhouse send --again line_6b69`",
)
def send(
    subjects: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="ID", help="With --again: lines, invoices or credit notes.", show_default=False
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
) -> None:
    """Send issued invoices, their lines and credit notes to Stripe, each exactly once.

    Without STRIPE_API_KEY it shows what would be sent, and sends nothing.
    """
    from pipelines.cli.show import payments as show
    from pipelines.orchestration.recording import record_sending
    from pipelines.payments import service
    from pipelines.progress import Terminal

    settings = settings_of(home, as_of)
    need_home(settings)
    if subjects and not again:
        raise ConfigurationError(
            f"{subjects[0]!r} is not expected here", where="send", remedy="write --again before the ids"
        )
    with Terminal() as steps:
        report = service.send_outbox(settings, steps, (subjects or []) if again else None)
    if report is None:
        show.show_waiting(settings, sys.stdout)
        return
    show.show_sent(report, sys.stdout)
    warn(record_sending(settings.home, report))
    service.fail_if_open(report)


@app.command(
    rich_help_panel=STRIPE,
    epilog="Examples: `meterhouse finalize` · `meterhouse finalize INV-000007 --collect`",
)
def finalize(
    invoices: Annotated[
        list[str] | None,
        typer.Argument(metavar="INVOICE", help="Numbers or ids. Default: all.", show_default=False),
    ] = None,
    collect: Annotated[
        bool,
        typer.Option("--collect", help="Let Stripe collect the payment by itself, by card or by e-mail."),
    ] = False,
    home: HomeOption = None,
    as_of: AsOfOption = None,
) -> None:
    """Finalize invoices at Stripe whose gate is open: all sent, nothing twice, both sums equal."""
    from pipelines.cli.show import payments as show
    from pipelines.payments import service
    from pipelines.progress import Terminal

    settings = settings_of(home, as_of)
    need_home(settings)
    with Terminal() as steps:
        report = service.finalize_invoices(settings, steps, invoices or [], collects=collect)
    show.show_finalized(report, sys.stdout)
    if report.held:
        raise MeterhouseError(
            f"{len(report.held):,} invoices were held back",
            where="finalize",
            remedy="the reasons are above; run it again when they are gone",
        )


@app.command(
    rich_help_panel=STRIPE,
    epilog="Examples: `meterhouse reconcile` · `meterhouse reconcile --since 2026-01-01`"
    " · `meterhouse reconcile --offline --format csv`",
)
def reconcile(
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
) -> None:
    """Compare the ledger with what Stripe holds; differences end it with exit code 1."""
    from pipelines.cli.show import payments as show
    from pipelines.orchestration.recording import record_reconciliation
    from pipelines.payments import service
    from pipelines.progress import Terminal

    settings = settings_of(home, as_of)
    need_home(settings)
    if offline:
        from pipelines.cli.show.output import need_format
        from pipelines.cli.show.tie_out import write_tie_out
        from pipelines.payments import tie_out

        if since is not None:
            raise ConfigurationError(
                "what was published is shown whole",
                where="--since",
                remedy="leave it out, or compare with Stripe without --offline",
            )
        need_format(output_format or "table")
        published = tie_out.read_tie_out(settings.home)
        write_tie_out(published, sys.stdout, output_format or "table")
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
    show.show_reconciliation(found, sys.stdout)
    warn(record_reconciliation(settings.home, found))
    service.fail_if_different(found)


@app.command(
    rich_help_panel=STRIPE,
    epilog="Example: `meterhouse webhooks --port 8400`, behind a proxy that speaks TLS",
)
def webhooks(
    port: Annotated[
        int, typer.Option("--port", metavar="PORT", min=1, max=65535, help="Where it listens.")
    ] = 8400,
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
    """Take Stripe's events at /webhooks/stripe: payments, voided invoices, cancelled subscriptions."""
    from pipelines.api.stripe_events import listen

    settings = settings_of(home, as_of)
    need_home(settings)
    listen(settings, host, port, typer.echo)
