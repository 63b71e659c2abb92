"""What is done under faults besides ingest: publishing, issuing documents, backing up, restoring. See ``injection.py``."""

from datetime import UTC, date, datetime
from pathlib import Path
from types import SimpleNamespace

from pipelines.home import Home
from pipelines.ledger import open_ledger
from pipelines.ledger.books import Documents, Terms, all_closings, issue
from pipelines.maintenance.backup import back_up, restore
from pipelines.payments.outbox import enqueue_closing
from pipelines.serving.publish import Publication, PublishedTable, publish

NOW = datetime(2026, 4, 4, 6, 30, tzinfo=UTC)
TERMS = Terms(date(2026, 3, 31), NOW, "catalog", "accounts", "prices", "code")
PUBLICATION = Publication(NOW, NOW, "c", "a", "d", "b")
TABLES = [PublishedTable("invoices", "One row per invoice.", {"total_minor": "What is due."})]


def prepare(order: dict[str, object]) -> SimpleNamespace:
    """What the order names, before anything is counted."""
    documents = Documents([], []) if not order.get("documents") else _documents(order["documents"])
    return SimpleNamespace(home=Home(Path(str(order["home"]))), documents=documents)


def do(order: dict[str, object], given: SimpleNamespace) -> None:
    """Do what the order says."""
    home: Home = given.home
    match order["what"]:
        case "publish":
            publish(home, TABLES, PUBLICATION)
        case "issue":
            with open_ledger(home, "") as ledger:
                if not all_closings(ledger):
                    issue(
                        ledger,
                        TERMS,
                        given.documents,
                        ["b1"],
                        known_closing=0,
                        closed_at=NOW,
                        closed_by="tests",
                        after_issue=[enqueue_closing],
                    )
                ledger.export()
        case "backup":
            back_up(home, Path(str(order["file"])), NOW)
        case "restore":
            restore(home, Path(str(order["file"])))


def _documents(names: object) -> Documents:
    from test_backup import documents

    assert isinstance(names, list)
    return documents(*names)
