"""Usage in, marts out: runs, files that are read again, simulated usage, the models' documentation.

Only options and their help: what is shown belongs to ``show/``, the work itself further down.
"""

from typing import Annotated

import typer

from pipelines.cli.app import HOME, AsOfOption, HomeOption, command_line, need_home, say_waiting, settings_of
from pipelines.times import parse_date

app = typer.Typer()


@app.command(
    rich_help_panel=HOME,
    epilog="Examples: `meterhouse run` · `meterhouse run --home /srv/billing --as-of 2026-04-01T00:00:00Z`",
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
) -> None:
    """Read new usage files, rebuild what they touch, check everything, publish."""
    from rich.console import Console

    from pipelines.cli.show.run_summary import print_summary
    from pipelines.lock import hold_home
    from pipelines.orchestration.runs import run_main_job
    from pipelines.progress import Terminal
    from pipelines.session import Session
    from pipelines.settings import need_schedule_settings

    settings = settings_of(home, as_of)
    need_home(settings)
    need_schedule_settings()
    with Terminal() as steps, hold_home(settings.home, command_line(), on_wait=say_waiting(steps)):
        session = Session(settings, steps, starts_over=full)
        with steps.step("Checking catalog and accounts"):
            session.adopt()
        settings.home.ensure()
        run_main_job(session)
    print_summary(session, Console(highlight=False))


@app.command(
    rich_help_panel=HOME,
    epilog="Examples: `meterhouse reread openai/2026-03.jsonl` · `meterhouse reread openai`",
)
def reread(
    paths: Annotated[
        list[str],
        typer.Argument(metavar="PATH", help="Files or folders in inbox/.", show_default=False),
    ],
    home: HomeOption = None,
    as_of: AsOfOption = None,
) -> None:
    """Read files again with today's mapping; what they gave before and do not say again is taken out."""
    from pipelines.ingest import reread_files
    from pipelines.lock import hold_home
    from pipelines.progress import Terminal
    from pipelines.session import Session

    settings = settings_of(home, as_of)
    need_home(settings)
    with Terminal() as steps, hold_home(settings.home, command_line(), on_wait=say_waiting(steps)):
        session = Session(settings, steps)
        session.adopt()
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
    "simulate-usage",
    rich_help_panel=HOME,
    epilog="Example: `meterhouse simulate-usage --events 100000 --days 92 --seed 1 --until 2026-04-01`",
)
def simulate_usage_command(  # noqa: PLR0917
    events: Annotated[int, typer.Option("--events", metavar="N", min=1, help="Records to write.")] = 100_000,
    days: Annotated[int, typer.Option("--days", metavar="N", min=1, help="Days that they cover.")] = 92,
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="Another seed gives other usage.")] = 1,
    until: Annotated[
        str | None,
        typer.Option(
            "--until", metavar="DATE", help="First day without usage, UTC. Default: the clock's today."
        ),
    ] = None,
    home: HomeOption = None,
    as_of: AsOfOption = None,
) -> None:
    """Write realistic usage files into inbox/, with duplicates, revisions, late and bad records."""
    from pipelines.progress import Terminal
    from pipelines.simulate import simulate_usage

    settings = settings_of(home, as_of)
    need_home(settings)
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


@app.command(rich_help_panel=HOME, epilog="Example: `meterhouse docs`, then open the page it names.")
def docs(
    home: HomeOption = None,
    as_of: AsOfOption = None,
) -> None:
    """Write the models as dbt knows them as one web page: columns, lineage, who reads them. Needs no run."""
    from pipelines.progress import Terminal
    from pipelines.warehouse.builds import write_docs

    settings = settings_of(home, as_of)
    need_home(settings)
    with Terminal() as steps, steps.step("Writing documentation"):
        page = write_docs(settings.home)
    typer.echo(str(page))
