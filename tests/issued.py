"""Issued invoices as the ledger holds them, for tests to look at. Tests do not belong here."""

from typing import Any

import sqlalchemy as sa

from pipelines.ledger import Ledger
from pipelines.ledger.books_schema import issued_invoices, issued_lines


def find_invoice(ledger: Ledger, id_or_number: str) -> dict[str, Any]:
    """The invoice with its lines under ``lines``."""
    wanted = sa.or_(
        issued_invoices.c.invoice_id == id_or_number, issued_invoices.c.invoice_number == id_or_number
    )
    with ledger.reading() as connection:
        row = connection.execute(sa.select(issued_invoices).where(wanted)).mappings().one()
        lines = sa.select(issued_lines).where(issued_lines.c.invoice_id == row["invoice_id"])
        found = connection.execute(lines.order_by(issued_lines.c.line_number)).mappings().all()
    return {**row, "lines": [dict(line) for line in found]}
