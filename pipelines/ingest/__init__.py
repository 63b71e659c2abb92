"""Usage files become accepted or rejected records in the lake. Pricing and aggregation do not belong here."""

from pipelines.ingest.batches import BatchResult, IngestReport, ingest_inbox, pending, pending_files
from pipelines.ingest.reread import reread_files
from pipelines.ingest.sources.deliveries import LeftFile, by_reason
from pipelines.ingest.sources.inbox import Inbox, InboxFile
from pipelines.lake.batches import ensure_lake

__all__ = [
    "BatchResult",
    "Inbox",
    "InboxFile",
    "IngestReport",
    "LeftFile",
    "by_reason",
    "ensure_lake",
    "ingest_inbox",
    "pending",
    "pending_files",
    "reread_files",
]
