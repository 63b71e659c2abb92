"""Issued documents in the ledger: one transaction per closing, and what may be asked about it later.

Which documents there are and what they say is computed in SQL beforehand; here they get their
numbers, because only the transaction that keeps a number may give it.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Self, cast

import sqlalchemy as sa

from pipelines.ledger.books_schema import (
    closing_batches,
    closings,
    credit_note_lines,
    credit_notes,
    issued_invoices,
    issued_lines,
    issued_periods,
)
from pipelines.ledger.connect import LedgerError
from pipelines.ledger.store import Ledger

Row = Mapping[str, Any]

_CHUNK = 5_000
_NUMBERS = {issued_invoices: ("invoice_number", "INV"), credit_notes: ("credit_note_number", "CN")}


@dataclass(frozen=True)
class Terms:
    """What a closing was made from, besides the batches that it knew.

    :param through: the last day that a cycle may have to be issued.
    :param as_of: the clock of the warehouse that the documents come from.
    :param corrections_from: what the corrections of an issued invoice must come to together, in units of its
        currency, 0 or more; smaller ones are left waiting.
    """

    through: date
    as_of: datetime
    catalog_version: str
    accounts_version: str
    prices_version: str
    code_version: str
    corrections_from: Decimal = field(default=Decimal(0), kw_only=True)


@dataclass(frozen=True)
class Closing(Terms):
    """A closing as the ledger has it.

    :param closed_at: its clock when it was made, which `--as-of` fixes: what its documents are dated by.
    :param closed_by: who made it; None: made before that was kept.
    :param recorded_at: when it was made, by the machine's clock; None as above.
    """

    closing_number: int
    closed_at: datetime
    closed_by: str | None
    recorded_at: datetime | None
    batch_count: int
    invoice_count: int
    credit_note_count: int

    @classmethod
    def from_row(cls, row: Row) -> Self:
        """A row of ``closings``."""
        return cls(**{name: row[name] for name in cls.__dataclass_fields__})


@dataclass(frozen=True)
class Documents:
    """Rows of the four tables of documents, without numbers; in the order in which they get theirs.

    With them the periods whose terms they pin.
    """

    invoices: Sequence[Row] = field(default_factory=list)
    invoice_lines: Sequence[Row] = field(default_factory=list)
    credit_notes: Sequence[Row] = field(default_factory=list)
    credit_note_lines: Sequence[Row] = field(default_factory=list)
    periods: Sequence[Row] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.invoices or self.credit_notes)

    def hash(self) -> str:
        """SHA-256 of the content hashes of the invoices, then the credit notes, in order, each on a line.

        Neither the numbers nor any clock are part of it.
        """
        return _hash_of(row["content_hash"] for row in (*self.invoices, *self.credit_notes))


AfterIssue = Callable[[sa.Connection, Closing], None]
"""What else belongs into the transaction of a closing, e.g. rows that wait to be sent."""


def issue(
    ledger: Ledger,
    terms: Terms,
    documents: Documents,
    batch_ids: Sequence[str],
    *,
    known_closing: int,
    closed_at: datetime,
    closed_by: str,
    after_issue: Sequence[AfterIssue] = (),
) -> Closing:
    """Issue documents: numbers, watermark, documents and what follows from them, all or nothing.

    The lake gets the closing too; should that fail, the next export does it.

    :param batch_ids: the batches that the documents know, all of them; the ledger keeps which closing
        was the first to know each.
    :param closed_by: a person or schedule, by name.
    :param known_closing: the last closing when the documents were computed; 0: there was none.
    :raises LedgerError: another closing came in between, or the database refused; nothing was written.
    """
    with ledger.writing() as connection:
        last = connection.scalar(sa.select(sa.func.max(closings.c.closing_number))) or 0
        if last != known_closing:
            raise LedgerError(
                f"closing {last} was made while this one was being computed",
                where=str(ledger),
                remedy="run the command again; nothing was issued",
            )
        known: set[str] = set(connection.scalars(sa.select(closing_batches.c.batch_id)))
        new_batches = sorted(set(batch_ids) - known)
        closing = Closing(
            **asdict(terms),
            closing_number=last + 1,
            closed_at=closed_at,
            closed_by=closed_by,
            recorded_at=datetime.now(UTC),
            batch_count=len(new_batches),
            invoice_count=len(documents.invoices),
            credit_note_count=len(documents.credit_notes),
        )
        issued = {"closing_number": closing.closing_number, "issued_at": closed_at}
        _insert(connection, closings, [asdict(closing)])
        _insert(
            connection,
            closing_batches,
            [{"batch_id": batch_id, "closing_number": closing.closing_number} for batch_id in new_batches],
        )
        _insert(
            connection,
            issued_invoices,
            [row | issued for row in _numbered(connection, issued_invoices, documents.invoices)],
        )
        pinned_by = {"closing_number": closing.closing_number}
        _insert(connection, issued_periods, [dict(row) | pinned_by for row in documents.periods])
        _insert(connection, issued_lines, documents.invoice_lines)
        _insert(
            connection,
            credit_notes,
            [row | issued for row in _numbered(connection, credit_notes, documents.credit_notes)],
        )
        _insert(connection, credit_note_lines, documents.credit_note_lines)
        for follow in after_issue:
            follow(connection, closing)
    ledger.export()
    return closing


def all_closings(ledger: Ledger) -> list[Closing]:
    """Every closing, the first one first."""
    with ledger.reading() as connection:
        rows = connection.execute(sa.select(closings).order_by(closings.c.closing_number)).mappings()
        return [Closing.from_row(cast(Row, row)) for row in rows]


def known_batches(ledger: Ledger, closing_number: int) -> list[str]:
    """The batches that a closing knew, in order of their ids: its own and those of all before it."""
    query = (
        sa.select(closing_batches.c.batch_id)
        .where(closing_batches.c.closing_number <= closing_number)
        .order_by(closing_batches.c.batch_id)
    )
    with ledger.reading() as connection:
        return list(connection.scalars(query))


def numbers_of(ledger: Ledger, closing_number: int) -> tuple[list[str], list[str]]:
    """The numbers of invoices and of credit notes that a closing gave, in order."""
    invoices = sa.select(issued_invoices.c.invoice_number).order_by(issued_invoices.c.sequence_number)
    notes = sa.select(credit_notes.c.credit_note_number).order_by(credit_notes.c.sequence_number)
    with ledger.reading() as connection:
        return (
            list(connection.scalars(invoices.where(issued_invoices.c.closing_number == closing_number))),
            list(connection.scalars(notes.where(credit_notes.c.closing_number == closing_number))),
        )


def next_numbers(ledger: Ledger, documents: Documents) -> tuple[list[str], list[str]]:
    """The numbers that invoices and credit notes would get if they were issued now, in order."""
    with ledger.reading() as connection:
        invoices = _numbered(connection, issued_invoices, documents.invoices)
        notes = _numbered(connection, credit_notes, documents.credit_notes)
    return [row["invoice_number"] for row in invoices], [row["credit_note_number"] for row in notes]


def hash_of_closing(ledger: Ledger, closing_number: int) -> str:
    """What ``Documents.hash`` gave for what a closing issued."""
    hashes: list[str] = []
    with ledger.reading() as connection:
        for table in (issued_invoices, credit_notes):
            chosen = sa.select(table.c.content_hash).where(table.c.closing_number == closing_number)
            hashes += connection.scalars(chosen.order_by(table.c.sequence_number))
    return _hash_of(hashes)


def _hash_of(content_hashes: Iterable[str]) -> str:
    return hashlib.sha256("".join(f"{one}\n" for one in content_hashes).encode()).hexdigest()


def _numbered(connection: sa.Connection, table: sa.Table, rows: Sequence[Row]) -> list[dict[str, Any]]:
    """The rows with the numbers that follow the last one of the table."""
    last = connection.scalar(sa.select(sa.func.max(table.c.sequence_number))) or 0
    column, prefix = _NUMBERS[table]
    return [
        dict(row) | {"sequence_number": number, column: f"{prefix}-{number:06}"}
        for number, row in enumerate(rows, last + 1)
    ]


def _insert(connection: sa.Connection, table: sa.Table, rows: Sequence[Row]) -> None:
    for start in range(0, len(rows), _CHUNK):
        connection.execute(sa.insert(table), [dict(row) for row in rows[start : start + _CHUNK]])
