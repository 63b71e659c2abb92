"""The ledger's facts as Parquet in the lake, so that dbt reads them on any engine; nothing reads them back.

The outbox stays inside: what was delivered when is nobody's fact but the sender's.
"""

import os
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import sqlalchemy as sa
from filelock import FileLock

from pipelines.home import Home
from pipelines.ledger.schema import ExactDecimal, Instant, alert_reads, alerts, decisions

DECIMAL = pa.decimal128(38, 12)
_EXPORTED = (alerts, alert_reads, decisions)


def export_folder(home: Home) -> Path:
    """Where the exported tables are: ``<table>.parquet``, always all of them, also when empty."""
    return home.lake / "ledger"


def exported_files(home: Home) -> list[Path]:
    """The files that an export writes."""
    return [export_folder(home) / f"{table.name}.parquet" for table in _EXPORTED]


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
            _write(_as_arrow(table, rows), folder / f"{table.name}.parquet")


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


def _as_arrow(table: sa.Table, rows: Sequence[sa.Row[Any]]) -> pa.Table:
    schema = pa.schema(
        [
            pa.field(column.name, _arrow_type(column), nullable=bool(column.nullable))
            for column in table.columns
        ]
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
    return pa.string()


def _write(table: pa.Table, path: Path) -> None:
    aside = path.with_name(f".{path.name}")
    pq.write_table(table, aside, compression="zstd")
    with aside.open("rb") as file:
        os.fsync(file.fileno())
    aside.replace(path)
