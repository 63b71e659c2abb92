"""Rows of the published file written as CSV or Parquet: whole or not at all, and never over another file.

Which rows a mart holds does not belong here.
"""

import os
import secrets
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Final, Literal, TextIO

import duckdb

from pipelines import interruption
from pipelines.errors import ConfigurationError, MeterhouseError, what_was_meant
from pipelines.files import make_shared_folder, share, sync
from pipelines.home import Home
from pipelines.serving.readers import need_customer, open_published
from pipelines.tables import select_without_formulas
from pipelines.warehouse.measure import Grain, grain_of

Format = Literal["csv", "parquet"]
STANDARD_OUTPUT: Final = Path("-")
_DAY: Final[dict[Grain, str]] = {"day": "usage_date", "month": "cast(period_end - 1 as date)"}


@dataclass(frozen=True)
class Export:
    """What to write where.

    :param table: a published table of customers' days of usage or cycles.
    :param first_day: with ``last_day`` (included): days of usage, or the last days of cycles.
    :param customer_id: None: all customers.
    :param file: ``-`` is standard output.
    :param is_raw: texts of CSV as they are, also where a spreadsheet takes them for formulas.
    """

    table: str
    first_day: date
    last_day: date
    file: Path
    format: Format = "csv"
    customer_id: str | None = None
    may_overwrite: bool = False
    is_raw: bool = False


@dataclass(frozen=True)
class ExportedRows:
    """How many rows were written, and between which days the table has any of that customer."""

    rows: int
    first_day: date | None
    last_day: date | None


def export_rows(home: Home, export: Export, output: TextIO) -> ExportedRows:
    """Write the rows, ordered by day, in the columns and exact types of the table.

    :param output: takes what goes to standard output.
    :raises ConfigurationError: no such customer or table, or the file is there and may not be overwritten.
    :raises MeterhouseError: nothing has been published, or the file cannot be written.
    """
    if export.file != STANDARD_OUTPUT and export.file.exists() and not export.may_overwrite:
        raise _already_there(export.file)
    with open_published(home.published_file) as tables:
        if export.customer_id is not None:
            need_customer(tables, export.customer_id)
        day = _DAY[_grain(tables, export.table)]
        of_customer = "customer_id = $customer_id" if export.customer_id is not None else "true"
        customer = {} if export.customer_id is None else {"customer_id": export.customer_id}
        bounds = tables.execute(
            f'select min({day}), max({day}) from "{export.table}" where {of_customer}', customer
        ).fetchone()
        rows = tables.sql(
            f'from "{export.table}" where {of_customer} and {day} between $first_day and $last_day'
            f" order by {day}, columns(*)",
            params={**customer, "first_day": export.first_day, "last_day": export.last_day},
        )
        if export.format == "csv" and not export.is_raw:
            rows = rows.select(select_without_formulas(rows))
        try:
            to_output = export.file == STANDARD_OUTPUT
            count = _write_to(output, rows) if to_output else _write_file(export, rows)
        except (OSError, duckdb.IOException) as error:
            raise MeterhouseError(
                f"nothing was written: {error}", where=str(export.file), remedy="write to another place"
            ) from error
    return ExportedRows(count, *(bounds or (None, None)))


def exportable_tables(tables: duckdb.DuckDBPyConnection) -> dict[str, Grain]:
    """The published tables that have customers, and days of usage or cycles."""
    columns: dict[str, list[str]] = {}
    for table, column in tables.execute(
        "select table_name, column_name from information_schema.columns order by all"
    ).fetchall():
        columns.setdefault(table, []).append(column)
    return {
        table: grain
        for table, names in columns.items()
        if "customer_id" in names and (grain := grain_of(names)) is not None
    }


def _grain(tables: duckdb.DuckDBPyConnection, table: str) -> Grain:
    known = exportable_tables(tables)
    if table not in known:
        raise ConfigurationError(
            f"{table!r} is no table of customers' days or cycles",
            where="--table",
            remedy=what_was_meant(table, known, None if known else "`meterhouse run` publishes them"),
        )
    return known[table]


def _write_to(output: TextIO, rows: duckdb.DuckDBPyRelation) -> int:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "rows.csv"
        rows.write_csv(str(file), header=True)
        with file.open(encoding="utf-8", newline="") as written:
            shutil.copyfileobj(written, output)
        return _count(rows)


def _write_file(export: Export, rows: duckdb.DuckDBPyRelation) -> int:
    make_shared_folder(export.file.parent)
    fresh = export.file.with_name(f".{export.file.name}.{secrets.token_hex(4)}")
    try:
        if export.format == "csv":
            rows.write_csv(str(fresh), header=True)
        else:
            rows.write_parquet(str(fresh), compression="zstd")
        share(fresh)
        sync(fresh)
        _put_in_place(fresh, export)
    finally:
        fresh.unlink(missing_ok=True)
    return _count(rows)


def _put_in_place(fresh: Path, export: Export) -> None:
    with interruption.held():
        _rename(fresh, export)
        interruption.has_done(f"{export.file} is written")


def _rename(fresh: Path, export: Export) -> None:
    if export.may_overwrite:
        fresh.replace(export.file)
        return
    try:
        # Unlike a rename, a link never takes the place of what came there meanwhile.
        os.link(fresh, export.file)
    except FileExistsError:
        raise _already_there(export.file) from None
    except OSError:
        # A file system without links.
        fresh.replace(export.file)


def _already_there(file: Path) -> ConfigurationError:
    return ConfigurationError(
        "this file is already there", where=str(file), remedy="choose another name, or add --force"
    )


def _count(rows: duckdb.DuckDBPyRelation) -> int:
    counted: Sequence[int] = rows.count("*").fetchone() or (0,)
    return int(counted[0])
