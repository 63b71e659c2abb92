"""The whole ledger as lines of JSON that either engine takes back: one file per table, every digit as it was.

Which files a backup is made of, and where it is kept, is for ``pipelines.maintenance.backup``.
"""

import json
from collections.abc import Callable, Iterator
from datetime import date, datetime
from decimal import Decimal
from itertools import zip_longest
from pathlib import Path
from typing import Any

import sqlalchemy as sa

# Their tables are part of the one metadata only once they are imported.
import pipelines.ledger.books_schema
import pipelines.ledger.payments_schema  # noqa: F401
from pipelines.figures import plain_text
from pipelines.ledger.connect import LedgerError
from pipelines.ledger.schema import ExactDecimal, Instant, metadata
from pipelines.ledger.store import Ledger

_CHUNK = 2_000
_REVISIONS = "alembic_version"


def dump_ledger(ledger: Ledger, folder: Path) -> str:
    """Write every table as ``<table>.jsonl``, all of one moment; the revision that they are of.

    Decimals, days and instants are texts; rows are in an order in which they can be added again.
    """
    # Writers take turns, so nobody else writes while this one reads.
    with ledger.writing() as connection:
        unknown = set(sa.inspect(connection).get_table_names()) - {*metadata.tables, _REVISIONS}
        if unknown:
            raise LedgerError(
                f"table {min(unknown)} is none of the ledger's",
                where=str(ledger),
                remedy="a database belongs to one ledger: move other tables elsewhere",
            )
        for table in metadata.sorted_tables:
            with (folder / f"{table.name}.jsonl").open("w", encoding="utf-8") as file:
                file.writelines(_lines(connection, table))
        return str(connection.scalar(sa.text(f"select version_num from {_REVISIONS}")))


def load_ledger(ledger: Ledger, folder: Path, *, may_hold_it: bool = False) -> dict[str, int]:
    """Add the rows of ``dump_ledger`` to an empty ledger, in one transaction; how many each table got.

    :param may_hold_it: a ledger that already says the same, word for word, is fine: nothing is added.
    :raises LedgerError: the ledger is not empty, or refuses a row; nothing was added.
    """
    counts: dict[str, int] = {}
    with ledger.writing() as connection:
        for table in metadata.sorted_tables:
            if connection.execute(sa.select(sa.literal(1)).select_from(table).limit(1)).first():
                if may_hold_it and _says(connection, folder):
                    return {}
                raise LedgerError(
                    f"table {table.name} is not empty",
                    where=str(ledger),
                    remedy="a backup is restored into an empty ledger only",
                )
        for table in metadata.sorted_tables:
            counts[table.name] = 0
            for rows in _chunks(table, folder / f"{table.name}.jsonl"):
                connection.execute(sa.insert(table), rows)
                counts[table.name] += len(rows)
        _advance_counters(connection)
    return counts


def _says(connection: sa.Connection, folder: Path) -> bool:
    """Whether the ledger and the files say the same."""
    for table in metadata.sorted_tables:
        with (folder / f"{table.name}.jsonl").open(encoding="utf-8") as lines:
            if not all(ours == line for ours, line in zip_longest(_lines(connection, table), lines)):
                return False
    return True


def _lines(connection: sa.Connection, table: sa.Table) -> Iterator[str]:
    """A table's rows as they are written."""
    for row in connection.execute(sa.select(table).order_by(*_order(table))).mappings():
        record = {name: _out(value) for name, value in row.items()}
        yield json.dumps(record, ensure_ascii=False, separators=(",", ":")) + "\n"


def _order(table: sa.Table) -> list[sa.Column[Any]]:
    """Numbered documents by their number: the database takes no other order."""
    return [table.c.sequence_number] if "sequence_number" in table.c else list(table.primary_key.columns)


def _chunks(table: sa.Table, file: Path) -> Iterator[list[dict[str, Any]]]:
    readers = {column.name: _reader(column) for column in table.columns}
    rows = []
    with file.open(encoding="utf-8") as lines:
        for line in lines:
            record = json.loads(line)
            rows.append(
                {name: None if value is None else readers[name](value) for name, value in record.items()}
            )
            if len(rows) == _CHUNK:
                yield rows
                rows = []
    if rows:
        yield rows


def _out(value: object) -> object:
    if isinstance(value, Decimal):
        return plain_text(value)
    return value.isoformat() if isinstance(value, date | datetime) else value


def _reader(column: sa.Column[Any]) -> Callable[[Any], Any]:
    if isinstance(column.type, ExactDecimal):
        return Decimal
    if isinstance(column.type, Instant):
        return datetime.fromisoformat
    if isinstance(column.type, sa.Date):
        return date.fromisoformat
    return lambda value: value


def _advance_counters(connection: sa.Connection) -> None:
    """PostgreSQL counts apart from the rows; the next number must follow the last one that was added."""
    if connection.dialect.name != "postgresql":
        return
    for table in metadata.sorted_tables:
        for column in table.primary_key.columns:
            if column.autoincrement is True:
                connection.execute(
                    sa.select(
                        sa.func.setval(
                            sa.func.pg_get_serial_sequence(table.name, column.name),
                            sa.func.coalesce(sa.func.max(column), 1),
                            sa.func.count(column) > 0,
                        )
                    ).select_from(table)
                )
