"""The command line: arguments in, exit codes and readable text out. The work itself does not belong here.

Dagster and dbt take seconds to import, so everything but the standard library and typer is imported by the
command that needs it.
"""

import logging
import os
import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipelines.errors import ConfigurationError, MeterhouseError

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipelines.progress import Steps
    from pipelines.settings import Settings

app = typer.Typer(
    name="meterhouse",
    help="Turns raw usage events into invoices that finance can prove.\n\n"
    "Start with: meterhouse init --product ai_pair_orchestrator, then meterhouse run.",
    epilog="Exit codes: 0 done; 1 a step failed; 2 wrong arguments or configuration, nothing changed.",
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
    try:
        app(prog_name="meterhouse")
    except MeterhouseError as error:
        _complain(str(error))
        sys.exit(error.exit_code)
    except Exception as error:
        if "--debug" in sys.argv:
            raise
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
            until=_parse_date(until, "--until") if until else now.date(),
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
    from pipelines.progress import Terminal
    from pipelines.runs import run_main_job
    from pipelines.serving.summary import print_summary
    from pipelines.session import Session

    settings = _settings(home, as_of)
    _need_home(settings)
    with Terminal() as steps, hold_home(settings.home, _command(), on_wait=_say_waiting(steps)):
        session = Session(settings, steps, starts_over=full)
        with steps.step("Checking catalog and accounts"):
            session.configuration  # noqa: B018  # faults end the command here, before anything starts
        settings.home.ensure()
        run_main_job(session)
    print_summary(session, Console(highlight=False))


@app.command(epilog="Example: `meterhouse check --home /srv/billing`")
def check(home: HomeOption = None, as_of: AsOfOption = None, debug: DebugOption = False) -> None:
    """Validate the home without changing it: documents, files waiting in the inbox, the lake's books."""
    from pipelines.catalog import load_configuration
    from pipelines.checks import stale_sources, unbalanced_batches
    from pipelines.ingest import pending_files

    settings = _settings(home, as_of)
    _need_home(settings)
    configuration = load_configuration(settings.home)
    catalog, accounts = configuration.catalog, configuration.accounts
    typer.echo(
        f"Catalog and accounts are valid: {len(catalog.meters)} meters, {len(catalog.plans)} plan versions,"
        f" {len(accounts.customers)} customers, {len(accounts.subscriptions)} subscriptions."
    )
    waiting = pending_files(settings.home)
    typer.echo(f"Inbox: {len(waiting)} new files to read." if waiting else "Inbox: nothing new.")
    for file in waiting:
        source = configuration.sources.source_for(file.name) if configuration.sources else None
        typer.echo(f"  {file.name}: {f'source {source.name}' if source else 'no source fits; plain events'}")
    for stale in stale_sources(settings.home, configuration.sources, settings.now()):
        typer.echo(f"Warning: {stale}")
    if faults := unbalanced_batches(settings.home):
        raise MeterhouseError(
            "the lake lost rows: " + "; ".join(faults),
            where=str(settings.home.lake / "batches"),
            remedy="keep the lake as it is and report this",
        )
    typer.echo("Lake: every row read is accepted, duplicate or rejected.")


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


@app.command(epilog="Example: `meterhouse ui --port 3001`, then open http://127.0.0.1:3001")
def ui(
    port: Annotated[
        int, typer.Option("--port", min=1, max=65535, help="Where the web interface listens.")
    ] = 3000,
    home: HomeOption = None,
    as_of: AsOfOption = None,
    debug: DebugOption = False,
) -> None:
    """Dagster's web interface on this home, with its schedules and the watch for new files running."""
    import signal
    import socket

    from pipelines.runs import instance_dir

    settings = _settings(home, as_of)
    _need_home(settings)
    if settings.fixed_clock:
        raise ConfigurationError(
            "the interface runs by the wall clock", where="--as-of", remedy="use it with `meterhouse run`"
        )
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise ConfigurationError(
                f"port {port} is not free: {error.strerror}",
                where="--port",
                remedy="choose another, e.g. --port 3001",
            ) from None
    typer.echo(f"Opening http://127.0.0.1:{port} in a moment; Ctrl+C ends it.")
    environment = {
        **os.environ,
        "DAGSTER_HOME": str(instance_dir(settings.home)),
        "DAGSTER_DISABLE_TELEMETRY": "yes",
        "METERHOUSE_HOME": str(settings.home.root),
    }
    command = [
        sys.executable,
        "-m",
        "dagster",
        "dev",
        "-m",
        "pipelines.definitions",
        "-h",
        "127.0.0.1",
        "-p",
        str(port),
    ]
    # The child gets Ctrl+C from the terminal itself and winds down; waiting for it leaves nothing behind.
    process = subprocess.Popen(command, env=environment)
    signal.signal(signal.SIGTERM, lambda *_: process.terminate())
    while True:
        try:
            sys.exit(1 if process.wait() > 0 else 0)
        except KeyboardInterrupt:
            continue


@app.command(epilog="Example: `meterhouse docs`, then open the page it names.")
def docs(home: HomeOption = None, as_of: AsOfOption = None, debug: DebugOption = False) -> None:
    """Write dbt's documentation of the marts, their lineage and who reads them as one web page."""
    from pipelines.dbt import write_docs
    from pipelines.lock import hold_home
    from pipelines.progress import Terminal
    from pipelines.session import Session

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


def _parse_date(text: str, option: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ConfigurationError(
            f"{text!r} is not a date", where=option, remedy="write e.g. 2026-04-01"
        ) from None


def _complain(text: str) -> None:
    from rich.console import Console

    Console(stderr=True, highlight=False).print(text, style="red", markup=False, soft_wrap=True)
