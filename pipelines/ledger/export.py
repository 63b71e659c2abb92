"""The ledger's facts as Parquet in the lake, so that dbt reads them on any engine; nothing reads them back.

Small tables are written whole. What a closing issued never changes: one file per table and closing.
The outbox stays inside: what was delivered when is nobody's fact but the sender's.
"""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import sqlalchemy as sa
from filelock import FileLock

from pipelines.files import matching, on_disk
from pipelines.home import Home
from pipelines.lake.places import export_folder
from pipelines.ledger.books_schema import (
    BOOKS,
    closings,
    credit_note_lines,
    credit_notes,
    issued_invoices,
    issued_lines,
)
from pipelines.ledger.connect import LedgerError
from pipelines.ledger.payments_schema import (
    stripe_differences,
    stripe_invoices,
    stripe_outbox,
    stripe_reconciliations,
    stripe_seen,
)
from pipelines.ledger.schema import ExactDecimal, Instant, alert_reads, alerts, decisions

DECIMAL = pa.decimal128(38, 12)
_EXPORTED = (alerts, alert_reads, decisions)
_PAYMENTS = {
    # With what shows that a table changed. What a request said in full stays in the ledger.
    stripe_outbox: (stripe_outbox.c.state, stripe_outbox.c.changed_at),
    stripe_invoices: (stripe_invoices.c.status, stripe_invoices.c.changed_at),
    stripe_seen: (stripe_seen.c.object, stripe_seen.c.seen_at),
    stripe_reconciliations: (stripe_reconciliations.c.account, stripe_reconciliations.c.finished_at),
    stripe_differences: (stripe_differences.c.reconciliation_id, stripe_differences.c.difference_id),
}
_NOT_EXPORTED = {stripe_outbox.c.content, stripe_outbox.c.request}
_STATE = b"meterhouse.state"


def exported_files(home: Home) -> list[Path]:
    """The files that an export writes."""
    return [export_folder(home) / f"{table.name}.parquet" for table in (*_EXPORTED, *_PAYMENTS)]


def export_tables(engine: sa.Engine, home: Home) -> None:
    """Write every exported table, each replaced in one rename, rows in the order of their keys.

    Exports of one home take turns and read after they got theirs, so the last one written is the newest.
    """
    folder = export_folder(home)
    folder.mkdir(parents=True, exist_ok=True)
    home.ledger.mkdir(parents=True, exist_ok=True)
    with FileLock(home.ledger / ".export.lock"):
        with engine.connect() as connection:
            found = {
                table: connection.execute(sa.select(table).order_by(*table.primary_key.columns)).all()
                for table in _EXPORTED
            }
        for table, rows in found.items():
            _write(_as_arrow(table.columns, rows), folder / f"{table.name}.parquet")


def export_books(engine: sa.Engine, home: Home) -> None:
    """Write the closings that the lake does not have yet: ``<table>/<closing number>.parquet``.

    A closing's own row comes last; where it is, its other files are, unless the ledger got tables since.
    Where a table got columns since, its files are written again.

    :raises LedgerError: the lake has a closing that the ledger lacks: an older ledger was put in its place.
    """
    folder = export_folder(home)
    home.ledger.mkdir(parents=True, exist_ok=True)
    with FileLock(home.ledger / ".export.lock"), engine.connect() as connection:
        issued: set[int] = set(connection.scalars(sa.select(closings.c.closing_number)))
        written = {
            table: {int(file.stem) for file in matching(folder / table.name, "[0-9]*.parquet")}
            for table in BOOKS
        }
        if strange := written[closings] - issued:
            raise LedgerError(
                f"closing {min(strange)} is in the lake, but not in the ledger",
                where=str(folder / closings.name / f"{min(strange)}.parquet"),
                remedy="this is not the ledger that this lake belongs to: restore the newest backup of it",
            )
        for number in sorted(
            number for number in issued if any(number not in files for files in written.values())
        ):
            for table in reversed(BOOKS):
                (folder / table.name).mkdir(parents=True, exist_ok=True)
                _write_closing(connection, table, number, folder)
        for table, files in written.items():
            # Newest first: until the oldest has every column, others may lack one.
            kept = sorted(files & issued, reverse=True)
            if kept and _lacks_columns(table, folder / table.name / f"{kept[-1]}.parquet"):
                for number in kept:
                    _write_closing(connection, table, number, folder)


def _write_closing(connection: sa.Connection, table: sa.Table, number: int, folder: Path) -> None:
    rows = connection.execute(_of_closing(table, number)).all()
    _write(_as_arrow(table.columns, rows), folder / table.name / f"{number}.parquet")


def _lacks_columns(table: sa.Table, file: Path) -> bool:
    try:
        return not set(table.columns.keys()) <= set(pq.read_schema(file).names)
    except pa.ArrowInvalid:
        return True


def export_payments(engine: sa.Engine, home: Home) -> None:
    """Write the tables of payments that changed since they were last written, each whole."""
    folder = export_folder(home)
    folder.mkdir(parents=True, exist_ok=True)
    home.ledger.mkdir(parents=True, exist_ok=True)
    with FileLock(home.ledger / ".export.lock"), engine.connect() as connection:
        for table, (kind, changed) in _PAYMENTS.items():
            counts = sa.select(kind, sa.func.count(), sa.func.max(changed)).group_by(kind).order_by(kind)
            state = repr([tuple(row) for row in connection.execute(counts)]).encode()
            file = folder / f"{table.name}.parquet"
            if file.exists() and (pq.read_schema(file).metadata or {}).get(_STATE) == state:
                continue
            columns = [column for column in table.columns if column not in _NOT_EXPORTED]
            rows = connection.execute(sa.select(*columns).order_by(*table.primary_key.columns)).all()
            _write(_as_arrow(columns, rows).replace_schema_metadata({_STATE: state}), file)


def find_damaged_exports(engine: sa.Engine, home: Home) -> list[Path]:
    """Exported files of issued documents that do not say what the ledger says; read-only."""
    folder = export_folder(home)
    damaged: list[Path] = []
    with engine.connect() as connection:
        for table in BOOKS:
            for file in matching(folder / table.name, "[0-9]*.parquet"):
                rows = connection.execute(_of_closing(table, int(file.stem))).all()
                try:
                    is_same = pq.read_table(file).equals(_as_arrow(table.columns, rows))
                except (OSError, pa.ArrowException):
                    is_same = False
                if not is_same:
                    damaged.append(file)
    return damaged


def _of_closing(table: sa.Table, number: int) -> sa.Select[Any]:
    """The rows of a table that a closing brought, in the order of their keys."""
    rows = sa.select(table).order_by(*table.primary_key.columns)
    if table is issued_lines:
        rows = rows.join(issued_invoices, issued_lines.c.invoice_id == issued_invoices.c.invoice_id)
        return rows.where(issued_invoices.c.closing_number == number)
    if table is credit_note_lines:
        rows = rows.join(credit_notes, credit_note_lines.c.credit_note_id == credit_notes.c.credit_note_id)
        return rows.where(credit_notes.c.closing_number == number)
    return rows.where(table.c.closing_number == number)


def exact(value: Decimal | None) -> Decimal | None:
    """The decimal at the export's scale.

    :raises ValueError: it has more digits than DECIMAL(38,12) holds; nothing is rounded here.
    """
    if value is None:
        return None
    try:
        return Decimal(str(pa.scalar(value, DECIMAL).as_py()))
    except pa.ArrowInvalid:
        raise ValueError(f"{value} does not fit DECIMAL(38,12) exactly") from None


def _as_arrow(described: Iterable[sa.Column[Any]], rows: Sequence[sa.Row[Any]]) -> pa.Table:
    schema = pa.schema(
        [pa.field(column.name, _arrow_type(column), nullable=bool(column.nullable)) for column in described]
    )
    columns = list(zip(*rows, strict=True)) or [()] * len(schema)
    arrays = [pa.array(values, field.type) for values, field in zip(columns, schema, strict=True)]
    return pa.Table.from_arrays(arrays, schema=schema)


def _arrow_type(column: sa.Column[Any]) -> pa.DataType:
    if isinstance(column.type, ExactDecimal):
        return DECIMAL
    if isinstance(column.type, Instant):
        return pa.timestamp("us", tz="UTC")
    if isinstance(column.type, sa.Date):
        return pa.date32()
    if isinstance(column.type, sa.Integer):
        return pa.int64()
    if isinstance(column.type, sa.Boolean):
        return pa.bool_()
    return pa.string()


def _write(table: pa.Table, path: Path) -> None:
    aside = path.with_name(f".{path.name}")
    with on_disk(aside) as sink:
        pq.write_table(table, sink, compression="zstd")
    aside.replace(path)
