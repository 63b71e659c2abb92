"""News of failed runs and silent sources on its way from where it happens to a receiver that fails first."""

import json
import logging
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest
from servers import Receiver

from pipelines.catalog import copy_product, load_alert_settings, load_configuration
from pipelines.home import Home
from pipelines.ingest import ingest_inbox
from pipelines.lake.checks import STALE_AFTER
from pipelines.ledger import open_ledger
from pipelines.notify import reports
from pipelines.orchestration.assets import lake
from pipelines.session import Session
from pipelines.settings import Settings

# Apprise looks for a module of the standard library that later Pythons do not have; Dagster warns of previews.
pytestmark = pytest.mark.filterwarnings("ignore")

NOW = datetime(2026, 9, 6, 7, 30, tzinfo=UTC)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    for name in ("METERHOUSE_ALERT_URL", "METERHOUSE_LEDGER_URL", "OTHER_URL"):
        monkeypatch.delenv(name, raising=False)
    made = Home(tmp_path / "home").ensure()
    copy_product(made, "coachos")
    return made


def tell(home: Home) -> None:
    reports.report("run_failed", "the build failed", "job run", "run it again", home=home)


def test_news_of_a_home_reaches_its_destination_that_fails_first(home, monkeypatch, caplog):
    with Receiver(500) as receiver, caplog.at_level(logging.ERROR, "meterhouse"):
        monkeypatch.setenv("METERHOUSE_ALERT_URL", f"{receiver.url}/hook")
        tell(home)
    assert [request.json["title"] for request in receiver.requests] == ["Meterhouse: A run failed"] * 2
    assert "run_failed: the build failed" in caplog.text, "the log is always told"
    with open_ledger(home) as ledger:
        assert [(row.kind, row.state) for row in ledger.notifications()] == [("run_failed", "sent")]


def test_news_without_a_home_or_without_an_address_goes_to_the_log_alone(home, monkeypatch):
    tell(home)
    with Receiver() as receiver:
        monkeypatch.setenv("METERHOUSE_ALERT_URL", receiver.url)
        reports.report("run_failed", "the build failed", "job run", "run it again")
    assert receiver.requests == []
    assert not (home.ledger / "ledger.sqlite").exists()


def test_faulty_alert_settings_are_no_reason_to_be_silent(home, monkeypatch):
    """A catalog with faults fails a run, and that failure must be heard of."""
    settings = home.catalog / "alerts.yml"
    settings.write_text("destinations: [env:OTHER_URL]\n")
    assert load_alert_settings(home).destinations == ("env:OTHER_URL",)
    settings.write_text("destinations: env\nspike: none\n")
    with Receiver() as receiver:
        monkeypatch.setenv("METERHOUSE_ALERT_URL", receiver.url)
        tell(home)
    assert len(receiver.requests) == 1


@pytest.mark.parametrize(("waited", "heard"), [(STALE_AFTER, 0), (STALE_AFTER * 1.01, 1)])
def test_a_silent_source_is_told_once_a_day(home, monkeypatch, waited, heard):
    record = {"event_id": "e1", "customer_id": "c1", "event_type": "x", "occurred_at": "2026-09-06T07:00:00Z"}
    (home.inbox / "usage.jsonl").write_text(json.dumps(record) + "\n")
    ingest_inbox(home, load_configuration(home).sources, NOW)
    with Receiver() as receiver:
        monkeypatch.setenv("METERHOUSE_ALERT_URL", receiver.url)
        for _ in range(2):
            session = Session(Settings(home, NOW + waited))
            context = dg.build_asset_check_context(resources={"session": session})
            assert lake.sources_are_fresh(context).passed == (not heard)
    assert [request.json["title"] for request in receiver.requests] == [
        "Meterhouse: A source is silent"
    ] * heard
    assert len(session.warnings) == heard
