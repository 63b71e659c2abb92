"""Opening the published file for a command that reads it, and finding whom it asks about.

What is asked, and how answers look, does not belong here.
"""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from pipelines.errors import ConfigurationError, MeterhouseError, what_was_meant
from pipelines.warehouse.measure import open_tables, unreadable

_MOST_NAMED = 10


@contextmanager
def open_published(file: Path, needed: Collection[str] = ()) -> Iterator[duckdb.DuckDBPyConnection]:
    """The published file, read-only; a publication meanwhile leaves this reader its file.

    Temporary tables may be made beside it.

    :param needed: tables without which there is no answer.
    :raises MeterhouseError: there is no file, or it lacks what was asked for.
    """
    if not file.exists():
        raise MeterhouseError(
            "nothing has been published yet",
            where=str(file),
            remedy=f"`meterhouse run --home {file.parent.parent}` reads the inbox and publishes",
        )
    try:
        with open_tables(file) as tables:
            found = {row[0] for row in tables.execute("select table_name from duckdb_tables()").fetchall()}
            if missing := sorted(set(needed) - found):
                raise MeterhouseError(
                    f"an earlier version published this file: it has no {', '.join(missing)}",
                    where=str(file),
                    remedy="run `meterhouse run`",
                )
            yield tables
    except duckdb.Error as error:
        raise unreadable(file, error) from error


def need_customer(tables: duckdb.DuckDBPyConnection, customer_id: str) -> None:
    """Go on only with a customer that the published accounts know.

    :raises ConfigurationError: they do not; names the closest, or all where they are few.
    """
    known = [row[0] for row in tables.execute("select customer_id from customers order by all").fetchall()]
    if customer_id in known:
        return
    how_many = f"the published file has {len(known):,} customers; run `meterhouse run` after adding one"
    are_few = 0 < len(known) <= _MOST_NAMED
    remedy = what_was_meant(customer_id, known, None if are_few else how_many)
    raise ConfigurationError(f"no customer has the id {customer_id!r}", where="CUSTOMER", remedy=remedy)
