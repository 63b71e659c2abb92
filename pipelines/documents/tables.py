"""The lines of a document as CSV, for machines and spreadsheets: exact, with a plain minus, no separators.

Which lines there are does not belong here.
"""

import io
from datetime import timedelta

from models.money import MINOR_UNITS
from pipelines.documents.facts import CreditNote, Head, Invoice, Line
from pipelines.documents.text import plain_money_text, plain_quantity_text
from pipelines.tables import write_csv_rows

COLUMNS = (
    "document_type",
    "document_number",
    "status",
    "issued_on",
    "due_on",
    "customer_id",
    "customer_name",
    "period_start",
    "period_last_day",
    "line_id",
    "line_type",
    "subscription_id",
    "plan_id",
    "meter_id",
    "description",
    "service_start",
    "service_last_day",
    "quantity",
    "amount",
    "amount_minor",
    "currency",
    "corrects_document",
)


def render_csv(document: Invoice | CreditNote) -> bytes:
    """One row per line, in the document's order. Amounts of a credit note are negative, so all add up."""
    output = io.StringIO()
    kind, sign = ("credit_note", -1) if isinstance(document, CreditNote) else ("invoice", 1)
    write_csv_rows(output, COLUMNS, (_row(kind, document.head, line, sign) for line in document.lines))
    return output.getvalue().encode()


def _row(kind: str, head: Head, line: Line, sign: int) -> list[object]:
    amount_minor = sign * line.amount_minor
    return [
        kind,
        head.number or f"DRAFT-{head.document_id}",
        head.status,
        head.issued_on,
        head.due_on,
        head.customer_id,
        head.customer_name,
        head.period_start,
        head.period_end - timedelta(days=1),
        line.line_id,
        line.line_type,
        line.subscription_id,
        line.plan_id,
        line.meter_id,
        line.description,
        line.service_start,
        line.service_end - timedelta(days=1),
        None if line.quantity is None else plain_quantity_text(line.quantity),
        plain_money_text(amount_minor, MINOR_UNITS[head.currency]),
        amount_minor,
        head.currency,
        line.corrects,
    ]
