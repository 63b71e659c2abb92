"""Alerts from the warehouse into the ledger, to a receiver and onto the screen; each raised once."""

import csv
import io
import json
import logging
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import dagster as dg
import duckdb
import pytest
from servers import Receiver

from pipelines.catalog import copy_product
from pipelines.cli.show.alerts import mark_alerts_read, show_alerts
from pipelines.errors import ConfigurationError, MeterhouseError
from pipelines.home import Home
from pipelines.lake.places import export_folder
from pipelines.ledger import open_ledger
from pipelines.notify import RetryPolicy
from pipelines.notify.alerts import found_alerts, raise_new_alerts
from pipelines.orchestration.assets.alerts import RAISED, notifications_are_delivered, raised_alerts
from pipelines.session import Session
from pipelines.settings import Settings

# Apprise looks for a module of the standard library that later Pythons do not have.
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")

NOW = datetime(2026, 9, 6, 7, 30, tzinfo=UTC)
LATER = datetime(2026, 9, 7, 7, 30, tzinfo=UTC)
QUICK = RetryPolicy(first_delay_seconds=0.05, factor=2, budget_seconds=10, attempt_seconds=5)
ENTRIES = ["env:METERHOUSE_ALERT_URL"]
USAGE = (
    "a-1",
    "tundra",
    "usage_threshold",
    "ai_requests",
    "0.8",
    "812.5",
    "1000",
    "warning",
    "2026-09-01",
    "2026-09-05",
    "AI requests: 812.5 of 1,000 [included] used",
)
MODEL = (
    "a-2",
    "kestrel",
    "model_not_allowed",
    None,
    None,
    "3",
    None,
    "critical",
    "2026-09-01",
    "2026-09-04",
    'Model "x", 3 events',
)


@pytest.fixture(autouse=True)
def no_surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("METERHOUSE_ALERT_URL", "METERHOUSE_LEDGER_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LOGNAME", "ada")
    monkeypatch.setenv("COLUMNS", "160")


@pytest.fixture
def home(tmp_path: Path) -> Home:
    made = Home(tmp_path / "home").ensure()
    build(made, USAGE, MODEL)
    return made


def build(home: Home, *rows: tuple[str | None, ...]) -> None:
    """A warehouse that found these alerts, with the types of the real one."""
    home.warehouse_file.unlink(missing_ok=True)
    with duckdb.connect(str(home.warehouse_file)) as connection:
        connection.execute(
            "create table budget_alerts (alert_id varchar, customer_id varchar, kind varchar,"
            " meter_id varchar, threshold decimal(18, 6), observed decimal(38, 12),"
            " limit_value decimal(38, 12), severity varchar, period_start date, triggered_on date,"
            " message varchar, is_read boolean)"
        )
        if rows:
            connection.executemany(f"insert into budget_alerts values ({'?, ' * 11}false)", rows)


def shown(home: Home, *arguments: object, **options: bool) -> str:
    output = io.StringIO()
    show_alerts(Settings(home, LATER), output, *arguments, **options)
    return output.getvalue()


def test_an_alert_is_raised_once_with_the_figures_of_the_first_time(home):
    raised = raise_new_alerts(home, ENTRIES, NOW, "build-1").alerts
    assert [alert.alert_id for alert in raised] == ["a-1", "a-2"]
    build(home, (*USAGE[:5], "999", *USAGE[6:]))
    assert raise_new_alerts(home, ENTRIES, LATER, "build-2").alerts == []
    with open_ledger(home) as ledger:
        first = ledger.alerts("tundra")[0]
        assert len(ledger.alerts()) == 2, "an alert that is not found again stays"
    assert (first.alert.observed, first.alert.threshold) == (Decimal("812.5"), Decimal("0.8"))
    assert (first.build_id, first.raised_at) == ("build-1", NOW)
    assert (first.alert.period_start, first.alert.triggered_on) == (date(2026, 9, 1), date(2026, 9, 5))


def test_only_what_the_export_does_not_have_is_read_from_the_warehouse(home):
    assert [alert.alert_id for alert in found_alerts(home)] == ["a-1", "a-2"]
    build(home, MODEL)
    raise_new_alerts(home, ENTRIES, NOW)
    build(home, USAGE, MODEL)
    assert [alert.alert_id for alert in found_alerts(home)] == ["a-1"]


def test_an_export_that_is_gone_raises_nothing_twice(home):
    raise_new_alerts(home, ENTRIES, NOW)
    (export_folder(home) / "alerts.parquet").unlink()
    assert raise_new_alerts(home, ENTRIES, LATER).alerts == []


def test_new_alerts_reach_the_receiver_that_fails_first(home):
    with Receiver(500) as receiver:
        environment = {"METERHOUSE_ALERT_URL": f"{receiver.url}/hook"}
        raised = raise_new_alerts(home, ENTRIES, NOW, environment=environment, policy=QUICK)
        assert (raised.delivery.sent, raised.delivery.waiting) == (2, 0)
        again = raise_new_alerts(home, ENTRIES, LATER, environment=environment, policy=QUICK)
    assert again.delivery.sent == 0
    assert len({request.body for request in receiver.requests}) == 2


def test_alerts_that_cannot_be_raised_stop_nothing_and_wait(home, caplog):
    (home.ledger / "ledger.sqlite").write_text("this is no database")
    with caplog.at_level(logging.ERROR, "meterhouse.alerts"):
        raised = raise_new_alerts(home, ENTRIES, NOW)
    assert raised.failure
    assert raised.alerts == []
    assert "wait for the next run" in caplog.text
    (home.ledger / "ledger.sqlite").unlink()
    assert len(raise_new_alerts(home, ENTRIES, LATER).alerts) == 2


def test_the_table_shows_newest_first_and_takes_words_as_they_are(home):
    raise_new_alerts(home, ENTRIES, NOW)
    text = shown(home)
    assert text.index("2026-09-05") < text.index("2026-09-04")
    assert "812.5 of 1,000 [included] used" in text
    assert "2 alerts, 2 unread." in text


def test_an_id_stays_in_one_piece_on_a_narrow_terminal(home, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    alert_id = "alert_0123456789abcdef01234567"
    build(home, (alert_id, *USAGE[1:]))
    raise_new_alerts(home, ENTRIES, NOW)
    assert alert_id in shown(home)


def test_without_alerts_it_says_so(home):
    assert shown(home).strip() == "No alerts."
    assert json.loads(shown(home, "json")) == []
    assert len(shown(home, "csv").splitlines()) == 1


def test_a_customer_without_any_is_told_from_one_that_nobody_knows(home):
    home.serving.mkdir(exist_ok=True)
    with duckdb.connect(str(home.published_file)) as published:
        published.execute("create table customers as select 'quiet' as customer_id")
    assert shown(home, "table", "quiet").strip() == "No alerts."
    with pytest.raises(ConfigurationError, match="did you mean quiet"):
        shown(home, "table", "quiett")


def test_json_is_exact_and_complete(home):
    raise_new_alerts(home, ENTRIES, NOW)
    assert json.loads(shown(home, "json", "tundra")) == [
        {
            "alert_id": "a-1",
            "customer_id": "tundra",
            "kind": "usage_threshold",
            "meter_id": "ai_requests",
            "threshold": "0.8",
            "observed": "812.5",
            "limit_value": "1000",
            "severity": "warning",
            "period_start": "2026-09-01",
            "triggered_on": "2026-09-05",
            "message": "AI requests: 812.5 of 1,000 [included] used",
            "raised_at": "2026-09-06T07:30:00+00:00",
            "is_read": False,
            "read_at": None,
            "read_by": None,
        }
    ]


def test_csv_has_the_same_columns(home):
    raise_new_alerts(home, ENTRIES, NOW)
    rows = list(csv.DictReader(io.StringIO(shown(home, "csv"))))
    assert list(rows[0]) == list(json.loads(shown(home, "json"))[0])
    assert [row["message"] for row in rows] == [USAGE[-1], MODEL[-1]]
    assert (rows[1]["threshold"], rows[1]["is_read"]) == ("", "false")


def test_read_alerts_are_marked_once_and_can_be_left_out(home):
    raise_new_alerts(home, ENTRIES, NOW)
    assert mark_alerts_read(Settings(home, LATER), ["a-1"]) == 1
    assert mark_alerts_read(Settings(home, NOW), ["a-1"]) == 0
    read, unread = json.loads(shown(home, "json"))
    assert (read["is_read"], read["read_at"], read["read_by"]) == (True, "2026-09-07T07:30:00+00:00", "ada")
    assert not unread["is_read"]
    assert [one["alert_id"] for one in json.loads(shown(home, "json", is_unread_only=True))] == ["a-2"]
    assert mark_alerts_read(Settings(home, LATER), ["all"]) == 1
    assert "2 alerts, 0 unread." in shown(home)


def test_an_unknown_id_marks_nothing(home):
    raise_new_alerts(home, ENTRIES, NOW)
    with pytest.raises(MeterhouseError, match="no alert has the id a-9"):
        mark_alerts_read(Settings(home, LATER), ["a-1", "a-9"])
    assert len(json.loads(shown(home, "json", is_unread_only=True))) == 2


def test_another_format_is_a_wrong_argument(home):
    with pytest.raises(ConfigurationError, match="--format"):
        shown(home, "xml")


def test_the_asset_raises_and_says_how_many(home):
    copy_product(home, "coachos")
    metadata = materialize(home).asset_materializations_for_node(RAISED.to_python_identifier())[0].metadata
    assert metadata["new_alerts"].value == 2
    with open_ledger(home) as ledger:
        assert {raised.raised_at for raised in ledger.alerts()} == {NOW}, "the run's clock"


def test_a_ledger_out_of_order_is_a_warning_of_the_run(home):
    copy_product(home, "coachos")
    (home.ledger / "ledger.sqlite").write_text("this is no database")
    session = Session(Settings(home, NOW))
    result = materialize(home, session)
    assert result.success
    assert "wait for the next run" in session.warnings[0]
    assert not result.get_asset_check_evaluations()[0].passed


@pytest.mark.parametrize(("max_attempts", "passed"), [(2, True), (1, False)])
def test_a_message_that_was_given_up_stays_visible_as_a_check(home, max_attempts, passed):
    copy_product(home, "coachos")
    with Receiver(500, 500) as receiver:
        environment = {"METERHOUSE_ALERT_URL": receiver.url}
        policy = RetryPolicy(max_attempts, first_delay_seconds=60)
        raise_new_alerts(home, ENTRIES, NOW, environment=environment, policy=policy)
    [check] = materialize(home).get_asset_check_evaluations()
    assert (check.passed, check.severity) == (passed, dg.AssetCheckSeverity.WARN)
    assert check.metadata["pending" if passed else "failed"].value == 2


def materialize(home: Home, session: Session | None = None) -> dg.ExecuteInProcessResult:
    with dg.DagsterInstance.ephemeral() as instance:
        resources = {"session": session or Session(Settings(home, NOW))}
        return dg.materialize(
            [raised_alerts, notifications_are_delivered], resources=resources, instance=instance
        )
