"""What a closing would issue, read from the warehouse in which it was computed.

Computing and issuing it belong to ``closing``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb

from pipelines.ledger.books import Documents, Row, Terms

CLOSING_MODELS = (
    "int_line_differences",
    "int_invoice_corrections",
    "int_line_adjustments",
    "int_correction_causes",
    "int_due_lines",
    "int_due_periods",
    "int_due_invoices",
    "int_due_credit_note_lines",
    "int_due_credit_notes",
    "int_due_documents",
    "int_due_corrections",
    "int_due_totals",
    "int_due_warnings",
)
"""What depends on which cycles are closed; everything that these models read is there already."""

# Reads marts, so that only a closing that issues has it.
MARGINS = "negative_margins"


@dataclass(frozen=True)
class ClosingPlan:
    """What a closing would issue.

    :param totals: rows of ``int_due_totals``, by currency.
    :param words: totals of the invoices in words, by invoice id.
    :param warnings: rows of ``int_due_warnings`` and of ``negative_margins``.
    :param known_closing: the last closing that the plan knows; 0: none.
    :param listed: rows of ``int_due_documents``, in the order of the documents.
    :param corrections: rows of ``int_due_corrections``, by document, then those that wait.
    """

    terms: Terms
    documents: Documents
    batch_ids: Sequence[str] = field(repr=False)
    known_closing: int
    totals: Sequence[Row]
    words: Mapping[str, str] = field(repr=False)
    warnings: Sequence[Row]
    listed: Sequence[Row] = field(default=(), repr=False)
    corrections: Sequence[Row] = field(default=(), repr=False)


def read_plan(warehouse: Path, terms: Terms, known_closing: int) -> ClosingPlan:
    """The documents of a warehouse in which the closing models were built.

    :param warehouse: its ``int_due_*`` models are read.
    :param known_closing: the last closing that it knows.
    """
    with duckdb.connect(str(warehouse), read_only=True) as connection:
        connection.execute("set TimeZone = 'UTC'")
        invoices = _rows(
            connection,
            "select * from int_due_invoices order by period_end, customer_id, currency, invoice_id",
        )
        words = {row["invoice_id"]: row.pop("total_text") for row in invoices}
        documents = Documents(
            invoices,
            _rows(connection, "select * from int_due_lines order by invoice_id, line_number"),
            _rows(
                connection,
                "select * from int_due_credit_notes order by customer_id, currency, credit_note_id",
            ),
            _rows(
                connection,
                "select * exclude (invoice_id, customer_id, currency, reason)"
                " from int_due_credit_note_lines order by credit_note_id, line_number",
            ),
            _rows(connection, "select * from int_due_periods order by invoice_id, subscription_id"),
        )
        listed = {row["document_id"]: row for row in _rows(connection, "select * from int_due_documents")}
        batches = connection.execute("select batch_id from stg_lake__batches order by all").fetchall()
        return ClosingPlan(
            terms,
            documents,
            [batch_id for (batch_id,) in batches],
            known_closing,
            _rows(connection, "select * from int_due_totals order by currency"),
            words,
            _rows(connection, "select * from int_due_warnings order by kind, customer_id, subject"),
            [
                *(listed[row["invoice_id"]] for row in documents.invoices),
                *(listed[row["credit_note_id"]] for row in documents.credit_notes),
            ],
            _rows(
                connection,
                "select * from int_due_corrections order by document_id, line_number, waits_for, customer_id,"
                " invoice_number, rated_line_id",
            ),
        )


def negative_margins(warehouse: Path) -> list[dict[str, Any]]:
    """Months of the invoices to be issued whose provider cost is more than what they bring."""
    with duckdb.connect(str(warehouse), read_only=True) as connection:
        return _rows(connection, f"select * from {MARGINS} order by customer_id, subject")


def _rows(connection: duckdb.DuckDBPyConnection, query: str) -> list[dict[str, Any]]:
    cursor = connection.execute(query)
    names = [column[0] for column in cursor.description or []]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
