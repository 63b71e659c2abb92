"""Any year: whatever is edited between closings, each customer pays what the reference says, and no closing fails.

``PYTHONPATH=tests:tests/reference python tests/dbt/test_books_walks.py 5 100 20`` takes twenty walks of a hundred customers
from seed 5 on, and counts the kinds of edits that met an issued cycle.
"""

import sys
import tempfile
from collections import Counter
from pathlib import Path

import pytest
from books_home import BooksHome
from books_walk import THROUGH, Walk, take

from pipelines.books.proof import find_documents, rebuild_documents
from pipelines.home import Home
from pipelines.ledger import open_ledger
from pipelines.progress import Quiet

# Every kind of edit that the contract allows once a cycle is issued, and that may change what is paid.
KINDS = {
    "customer inactive_from", "customer inactive_from unset", "customer or subscription back again",
    "customer removed", "customer timezone",
    "event customer", "event customer and type", "event day", "event late", "event moved 35 days",
    "event moved beyond 35 days", "event quantity", "event resource and user", "event revision before a lower one",
    "event type", "event un-voided", "event voided",
    "meter aggregation", "meter billable", "meter carry_forward", "meter event_types", "meter field", "meter per",
    "meter prices", "meter where",
    "plan charge added", "plan currency", "plan new", "plan unused version in place", "plan version earlier",
    "plan version later",
    "subscription added", "subscription billing_anchor_day", "subscription customer_id", "subscription ended_on",
    "subscription ended_on unset", "subscription override added", "subscription override changed",
    "subscription override ended", "subscription override removed", "subscription plan_id",
    "subscription plan_version", "subscription plan_version unset", "subscription removed", "subscription renamed",
    "subscription started_on",
}  # fmt: skip


def home_at(root: Path) -> BooksHome:
    root.mkdir()
    return BooksHome(root)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_everybody_pays_what_the_reference_says(tmp_path: Path) -> None:
    """And each document comes about again from what its closing knew."""
    year = [THROUGH[number] for number in (0, 2, 4, -1)]
    walk, home = Walk(4, 90, year), home_at(tmp_path / "home")
    closed = []
    for through, was, should in take(walk, home):
        assert was == should, through
        closed.append(through)
    assert closed == year
    assert home.close(str(year[-1])) is None
    assert walk.counts.keys() <= KINDS
    assert len(walk.counts) > len(KINDS) * 3 // 4, KINDS - walk.counts.keys()
    with open_ledger(Home(home.root), "") as ledger:
        documents = find_documents(ledger)
        assert {document.kind for document in documents} == {"invoice", "credit note"}
        rebuilt = rebuild_documents(Home(home.root), ledger, documents, Quiet())
    assert [found for found in rebuilt if found.difference] == []


def main(first: int, customer_count: int, walk_count: int) -> int:
    counts: Counter[str] = Counter()
    wrong = 0
    for seed in range(first, first + walk_count):
        walk = Walk(seed, customer_count)
        with tempfile.TemporaryDirectory() as folder:
            for through, was, should in take(walk, home_at(Path(folder) / "home")):
                for key in was:
                    wrong += 1
                    print(f"seed {seed}, {through}: {key} paid {was[key]}, should {should[key]}")
        counts += walk.counts
        print(f"seed {seed}: {sum(walk.counts.values())} edits", flush=True)
    for kind in sorted(KINDS):
        print(f"{counts[kind]:7} {kind}")
    print(f"{walk_count} walks of {customer_count} customers, {wrong} sums wrong")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:4])))
