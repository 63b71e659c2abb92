"""A batch that did not commit never happened: errors and signals at every file operation of an ingest.

Guards against usage that is refused as a duplicate of itself, files that no commit names, and readings half replaced.
"""

import json
import shutil
from pathlib import Path

import pytest
from ingest_homes import event, lake_rows, lines, put

from faults import injection
from faults.injection import KINDS, Faulty, numbers
from pipelines.home import Home
from pipelines.lake.proof import find_damages, strangers

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]

tried = injection.tried
DOES = "ingesting"

# One operation of so many is tried in a run of the suite.
STEP = 23


def fill(home: Home) -> Home:
    """Files with records of several days, duplicates within and across them, conflicts and rejects."""
    home.ensure()
    first = [event(f"e{i}", occurred_at=f"2025-05-0{i % 3 + 1}T10:00:00Z") for i in range(12)]
    # In a folder, and read first: of two records that contradict each other its own counts.
    put(home, "a/a.jsonl", lines(*first, first[0], "broken"))
    put(home, "b.jsonl", lines(*first[8:], event("e1", quantity="7"), event("x", quantity="-1")))
    return home


def snapshot(home: Home) -> str:
    """What the lake says, and proof that it is whole and nothing else lies there."""
    assert find_damages(home) == []
    assert strangers(home) == []
    assert not list((home.lake / ".staging").glob("*"))
    return json.dumps(lake_rows(home), default=str, sort_keys=True)


def try_all(
    tried: Faulty, kind: str, start: Path, wanted: str, tmp_path: Path, **order: str
) -> dict[str, int]:
    """Every operation in turn fails; after each, an undisturbed run gives the lake of one without faults."""
    figures = {"operations": 0, "tried": 0, "stopped": 0}
    home = Home(tmp_path / "home")
    shutil.copytree(start, home.root, symlinks=True)
    figures["operations"] = tried.do(home.root, home=str(home.root), **order).count
    assert figures["operations"] > 50
    assert snapshot(home) == wanted
    for at in numbers(figures["operations"], STEP, list(KINDS).index(kind) * 5):
        shutil.rmtree(home.root)
        shutil.copytree(start, home.root, symlinks=True)
        outcome = tried.do(home.root, at, kind, home=str(home.root), **order)
        assert "died" not in (outcome.error or ""), f"operation {at}: {outcome}"
        figures["tried"] += 1
        figures["stopped"] += outcome.error is not None
        again = tried.do(home.root, home=str(home.root), **order)
        assert again.error is None, f"operation {at}: {outcome}, then {again}"
        if order:
            # A reading that was made before the fault is made once more; what counts is the same.
            continue
        assert snapshot(home) == wanted, f"operation {at}: {outcome}"
    return figures


@pytest.mark.parametrize("kind", KINDS)
def test_an_ingest_that_failed_never_happened(kind, tried, tmp_path):
    start = fill(Home(tmp_path / "start"))
    undisturbed = Home(tmp_path / "undisturbed")
    shutil.copytree(start.root, undisturbed.root)
    assert tried.do(undisturbed.root, home=str(undisturbed.root)).error is None
    wanted = snapshot(undisturbed)
    figures = try_all(tried, kind, start.root, wanted, tmp_path)
    print(kind, figures)
    assert figures["stopped"] > 0
