"""Issued documents computed again from the lake, at what their closing knew, and compared with the ledger.

What a closing issues is computed in SQL (``models/intermediate/books``) and read by ``closing``; showing what
was found belongs to ``pipelines.cli.show.rebuild``.
"""

import shutil
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import duckdb
import sqlalchemy as sa

from pipelines.books.knowledge import Knowledge
from pipelines.books.pins import rate_pinned_periods
from pipelines.books.plan import CLOSING_MODELS, read_plan
from pipelines.books.recompute import recompute, recompute_part, scratch_folder
from pipelines.errors import ConfigurationError, MeterhouseError
from pipelines.home import Home
from pipelines.ledger import Ledger, open_ledger
from pipelines.ledger.books import Closing, Row, all_closings
from pipelines.ledger.books_schema import credit_note_lines, credit_notes, issued_invoices, issued_lines
from pipelines.progress import Steps
from pipelines.warehouse.measure import open_tables
from pipelines.warehouse.project import code_version
from pipelines.warehouse.scope import Scope


@dataclass(frozen=True)
class Document:
    """An issued invoice or credit note.

    :param kind: invoice or credit note.
    """

    kind: str
    document_id: str
    number: str
    customer_id: str
    closing_number: int
    content_hash: str


@dataclass(frozen=True)
class Difference:
    """The first field that is not what was issued; ``line_number`` 0 is the document itself."""

    line_number: int
    field: str
    issued: object
    computed: object


@dataclass(frozen=True)
class Rebuilt:
    """A document computed again.

    :param computed_hash: None: it cannot be reproduced.
    :param difference: None: every field and the hash are what was issued.
    :param issued_by: the version of the models that issued it, if it is another than today's.
    """

    document: Document
    computed_hash: str | None
    difference: Difference | None
    issued_by: str | None


def find_documents(ledger: Ledger, document: str | None = None, month: str | None = None) -> list[Document]:
    """Issued documents: one by its id or number, or those of the cycles that end in a month, or all.

    :param month: of the last day of the cycle, ``2026-03``; of a credit note, of the cycle it corrects.
    :raises ConfigurationError: there is none.
    """
    kinds: list[tuple[str, sa.Table, str, str, Any]] = [
        ("invoice", issued_invoices, "invoice_id", "invoice_number", issued_invoices.c.period_end),
        ("credit note", credit_notes, "credit_note_id", "credit_note_number", issued_invoices.c.period_end),
    ]
    found: list[Document] = []
    with ledger.reading() as connection:
        for kind, table, key, number, period_end in kinds:
            query = sa.select(table, period_end.label("cycle_end"))
            if table is credit_notes:
                invoice = issued_invoices.c.invoice_id
                query = query.join(issued_invoices, credit_notes.c.invoice_id == invoice)
            if document is not None:
                query = query.where(sa.or_(table.c[key] == document, table.c[number] == document))
            for row in connection.execute(query.order_by(table.c.sequence_number)).mappings():
                last_day = row["cycle_end"].fromordinal(row["cycle_end"].toordinal() - 1)
                if month is None or f"{last_day:%Y-%m}" == month:
                    known = (row[key], row[number], row["customer_id"], row["closing_number"])
                    found.append(Document(kind, *known, row["content_hash"]))
    if not found:
        what = (
            f"{document} is not issued"
            if document
            else f"no cycle of {month} was issued"
            if month
            else "nothing was issued"
        )
        raise ConfigurationError(
            what,
            where=str(ledger),
            remedy="the mart invoices lists what is issued; --as-known-at computes what is not",
        )
    return found


def rebuild_documents(
    home: Home, ledger: Ledger, documents: Sequence[Document], steps: Steps
) -> list[Rebuilt]:
    """Compute issued documents again, one closing at a time, in the order of their closings.

    The caller holds the home's lock; of the home only the cache changes.

    :raises MeterhouseError: the lake lacks what a closing knew, or a model failed.
    """
    by_closing: dict[int, list[Document]] = defaultdict(list)
    for document in documents:
        by_closing[document.closing_number].append(document)
    closings = {closing.closing_number: closing for closing in all_closings(ledger)}
    rebuilt: list[Rebuilt] = []
    with steps.step("Computing what was issued again") as step:
        for done, (number, wanted) in enumerate(sorted(by_closing.items())):
            step.update(done, len(by_closing), f"closing {number}")
            customers = {document.customer_id for document in wanted}
            computed = compute_closing(home, ledger, closings[number], customers)
            issued = _issued(ledger, number)
            issued_by = closings[number].code_version
            other = None if issued_by == code_version() else issued_by
            rebuilt += [_compare(document, issued, computed, other) for document in wanted]
    return rebuilt


Records = Mapping[tuple[str, str], tuple[Row, Sequence[Row]]]
"""Documents by kind and id, each with its lines in order."""


def compute_closing(home: Home, ledger: Ledger, closing: Closing, customers: Collection[str]) -> Records:
    """What a closing issued to customers, computed from what it knew: as closing computes it."""
    knowledge = Knowledge.of_closing(ledger, closing.closing_number)
    scope = Scope(close_through=closing.through, corrections_from=closing.corrections_from)
    folder = scratch_folder(home, f"closing-{closing.closing_number}")
    file = recompute(home, knowledge, customers=customers, models=CLOSING_MODELS, folder=folder, scope=scope)
    pinned = rate_pinned_periods(home, knowledge, file)
    if pinned is not None:
        scope = replace(scope, pinned_folder=pinned)
        recompute_part(home, knowledge, file, models=CLOSING_MODELS, scope=scope)
    documents = read_plan(file, closing, closing.closing_number - 1).documents
    shutil.rmtree(folder)
    return _records(
        documents.invoices, documents.invoice_lines, documents.credit_notes, documents.credit_note_lines
    )


def lines_as_known_at(home: Home, invoice: str, instant: datetime, steps: Steps) -> list[dict[str, Any]]:
    """The lines of an invoice as they were at an instant: issued by then, or as they were rated then.

    The caller holds the home's lock.

    :param invoice: an id, or a number if it is issued.
    :returns: rows of the mart ``invoice_lines``, with total and status (draft, ready, issued) of the invoice.
    :raises ConfigurationError: nobody knows the invoice, or it is not recorded what was known then.
    :raises MeterhouseError: nothing of the invoice was known then.
    """
    with open_ledger(home) as ledger:
        invoice_id, customer_id = _owner(home, ledger, invoice)
        ledger.export()
        knowledge = Knowledge.at(home, ledger, instant)
        with steps.step("Computing the cycle as it was known"):
            file = recompute(
                home,
                knowledge,
                customers={customer_id},
                models=["invoice_lines", "int_unissued_invoices"],
                folder=scratch_folder(home, "as-known-at"),
            )
    with open_tables(file) as tables:
        rows = _rows(tables, _KNOWN_LINES, {"invoice_id": invoice_id})
    if not rows:
        raise MeterhouseError(
            f"nothing of invoice {invoice} was known at {instant.isoformat()}",
            where=str(file),
            remedy="its cycle had not begun, no terms or usage gave it a line, or choose a later instant",
        )
    shutil.rmtree(file.parent)
    return rows


_KNOWN_LINES = """
    select
        lines.*,
        cast(sum(lines.amount_minor) over () as bigint) as invoice_total_minor,
        coalesce(unissued.status, 'issued') as status
    from invoice_lines as lines
    left join int_unissued_invoices as unissued on lines.invoice_id = unissued.invoice_id
    where lines.invoice_id = $invoice_id
    order by lines.line_number, lines.subscription_id, lines.line_type, lines.meter_id
"""


def _owner(home: Home, ledger: Ledger, invoice: str) -> tuple[str, str]:
    """Id and customer of an invoice that is issued, or that the last good warehouse has."""
    is_it = sa.or_(issued_invoices.c.invoice_id == invoice, issued_invoices.c.invoice_number == invoice)
    query = sa.select(issued_invoices.c.invoice_id, issued_invoices.c.customer_id).where(is_it)
    with ledger.reading() as connection:
        found = [(str(row[0]), str(row[1])) for row in connection.execute(query)]
    if not found and home.warehouse_file.exists():
        with open_tables(home.warehouse_file) as tables:
            rows = _rows(tables, "select * from invoices where invoice_id = $invoice", {"invoice": invoice})
            found = [(row["invoice_id"], row["customer_id"]) for row in rows]
    if not found:
        raise ConfigurationError(
            f"there is no invoice {invoice}",
            where=str(home.warehouse_file),
            remedy="the mart invoices lists them, with their status",
        )
    return found[0]


def _issued(ledger: Ledger, closing_number: int) -> Records:
    with ledger.reading() as connection:

        def rows(table: sa.Table, parent: sa.Table, key: str) -> list[Row]:
            query = sa.select(table)
            if table is not parent:
                query = query.join(parent, table.c[key] == parent.c[key])
            chosen = query.where(parent.c.closing_number == closing_number)
            return [dict(row) for row in connection.execute(chosen).mappings()]

        return _records(
            rows(issued_invoices, issued_invoices, "invoice_id"),
            rows(issued_lines, issued_invoices, "invoice_id"),
            rows(credit_notes, credit_notes, "credit_note_id"),
            rows(credit_note_lines, credit_notes, "credit_note_id"),
        )


def _records(
    invoices: Sequence[Row],
    invoice_lines: Sequence[Row],
    notes: Sequence[Row],
    note_lines: Sequence[Row],
) -> Records:
    found: dict[tuple[str, str], tuple[Row, list[Row]]] = {}
    for kind, key, heads, lines in (
        ("invoice", "invoice_id", invoices, invoice_lines),
        ("credit note", "credit_note_id", notes, note_lines),
    ):
        for head in heads:
            found[kind, head[key]] = (head, [])
        for line in sorted(lines, key=lambda row: int(row["line_number"])):
            found[kind, line[key]][1].append(line)
    return found


def _compare(document: Document, issued: Records, computed: Records, issued_by: str | None) -> Rebuilt:
    key = (document.kind, document.document_id)
    head, lines = issued[key]
    if key not in computed:
        absent = Difference(0, "document", document.number, "none")
        return Rebuilt(document, None, absent, issued_by)
    computed_head, computed_lines = computed[key]
    pairs = [(0, head, computed_head)]
    for position in range(max(len(lines), len(computed_lines))):
        theirs = lines[position] if position < len(lines) else {}
        ours = computed_lines[position] if position < len(computed_lines) else {}
        pairs.append((position + 1, theirs, ours))
    differences = [
        Difference(number, name, theirs.get(name), ours.get(name))
        for number, theirs, ours in pairs
        for name in dict.fromkeys((*theirs, *ours))
        if name not in _GIVEN_WHEN_ISSUED and theirs.get(name) != ours.get(name)
    ]
    # Where the hash differs some field does, and that says more.
    differences.sort(key=lambda found: found.field == "content_hash")
    first = differences[0] if differences else None
    return Rebuilt(document, str(computed_head["content_hash"]), first, issued_by)


_GIVEN_WHEN_ISSUED = {
    "closing_number",
    "issued_at",
    "sequence_number",
    "invoice_number",
    "credit_note_number",
}


def _rows(
    tables: duckdb.DuckDBPyConnection, query: str, parameters: Mapping[str, object]
) -> list[dict[str, Any]]:
    cursor = tables.execute(query, dict(parameters))
    names = [column[0] for column in cursor.description or []]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
