"""Invoices and credit notes as documents for people, and their charges as files for other systems.

Reads the published file only. What was issued, and every figure, is decided elsewhere.
"""

from pipelines.documents.facts import Documents
from pipelines.documents.focus import Exported, export_focus
from pipelines.documents.queries import read_document, read_month
from pipelines.documents.write import FORMATS, WrittenDocuments, write_documents, write_invoices

__all__ = [
    "FORMATS",
    "Documents",
    "Exported",
    "WrittenDocuments",
    "export_focus",
    "read_document",
    "read_month",
    "write_documents",
    "write_invoices",
]
