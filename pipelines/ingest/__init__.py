"""Usage files become accepted or rejected records in the lake. Pricing and aggregation do not belong here."""

from pipelines.ingest.batches import BatchResult, IngestReport, ingest_inbox, pending_files
from pipelines.ingest.inbox import InboxFile
from pipelines.ingest.lake import ensure_schema

__all__ = ["BatchResult", "InboxFile", "IngestReport", "ensure_schema", "ingest_inbox", "pending_files"]
