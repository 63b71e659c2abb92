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


def rate_pinned_periods(home: Home, knowledge: Knowledge, warehouse: Path) -> Path | None:
    """Rate the periods again, with the catalog and prices of their closing, time zone and anchor as issued.

    Everything else is as the knowledge has it: events, and account rows known later.

    :param warehouse: a warehouse built for the knowledge.
    :returns: Parquet with the columns of ``int_rated_lines``; None where no period needs it.
    :raises MeterhouseError: the lake lacks what a closing pinned, or a model failed.
    """
    folder = scratch_folder(home, "pinned")
    shutil.rmtree(folder, ignore_errors=True)
    with duckdb.connect(str(warehouse), read_only=True) as connection:
        groups = connection.execute(
            "select catalog_version, prices_version, accounts_version, list(distinct customer_id)"
            f" from ({_PERIODS}) group by all order by all"
        ).fetchall()
        if not groups:
            return None
        folder.mkdir(parents=True)
        connection.execute(f"copy ({_PERIODS}) to '{_text(folder / 'periods.parquet')}' (format parquet)")
    computed = []
    for number, (catalog_version, prices_version, accounts_version, customers) in enumerate(groups, 1):
        place = folder / str(number)
        accounts = _pinned_accounts(home, knowledge, folder / "periods.parquet", accounts_version, place)
        pinned = replace(knowledge, catalog_version=catalog_version, prices_version=prices_version)
        file = recompute(
            home,
            pinned.with_accounts(accounts),
            customers=customers,
            models=["int_rated_lines"],
            folder=place / "warehouse",
        )
        computed.append((file, catalog_version, prices_version, accounts_version))
    return _collect(computed, folder)


def _pinned_accounts(
    home: Home, knowledge: Knowledge, periods: Path, accounts_version: str, folder: Path
) -> Path:
    """Accounts tables of the knowledge, with the time zones and anchors that invoices of a version pinned."""
    source = knowledge.accounts_folder or home.lake / "accounts" / knowledge.accounts_version
    target = folder / "accounts"
    shutil.copytree(source, target)
    with duckdb.connect() as connection:
        connection.execute(
            f"create table periods as select * from '{_text(periods)}' where accounts_version = $version",
            {"version": accounts_version},
        )
        for table, column, key in (
            ("customers", "timezone", "customer_id"),
            ("subscriptions", "billing_anchor_day", "subscription_id"),
        ):
            connection.execute(f"""
                copy (
                    select accounts.* replace (coalesce(pinned.{column}, accounts.{column}) as {column})
                    from '{_text(source / f"{table}.parquet")}' as accounts
                    left join (select {key}, max({column}) as {column} from periods group by all) as pinned
                        using ({key})
                ) to '{_text(target / f"{table}.parquet")}' (format parquet)
            """)
    return target


def _collect(computed: Sequence[tuple[Path, str, str, str]], folder: Path) -> Path:
    """The lines of the periods themselves, out of everything that was computed beside them."""
    file = folder / "lines.parquet"
    with duckdb.connect() as connection:
        for number, (warehouse, *versions) in enumerate(computed, 1):
            connection.execute(f"attach '{_text(warehouse)}' as computed_{number} (read_only)")
            lines = f"""
                select lines.*
                from computed_{number}.int_rated_lines as lines
                inner join '{_text(folder / "periods.parquet")}' as periods
                    using (invoice_id, subscription_id)
                where periods.catalog_version = $1 and periods.prices_version = $2
                    and periods.accounts_version = $3
            """
            verb = "create table lines as" if number == 1 else "insert into lines"
            connection.execute(f"{verb} {lines}", versions)
        connection.execute(f"copy lines to '{_text(file)}' (format parquet)")
    return file


def _text(path: Path) -> str:
    return str(path).replace("'", "''")
