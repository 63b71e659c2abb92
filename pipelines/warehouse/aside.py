"""The warehouse built aside: copied, built, then promoted whole (D-build-whole) or kept as failed.

What is in its tables is dbt's business.
"""

import shutil
from pathlib import Path

import duckdb

from pipelines.files import sync
from pipelines.home import Home


def building_file(home: Home) -> Path:
    """The copy that a build writes. It bears the warehouse's own name: DuckDB views name their database."""
    return home.warehouse / "building" / home.warehouse_file.name


def failed_file(home: Home) -> Path:
    """The last build that did not pass its audit, kept for looking into."""
    return home.warehouse / "failed" / home.warehouse_file.name


def begin_build(home: Home, *, from_nothing: bool) -> Path:
    """Put a copy of the last good warehouse where dbt will build, or nothing; what a killed run left goes."""
    target = building_file(home)
    shutil.rmtree(target.parent, ignore_errors=True)
    target.parent.mkdir(parents=True)
    if home.warehouse_file.exists() and not from_nothing:
        shutil.copyfile(home.warehouse_file, target)
    return target


def built_with(home: Home) -> str | None:
    """Which version of the models made the warehouse; None when there is none, or it cannot be read."""
    try:
        with duckdb.connect(str(home.warehouse_file), read_only=True) as connection:
            row = connection.execute("select code_version from int_build_scope").fetchone()
    except duckdb.Error:
        return None
    return row[0] if row else None


def promote_build(home: Home) -> None:
    """Make the build the warehouse, in one rename."""
    sync(building_file(home))
    building_file(home).replace(home.warehouse_file)
    building_file(home).parent.rmdir()


def keep_failed_build(home: Home) -> Path:
    """Set the build aside for looking into; only the last failure is kept. The warehouse stays."""
    kept = failed_file(home)
    shutil.rmtree(kept.parent, ignore_errors=True)
    building_file(home).parent.replace(kept.parent)
    return kept
