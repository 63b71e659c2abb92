"""Where the console script begins: signals are answered first, then the command line is loaded.

Commands do not belong here (``pipelines.cli``), nor does anything that takes time to import.
"""

from pipelines import interruption


def main() -> None:
    """Run the command that the arguments name."""
    with interruption.told(is_last=True):
        from pipelines.cli import main as run_command

        run_command()
