"""What the command line did, in Dagster's history; and that a history which cannot be written fails nothing."""

import resource
import shutil
import sqlite3
import time
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import payment_fixtures
import pytest
from payment_ledgers import issue_invoices

from pipelines.home import Home
from pipelines.orchestration import recording
from pipelines.orchestration.assets.books import ISSUED
from pipelines.orchestration.recording import record_closing
from pipelines.session import Session
from pipelines.settings import Settings

# Dagster warns about its own previews.
pytestmark = pytest.mark.filterwarnings("ignore")

empty_home, home, ledger = payment_fixtures.empty_home, payment_fixtures.home, payment_fixtures.ledger


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty one; making its tables takes a second."""
    folder = tmp_path_factory.mktemp("history")
    with dg.DagsterInstance.from_config(str(folder)) as instance:
        assert instance.get_latest_materialization_event(ISSUED) is None
    return folder


@pytest.fixture
def folder(home: Home, history: Path) -> Path:
    return shutil.copytree(history, home.root / ".dagster")


def shown(folder: Path) -> list[dict]:
    """The closings that the history shows, the first one first."""
    with dg.DagsterInstance.from_config(str(folder)) as instance:
        records = instance.fetch_materializations(ISSUED, limit=100, ascending=True).records
    return [
        {name: value.value for name, value in record.asset_materialization.metadata.items()}
        for record in records
    ]


def record(home: Home) -> str | None:
    return record_closing(Session(Settings(home, datetime(2026, 4, 1, tzinfo=UTC))))


def test_every_closing_is_shown_once_with_what_it_issued(home, ledger, folder):
    """Also those before, whose command was cut off before it could say so."""
    issue_invoices(ledger, {"c-1": [1000, 250], "c-2": [5]})
    issue_invoices(ledger, {"c-3": [700]}, currency="EUR")
    assert record(home) is None
    assert [(one["closing"], one["documents"]) for one in shown(folder)] == [
        (1, ["INV-000001", "INV-000002"]),
        (2, ["INV-000003"]),
    ]
    assert [one.get("invoice USD") for one in shown(folder)] == ["12.55", None]
    assert [one.get("invoice EUR") for one in shown(folder)] == [None, "7.00"]
    issue_invoices(ledger, {"c-4": [1]})
    assert record(home) is None
    assert record(home) is None
    assert [one["closing"] for one in shown(folder)] == [1, 2, 3]


def test_a_history_from_before_that_counts_otherwise_is_no_obstacle(home, ledger, folder):
    issue_invoices(ledger, {"c-1": [1000]})
    with dg.DagsterInstance.from_config(str(folder)) as instance:
        for metadata in ({"closing": "nothing to issue"}, {}):
            instance.report_runless_asset_event(dg.AssetMaterialization(ISSUED, metadata=metadata))
    assert record(home) is None
    assert shown(folder)[-1]["closing"] == 1


def a_file(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.touch()


def settings_that_are_none(folder: Path) -> None:
    (folder / "dagster.yaml").write_text("telemetry: [")


def settings_unknown_to_dagster(folder: Path) -> None:
    (folder / "dagster.yaml").write_text("no_such_setting: {}")


def damaged(folder: Path) -> None:
    index(folder).write_bytes(b"no database" * 1000)


def index(folder: Path) -> Path:
    [file] = folder.rglob("index.db")
    return file


@pytest.mark.parametrize("damage", [a_file, settings_that_are_none, settings_unknown_to_dagster, damaged])
def test_a_history_out_of_reach_is_a_warning(home, ledger, folder, damage):
    issue_invoices(ledger, {"c-1": [1000]})
    damage(folder)
    warning = record(home)
    assert warning.startswith("what was done is done, but `meterhouse ui` does not show it yet")
    assert str(folder) in warning
    assert "\n" not in warning


def test_a_full_disk_is_a_warning_and_the_next_time_makes_up_for_it(home, ledger, folder):
    issue_invoices(ledger, {"c-1": [1000]})
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        warning = record(home)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "could not be written" in warning
    assert record(home) is None
    assert [one["closing"] for one in shown(folder)] == [1]


def test_a_locked_history_is_waited_for_a_little(home, ledger, folder, monkeypatch):
    monkeypatch.setattr(recording, "LONGEST_SECONDS", 1)
    issue_invoices(ledger, {"c-1": [1000]})
    with closing(sqlite3.connect(index(folder))) as other:
        other.execute("pragma locking_mode = exclusive")
        other.execute("begin exclusive")
        began = time.monotonic()
        warning = record(home)
        assert time.monotonic() - began < 5
        other.rollback()
    assert "another process may hold it" in warning


def test_whoever_interrupts_it_is_told_that_the_work_is_done(home, ledger, folder, monkeypatch):
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(recording, "import_module", interrupted)
    assert record(home).endswith("could not be written: interrupted")
