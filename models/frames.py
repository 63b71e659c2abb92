"""The frames of the lake as pandera schemas over polars: the one definition of columns, types and bounds.

The empty files under ``lake/schema/`` and the types of every file that ingest writes come from here. How a
frame is filled does not belong here.
"""

import pandera.polars as pa
import polars as pl

from models.events import EVENT_FIELDS, FIELDS_BY_NAME, REJECT_REASONS, Kind

INSTANT = pl.Datetime("us", "UTC")
BATCH_STATUSES = ("committed", "unreadable")

PolarsType = pl.DataType | type[pl.DataType]

_KIND_TYPES: dict[Kind, PolarsType] = {
    Kind.TEXT: pl.String,
    Kind.INSTANT: INSTANT,
    Kind.INTEGER: pl.Int64,
    Kind.BOOLEAN: pl.Boolean,
    Kind.OBJECT: pl.String,
}


def field_type(name: str) -> PolarsType:
    """The polars type in which an event field is stored."""
    field = FIELDS_BY_NAME[name]
    return pl.Decimal(28, field.scale) if field.kind is Kind.DECIMAL else _KIND_TYPES[field.kind]


def _event_column(name: str) -> pa.Column:
    field = FIELDS_BY_NAME[name]
    checks: list[pa.Check] = []
    if field.kind in {Kind.INTEGER, Kind.DECIMAL}:
        checks.append(pa.Check.ge(0))
    if field.kind is Kind.DECIMAL:
        checks.append(pa.Check.lt(field.limit))
    if field.max_length:
        checks.append(pa.Check.str_length(1, field.max_length))
    return pa.Column(field_type(name), checks, nullable=not field.is_required and field.default is None)


# What identity compares: everything the sender says except the key itself.
PAYLOAD_COLUMNS = tuple(field.name for field in EVENT_FIELDS if field.name not in {"event_id", "revision"})

# What typing hands over: the event's own fields.
TYPED_EVENTS = pa.DataFrameSchema(
    {field.name: _event_column(field.name) for field in EVENT_FIELDS},
    strict=True,
    ordered=True,
    name="typed events",
)

# One row per accepted record. event_date is in the path of the file alone.
EVENTS = pa.DataFrameSchema(
    {
        **TYPED_EVENTS.columns,
        "ingested_at": pa.Column(INSTANT),
        "batch_id": pa.Column(pl.String),
        "source_file": pa.Column(pl.String),
        "source_row": pa.Column(pl.Int64, pa.Check.ge(1)),
        "payload_hash": pa.Column(pl.String),
    },
    strict=True,
    ordered=True,
    name="events",
)

# One row per rejected record.
REJECTS = pa.DataFrameSchema(
    {
        "batch_id": pa.Column(pl.String),
        "source_file": pa.Column(pl.String),
        "source_row": pa.Column(pl.Int64, pa.Check.ge(1)),
        "reason": pa.Column(pl.String, pa.Check.isin(REJECT_REASONS)),
        "raw_record": pa.Column(pl.String),
    },
    strict=True,
    ordered=True,
    name="rejects",
)

# One row per record that says again what is known: which record, not what it says.
DUPLICATES = pa.DataFrameSchema(
    {
        "batch_id": pa.Column(pl.String),
        "source_file": pa.Column(pl.String),
        "source_row": pa.Column(pl.Int64, pa.Check.ge(1)),
        "event_id": pa.Column(pl.String),
        "revision": pa.Column(pl.Int64, pa.Check.ge(0)),
        "event_date": pa.Column(pl.Date),
    },
    strict=True,
    ordered=True,
    name="duplicates",
)

# One row per reading of a file. ``mapping_hash`` is null for files read before it was kept; ``replaces`` is
# the reading that this one takes the place of.
BATCHES = pa.DataFrameSchema(
    {
        "batch_id": pa.Column(pl.String, unique=True),
        "source_file": pa.Column(pl.String),
        "status": pa.Column(pl.String, pa.Check.isin(BATCH_STATUSES)),
        "rows_read": pa.Column(pl.Int64, pa.Check.ge(0)),
        "accepted_count": pa.Column(pl.Int64, pa.Check.ge(0)),
        "duplicate_count": pa.Column(pl.Int64, pa.Check.ge(0)),
        "rejected_count": pa.Column(pl.Int64, pa.Check.ge(0)),
        "ingested_at": pa.Column(INSTANT),
        "message": pa.Column(pl.String, nullable=True),
        "separate_event_count": pa.Column(pl.Int64, pa.Check.ge(0)),
        "max_revision": pa.Column(pl.Int64, nullable=True),
        "event_dates": pa.Column(pl.List(pl.Struct({"event_date": pl.Date, "event_count": pl.Int64}))),
        "source": pa.Column(pl.String, nullable=True),
        "mapping_hash": pa.Column(pl.String, nullable=True),
        "replaces": pa.Column(pl.String, nullable=True),
    },
    strict=True,
    ordered=True,
    name="batches",
)


_FILE = pl.Struct(
    {
        "path": pl.String,
        "kind": pl.String,
        "event_date": pl.Date,
        "row_count": pl.Int64,
        "size": pl.Int64,
        "sha256": pl.String,
        "schema_version": pl.Int64,
        "batch_ids": pl.List(pl.String),
    }
)

# One row: a commit of the lake. Paths are below lake/; ``previous_sha256`` is that of the commit before.
COMMITS = pa.DataFrameSchema(
    {
        "commit_number": pa.Column(pl.Int64, pa.Check.ge(1)),
        "previous_sha256": pa.Column(pl.String, nullable=True),
        "batches": pa.Column(
            pl.List(pl.Struct({name: column.dtype.type for name, column in BATCHES.columns.items()}))
        ),
        "files": pa.Column(pl.List(_FILE)),
        "removed": pa.Column(pl.List(pl.String)),
    },
    strict=True,
    ordered=True,
    name="commits",
)

# Of the files of each kind; a reader that finds a higher one is too old for the lake.
SCHEMA_VERSION = 1


def empty_frame(schema: pa.DataFrameSchema) -> pl.DataFrame:
    """A frame without rows that has exactly the columns and types of a schema."""
    return pl.DataFrame(schema={name: column.dtype.type for name, column in schema.columns.items()})
