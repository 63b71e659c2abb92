"""Invoices and credit notes as documents for people, and their charges as files for other systems.

Reads the published file only. What was issued, and every figure, is decided elsewhere.
"""

from pipelines.documents.command import write_invoices
from pipelines.documents.facts import Published, read_document, read_month
from pipelines.documents.focus import Exported, export_focus
from pipelines.documents.write import FORMATS, Written, write_documents

__all__ = [
    "FORMATS",
    "Exported",
    "Published",
    "Written",
    "export_focus",
    "read_document",
    "read_month",
    "write_documents",
    "write_invoices",
]
