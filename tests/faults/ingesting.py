"""What is done under faults: one ingest. See ``injection.py``."""

from datetime import UTC, datetime
from pathlib import Path

from pipelines.home import Home
from pipelines.ingest import ingest_inbox, reread_files
from pipelines.settings import QuietTime

AS_OF = datetime(2025, 6, 1, tzinfo=UTC)


def prepare(order: dict[str, object]) -> Home:
    """The home, before anything is counted."""
    return Home(Path(str(order["home"])))


def do(order: dict[str, object], home: Home) -> None:
    """Read what waits, or read again what the order names."""
    if order.get("reread"):
        reread_files(home, [str(order["reread"])], None, AS_OF, quiet=QuietTime(0, 0))
    else:
        ingest_inbox(home, None, AS_OF, quiet=QuietTime(0, 0))
