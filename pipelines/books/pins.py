"""Issued periods rated with the terms that they were issued with, where today's documents say otherwise.

Which periods these are is decided in SQL (``int_periods_to_pin``); what differs from what was billed, too.
"""

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import duckdb

from pipelines.books.knowledge import Knowledge
from pipelines.books.recompute import recompute, scratch_folder
from pipelines.home import Home

_PERIODS = "select * from int_periods_to_pin"
# What is computed, and by what its rows are told to be of a period to pin.
_COMPUTED = {
    "int_rated_lines": "invoice_id, subscription_id",
    "int_rating_faults": "subscription_id, period_start, period_end",
}


def rate_pinned_periods(home: Home, knowledge: Knowledge, warehouse: Path) -> Path | None:
    """Rate the periods again, with the catalog and prices of the closing that pinned them.

    Everything else is as the knowledge has it: events, and account rows known later. Cycles and time zones
    that were issued hold in any build.

    :param warehouse: a warehouse built for the knowledge.
    :returns: a folder with Parquet of the columns of ``int_rated_lines`` and of ``int_rating_faults``, named
        like these; None where no period needs it.
    :raises MeterhouseError: the lake lacks what a closing pinned, or a model failed.
    """
    folder = scratch_folder(home, "pinned")
    shutil.rmtree(folder, ignore_errors=True)
    with duckdb.connect(str(warehouse), read_only=True) as connection:
        groups = connection.execute(
            "select catalog_version, prices_version, list(distinct customer_id)"
            f" from ({_PERIODS}) group by all order by all"
        ).fetchall()
        if not groups:
            return None
        folder.mkdir(parents=True)
        connection.execute(f"copy ({_PERIODS}) to '{_text(folder / 'periods.parquet')}' (format parquet)")
    computed = []
    for number, (catalog_version, prices_version, customers) in enumerate(groups, 1):
        file = recompute(
            home,
            replace(knowledge, catalog_version=catalog_version, prices_version=prices_version),
            customers=customers,
            models=list(_COMPUTED),
            folder=folder / str(number),
        )
        computed.append((file, catalog_version, prices_version))
    _collect(computed, folder)
    return folder


def _collect(computed: Sequence[tuple[Path, str, str]], folder: Path) -> None:
    """The rows of the periods themselves, out of everything that was computed beside them."""
    with duckdb.connect() as connection:
        for number, (warehouse, *versions) in enumerate(computed, 1):
            connection.execute(f"attach '{_text(warehouse)}' as computed_{number} (read_only)")
            for table, key in _COMPUTED.items():
                rows = f"""
                    select rows.*
                    from computed_{number}.{table} as rows
                    semi join (
                        select * from '{_text(folder / "periods.parquet")}'
                        where catalog_version = $1 and prices_version = $2
                    ) as periods using ({key})
                """
                verb = f"create table {table} as" if number == 1 else f"insert into {table}"
                connection.execute(f"{verb} {rows}", versions)
        for table in _COMPUTED:
            connection.execute(f"copy {table} to '{_text(folder / table)}.parquet' (format parquet)")


def _text(path: Path) -> str:
    return str(path).replace("'", "''")
