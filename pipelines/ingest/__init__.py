"""Usage files become accepted or rejected records in the lake. Pricing and aggregation do not belong here."""

from pipelines.ingest.batches import BatchResult, IngestReport, ingest_inbox, pending_files
from pipelines.ingest.inbox import InboxFile
from pipelines.ingest.lake import ensure_lake
from pipelines.ingest.reread import reread_files

__all__ = [
    "BatchResult",
    "InboxFile",
    "IngestReport",
    "ensure_lake",
    "ingest_inbox",
    "pending_files",
    "reread_files",
]
