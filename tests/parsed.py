"""The dbt project, parsed once for all tests until one of its files changes; by itself each home parses it again.

What is built on it belongs to the tests.
"""

import shutil
from functools import cache
from pathlib import Path
from typing import Any

from filelock import FileLock

from pipelines.home import Home
from pipelines.warehouse import builds
from pipelines.warehouse.project import target_dir

KEPT = Home(Path(__file__).parents[1] / ".pytest_cache" / "meterhouse")


@cache
def parsed_home() -> Home:
    """A home that holds nothing but the parsed project; processes share it."""
    KEPT.cache.mkdir(parents=True, exist_ok=True)
    with FileLock(KEPT.cache / "parsing.lock"):
        builds.load_manifest(KEPT)
    return KEPT


def give_parsed(root: Path) -> None:
    """Put the parsed project where a home keeps it."""
    kept = target_dir(Home(root))
    kept.mkdir(parents=True, exist_ok=True)
    for file in target_dir(parsed_home()).glob("manifest-*"):
        shutil.copy(file, kept)


def parsed_project() -> Any:
    """As dbt takes it; a copy for each build, which writes into it."""
    return builds.load_parsed(parsed_home())
