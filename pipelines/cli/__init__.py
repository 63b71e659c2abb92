"""The command line: arguments in, exit codes and readable text out. The work itself does not belong here.

A module holds the commands of one subject with their options, ``show/`` what they print. Dagster and dbt take
seconds to import, so everything but the standard library and typer is imported by the command that needs it.
"""

import logging
import sys
from importlib.metadata import version
from typing import TYPE_CHECKING, Annotated, cast

import typer
from typer.core import TyperArgument

from pipelines import interruption
from pipelines.cli import (
    alerts,
    close,
    documents,
    export,
    home,
    payments,
    rebuild,
    recommendations,
    run,
    trace,
    ui,
    usage,
)
from pipelines.cli.app import command_line, complain
from pipelines.errors import MeterhouseError, describe_os_error
from pipelines.files import keep_private

if TYPE_CHECKING:
    from typer.core import TyperGroup


def _tell_version(is_asked: bool) -> None:
    if is_asked:
        typer.echo(f"meterhouse {version('meterhouse')}")
        raise typer.Exit


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


@app.callback()
def _about(
    shows_version: Annotated[
        bool, typer.Option("--version", callback=_tell_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    pass


for part in (
    home,
    run,
    ui,
    usage,
    export,
    alerts,
    recommendations,
    close,
    documents,
    trace,
    rebuild,
    payments,
):
    app.add_typer(part.app)


def main() -> None:
    """Entry point of the console script."""
    logging.getLogger("meterhouse").addHandler(logging.NullHandler())
    with interruption.told():
        keep_private()
        _run()


def _run() -> None:
    try:
        _commands()(prog_name="meterhouse")
    except MeterhouseError as error:
        interruption.check()
        complain(str(error))
        sys.exit(error.exit_code)
    except Exception as error:
        interruption.check()
        if "--debug" in sys.argv:
            raise
        if isinstance(error, OSError) and error.errno is not None:
            complain(str(describe_os_error(error)))
            sys.exit(1)
        complain(
            f"{type(error).__name__}: {error}\n"
            f"  -> this was not foreseen, during `{command_line()}`. What was published"
            " before is untouched, and the command is safe to repeat; --debug shows where in the code"
        )
        sys.exit(1)


def _commands() -> "TyperGroup":
    """All commands, each with ``--debug``, which ``_run`` looks for itself."""
    shared = typer.Typer(add_completion=False)
    shared.command()(_debug)
    [debug] = typer.main.get_command(shared).params
    debug.expose_value = False
    group = cast("TyperGroup", typer.main.get_command(app))
    for command in group.commands.values():
        command.params.append(debug)
    for command in (group, *group.commands.values()):
        context = typer.Context(command)
        for option in command.get_params(context):
            if getattr(option, "is_flag", False):
                # Who reads the help need not know that a flag is a <bool>,
                option.metavar = ""
            elif isinstance(option, TyperArgument):
                # or an argument a <str>: its name says what it is.
                setattr(option, "display_type_rich", lambda ctx: None)  # noqa: B010
    return group


def _debug(
    debug: Annotated[
        bool, typer.Option("--debug", help="Show Python's traceback when something unexpected fails.")
    ] = False,
) -> None:
    """Stands for the option that every command has."""
