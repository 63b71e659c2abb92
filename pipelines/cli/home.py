"""A home: started, checked, kept and brought back.

Only options and their help: what is shown belongs to ``show/``, the work itself further down.
"""

from pathlib import Path
from typing import Annotated

import typer

from pipelines.cli.app import HOME, AsOfOption, HomeOption, command_line, need_home, say_waiting, settings_of
from pipelines.errors import ConfigurationError, MeterhouseError, any_of
from pipelines.files import open_to_others

app = typer.Typer()


_MOST_LISTED = 100


@app.command(
    rich_help_panel=HOME,
    epilog="Example: `meterhouse init --product ai_pair_orchestrator --home /srv/billing`",
)
def init(
    product: Annotated[
        str | None,
        typer.Option(
            "--product",
            metavar="NAME",
            help="Whose catalog and accounts to start with; without it the products are listed.",
            show_default=False,
        ),
    ] = None,
    home: HomeOption = None,
    as_of: AsOfOption = None,
) -> None:
    """Start a home with a product's catalog and accounts. Documents that differ are never overwritten."""
    from pipelines.catalog.products import copy_product, list_products

    settings = settings_of(home, as_of)
    if product is None:
        raise ConfigurationError(
            "it is not said whose catalog and accounts to start with",
            where="--product",
            remedy=f"write {any_of(list_products())}",
        )
    copy_product(settings.home, product)
    typer.echo(f"{settings.home.root} now has the catalog and accounts of {product}.")
    typer.echo(
        "Put files into its inbox/, or simulate some: `meterhouse simulate-usage`, then `meterhouse run`"
    )


@app.command(
    rich_help_panel=HOME,
    epilog="Examples: `meterhouse check --home /srv/billing` · `meterhouse check --set-aside`",
)
def check(
    aside: Annotated[
        bool, typer.Option("--set-aside", help="Move files that no commit names from lake/ to lake/.aside/.")
    ] = False,
    home: HomeOption = None,
    as_of: AsOfOption = None,
) -> None:
    """Validate the home without changing it: documents, waiting files, and every file of the lake."""
    from pipelines.catalog import load_configuration
    from pipelines.catalog.issued_plans import need_issued_plans
    from pipelines.ingest import by_reason, pending
    from pipelines.lake.checks import stale_sources, unbalanced_batches
    from pipelines.lake.links import links_out_of_lake
    from pipelines.maintenance.lake_check import check_lake, set_strangers_aside
    from pipelines.progress import Terminal

    settings = settings_of(home, as_of)
    need_home(settings)
    configuration = load_configuration(settings.home)
    need_issued_plans(settings.home, configuration)
    if aside:
        from pipelines.lock import hold_home

        with Terminal() as steps, hold_home(settings.home, command_line(), on_wait=say_waiting(steps)):
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
    for folder in open_to_others(settings.home.private_folders):
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
    rich_help_panel=HOME, epilog="Example: `meterhouse backup /mnt/backups/meterhouse-2026-04-01.tar`"
)
def backup(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A new .tar file.", show_default=False)],
    home: HomeOption = None,
    as_of: AsOfOption = None,
) -> None:
    """Write what cannot be computed again into one file: lake, ledger, catalog and accounts. No secrets."""
    from pipelines.lock import hold_home
    from pipelines.maintenance.backup import back_up
    from pipelines.progress import Terminal

    settings = settings_of(home, as_of)
    need_home(settings)
    with (
        Terminal() as steps,
        hold_home(settings.home, command_line(), on_wait=say_waiting(steps)),
        steps.step("Backing up and checking") as step,
    ):
        made = back_up(settings.home, file.expanduser().resolve(), settings.now(), step.update)
    for link in made.refused:
        typer.echo(f"Warning: {link}")
    rows = sum(made.rows.values())
    typer.echo(f"{file}: {made.files:,} files and {rows:,} rows of the ledger, read back and whole.")


@app.command(
    rich_help_panel=HOME,
    epilog="Example: `meterhouse restore /mnt/backups/meterhouse-2026-04-01.tar --home /srv/billing`",
)
def restore(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What `backup` wrote.", show_default=False)],
    home: HomeOption = None,
    as_of: AsOfOption = None,
) -> None:
    """Make a home from a backup, in an empty folder and an empty ledger; checked whole before it is used."""
    from pipelines.lock import hold_home
    from pipelines.maintenance.backup import restore as restore_home
    from pipelines.progress import Terminal

    settings = settings_of(home, as_of)
    with (
        Terminal() as steps,
        hold_home(settings.home, command_line(), on_wait=say_waiting(steps)),
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
