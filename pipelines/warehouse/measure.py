"""Row counts, money totals and partitions of tables, for people to see beside a run.

SQL sums; nothing is computed here.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import duckdb

from pipelines.errors import MeterhouseError

Grain = Literal["day", "month"]


@dataclass(frozen=True)
class Measures:
    """Rows of a table, and its totals by column (and currency), as text: exact however large."""

    rows: int
    totals: dict[str, str]


@contextmanager
def open_tables(file: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """Read a DuckDB file.

    :raises MeterhouseError: it cannot be read, is damaged, or has no table of that name.
    """
    try:
        with duckdb.connect(str(file), read_only=True) as connection:
            connection.execute("set TimeZone = 'UTC'")
            yield connection
    except (duckdb.IOException, duckdb.CatalogException) as error:
        raise unreadable(file, error) from error


def unreadable(file: Path, error: duckdb.Error) -> MeterhouseError:
    """What to do about a warehouse or a published file that is damaged, or of another version."""
    return MeterhouseError(
        f"the file could not be read: {' '.join(str(error).split())}",
        where=str(file),
        remedy="it is damaged, or another version made it: `meterhouse run --full` builds and publishes anew",
    )


def measure(connection: duckdb.DuckDBPyConnection, table: str) -> Measures:
    """Count the rows; total what is money: ``*_usd`` columns, and ``*_minor``, ``*_savings`` by currency."""
    columns = [row[0].replace('"', '""') for row in connection.execute(f'describe "{table}"').fetchall()]
    plain = [column for column in columns if column.endswith("_usd") and "_per_" not in column]
    by_currency = [column for column in columns if column.endswith(("_minor", "_savings"))]
    row = connection.execute(f'select count(*){_sums(plain)} from "{table}"').fetchone() or (0,)
    totals: dict[str, str] = {column: total or "0" for column, total in zip(plain, row[1:], strict=False)}
    if by_currency and "currency" in columns:
        for currency, *sums in connection.execute(
            f'select currency{_sums(by_currency)} from "{table}" group by all order by currency'
        ).fetchall():
            totals |= {f"{column} {currency}": total for column, total in zip(by_currency, sums, strict=True)}
    return Measures(int(row[0]), totals)


def _sums(columns: Sequence[str]) -> str:
    return "".join(f', cast(sum("{column}") as varchar)' for column in columns)


def name_rows(connection: duckdb.DuckDBPyConnection, query: str, most: int = 5) -> str:
    """The first rows of a query in words: ``provider acme, model x1; provider acme, model x2; and 7 more``.

    Values that are null are left out.
    """
    rows = connection.sql(query)
    named = [
        ", ".join(
            f"{name} {value}" for name, value in zip(rows.columns, row, strict=True) if value is not None
        )
        for row in rows.limit(most).fetchall()
    ]
    counted = rows.count("*").fetchone()
    left = (counted[0] if counted else 0) - len(named)
    return "; ".join([*named, f"and {left:,} more"] if left > 0 else named)


def grain_of(columns: Sequence[str]) -> Grain | None:
    """What a mart is rebuilt by: days of usage, months of billing (a cycle's last day), or none."""
    if "usage_date" in columns:
        return "day"
    return "month" if "period_end" in columns else None


_PARTITION_OF = {
    "day": "strftime(usage_date, '%Y-%m-%d')",
    "month": "strftime(period_end - interval 1 day, '%Y-%m-01')",
}


def changed_partitions(connection: duckdb.DuckDBPyConnection, table: str, grain: Grain) -> dict[str, int]:
    """Partition keys (first day, YYYY-MM-DD) that this build computed, with their rows now."""
    touched = connection.execute(
        "select count(*) filter (usage_date is null) > 0 from int_touched_customer_days"
    ).fetchone()
    scope = connection.execute(
        "select days_scope = 'all' or coverage_scope = 'all' from int_build_scope"
    ).fetchone()
    holds = "true"
    if not (scope and scope[0]) and not (touched and touched[0]):
        holds = {
            "day": "usage_date in (select usage_date from int_touched_customer_days)",
            "month": "exists (select 1 from int_touched_customer_days as touched"
            " where touched.usage_date >= period_start and touched.usage_date < period_end)",
        }[grain]
    rows = connection.execute(
        f'select {_PARTITION_OF[grain]} as partition, count(*) from "{table}"'
        f" where {holds} group by all order by all"
    ).fetchall()
    return dict(rows)
