"""The ledger on SQLite and on PostgreSQL: the same tests, because it must remember the same."""

import subprocess
import sys
import traceback
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import servers
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from pipelines.errors import ConfigurationError, MeterhouseError
from pipelines.figures import plain_text
from pipelines.home import Home
from pipelines.lake.commits import Head, Lake
from pipelines.lake.places import export_folder
from pipelines.ledger import Alert, Ledger, LedgerError, Message, open_ledger
from pipelines.ledger.connect import find_address, make_engine
from pipelines.ledger.lake_heads import record_head
from pipelines.ledger.schema import APPEND_ONLY, HEAD_REVISION, metadata

ledger_url, postgres_server = servers.ledger_url, servers.postgres_server

NOW = datetime(2026, 3, 14, 9, 26, 53, 589793, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)
ALERT = Alert(
    alert_id="a-1",
    customer_id="c-42",
    kind="usage_threshold",
    severity="warning",
    triggered_on=date(2026, 3, 14),
    message="ai_requests is at 760 of 1000",
    meter_id="ai_requests",
    threshold=Decimal("0.75"),
    observed=Decimal("760"),
    limit_value=Decimal("1000"),
    period_start=date(2026, 3, 1),
)
OTHER = replace(ALERT, alert_id="a-2", customer_id="c-43", triggered_on=date(2026, 3, 15))
BARE = Alert("a-3", "c-42", "unlisted_model", "info", date(2026, 3, 13), "gpt-4 is not on the list")


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path / "home")


@pytest.fixture
def ledger(home, ledger_url):
    with open_ledger(home, ledger_url) as ledger:
        yield ledger


@pytest.fixture
def database(home, ledger, ledger_url):
    """The ledger's database as somebody sees it who goes around the ledger."""
    with make_engine(find_address(home, ledger_url)).connect() as connection:
        yield connection


def messages_about(alerts):
    return [
        Message(alert.alert_id, alert.kind, alert.severity, "title", "body", alert.alert_id)
        for alert in alerts
    ]


def exported(home, name):
    return pq.read_table(export_folder(home) / f"{name}.parquet")


# Alerts


def test_an_alert_is_raised_once(ledger):
    assert ledger.raise_alerts([ALERT], NOW, "build-1") == [ALERT]
    assert ledger.raise_alerts([ALERT, OTHER], LATER, "build-2") == [OTHER]
    assert ledger.raise_alerts([OTHER, ALERT], LATER, "build-3") == []
    first = next(raised for raised in ledger.alerts() if raised.alert == ALERT)
    assert (first.raised_at, first.build_id, first.read_at) == (NOW, "build-1", None)


def test_an_alert_stays_as_it_was_first_raised(ledger):
    ledger.raise_alerts([ALERT], NOW)
    assert ledger.raise_alerts([replace(ALERT, observed=Decimal(990), severity="critical")], LATER) == []
    assert [raised.alert for raised in ledger.alerts()] == [ALERT]


def test_the_same_alert_twice_in_one_call_is_one(ledger):
    assert ledger.raise_alerts([ALERT, ALERT], NOW) == [ALERT]


def test_an_alert_needs_neither_meter_nor_figures(ledger):
    ledger.raise_alerts([BARE], NOW)
    assert ledger.alerts()[0].alert == BARE


def test_an_alert_comes_from_a_row_of_the_mart_with_columns_to_spare():
    row = vars(ALERT) | {"something_else": 1}
    assert Alert.from_row(row) == ALERT


@pytest.mark.parametrize(
    "figure", ["0.000000000001", "99999999999999999999999999.999999999999", "1E+3", "-0.5", "0"]
)
def test_figures_are_exact(ledger, home, figure):
    ledger.raise_alerts([replace(ALERT, observed=Decimal(figure))], NOW)
    assert ledger.alerts()[0].alert.observed == Decimal(figure)
    assert exported(home, "alerts")["observed"].to_pylist() == [Decimal(figure)]


@pytest.mark.parametrize("figure", ["0.0000000000001", "100000000000000000000000000", "NaN"])
def test_a_figure_that_would_be_rounded_is_refused(ledger, figure):
    with pytest.raises(ValueError, match=r"a-1: observed: .* does not fit"):
        ledger.raise_alerts([OTHER, replace(ALERT, observed=Decimal(figure))], NOW)
    assert ledger.alerts() == []


@pytest.mark.parametrize(
    ("value", "text"),
    [("0.750000", "0.75"), ("1E+3", "1000"), ("100", "100"), ("-0.0", "0"), ("1E-7", "0.0000001")],
)
def test_decimals_are_written_in_their_shortest_form(value, text):
    assert plain_text(Decimal(value)) == text


def test_instants_come_back_in_utc_whatever_offset_they_had(ledger):
    ledger.raise_alerts([ALERT], NOW.astimezone(timezone(timedelta(hours=5, minutes=30))))
    raised_at = ledger.alerts()[0].raised_at
    assert (raised_at, raised_at.utcoffset()) == (NOW, timedelta(0))


def test_an_instant_without_offset_is_refused(ledger):
    with pytest.raises(LedgerError, match="needs an offset"):
        ledger.raise_alerts([ALERT], NOW.replace(tzinfo=None))
    assert ledger.alerts() == []


def test_alerts_are_listed_newest_day_first_and_by_customer(ledger):
    ledger.raise_alerts([ALERT, OTHER, BARE], NOW)
    assert [raised.alert.alert_id for raised in ledger.alerts()] == ["a-2", "a-1", "a-3"]
    assert [raised.alert.alert_id for raised in ledger.alerts(customer_id="c-42")] == ["a-1", "a-3"]


def test_more_alerts_than_one_statement_takes(ledger):
    many = [replace(ALERT, alert_id=f"a-{number}") for number in range(2_500)]
    assert len(ledger.raise_alerts(many, NOW)) == 2_500
    assert ledger.raise_alerts(many, NOW) == []


# Reading


def test_what_was_read_is_no_longer_unread(ledger):
    ledger.raise_alerts([ALERT, OTHER], NOW)
    assert ledger.mark_read(["a-1"], LATER, "ada") == ["a-1"]
    assert [raised.alert for raised in ledger.unread()] == [OTHER]
    read = ledger.alerts(customer_id="c-42")[0]
    assert (read.read_at, read.read_by) == (LATER, "ada")


def test_the_first_reading_counts(ledger):
    ledger.raise_alerts([ALERT], NOW)
    ledger.mark_read(["a-1"], NOW, "ada")
    assert ledger.mark_read(["a-1"], LATER, "bob") == []
    assert ledger.alerts()[0].read_by == "ada"


def test_all_are_marked_at_once(ledger):
    ledger.raise_alerts([ALERT, OTHER, BARE], NOW)
    ledger.mark_read(["a-2"], NOW)
    assert ledger.mark_read(None, LATER) == ["a-1", "a-3"]
    assert ledger.unread() == []


def test_an_id_that_is_not_there_marks_nothing(ledger):
    ledger.raise_alerts([ALERT], NOW)
    with pytest.raises(MeterhouseError, match="no alert has the id nonsense") as caught:
        ledger.mark_read(["a-1", "nonsense"], LATER)
    assert "meterhouse alerts" in caught.value.remedy
    assert len(ledger.unread()) == 1


# Decisions


def test_a_decision_is_taken_once_and_can_be_changed(ledger):
    assert ledger.dismiss("r-1", NOW, "too dear")
    assert not ledger.dismiss("r-1", LATER)
    assert ledger.decide("r-1", "accepted", LATER)
    assert ledger.dismiss("r-1", LATER)
    assert [(d.decision_number, d.recommendation_id, d.decision, d.note) for d in ledger.decisions()] == [
        (1, "r-1", "dismissed", "too dear"),
        (2, "r-1", "accepted", None),
        (3, "r-1", "dismissed", None),
    ]


def test_a_decision_that_is_none_is_refused_by_the_database(ledger):
    with pytest.raises(LedgerError):
        ledger.decide("r-1", "perhaps", NOW)
    assert ledger.decisions() == []


# Outbox


def test_alerts_and_their_messages_come_together(ledger):
    ledger.raise_alerts([ALERT], NOW, outbox=messages_about, destinations=["ONE", "TWO"])
    waiting = ledger.notifications("pending")
    assert sorted((row.alert_id, row.destination, row.attempt_count) for row in waiting) == [
        ("a-1", "ONE", 0),
        ("a-1", "TWO", 0),
    ]


def test_a_message_that_cannot_be_made_leaves_no_alert_behind(ledger):
    def broken(alerts):
        raise RuntimeError("no words")

    with pytest.raises(RuntimeError, match="no words"):
        ledger.raise_alerts([ALERT], NOW, outbox=broken, destinations=["ONE"])
    assert ledger.alerts() == []
    assert ledger.raise_alerts([ALERT], NOW) == [ALERT]


def test_alerts_that_are_known_make_no_messages(ledger):
    ledger.raise_alerts([ALERT], NOW)
    ledger.raise_alerts([ALERT], NOW, outbox=messages_about, destinations=["ONE"])
    assert ledger.notifications() == []


def test_a_message_is_put_into_the_outbox_once_per_destination(ledger):
    message = Message("key", "run_failed", "critical", "title", "body")
    assert ledger.add_messages([message, message], ["ONE"], NOW) == 1
    assert ledger.add_messages([message], ["ONE", "TWO"], LATER) == 1
    assert ledger.count_notifications() == {"pending": 2}


def test_a_claimed_message_is_nobody_elses_until_its_lease_ends(ledger):
    ledger.add_messages([Message("key", "k", "info", "t", "b")], ["ONE"], NOW)
    first = ledger.claim_notification(["ONE"], NOW, LATER, 9)
    assert first.attempt_count == 1
    assert ledger.claim_notification(["ONE"], LATER - timedelta(microseconds=1), LATER, 9) is None
    again = ledger.claim_notification(["ONE"], LATER, LATER + timedelta(hours=1), 9)
    assert (again.notification_id, again.attempt_count) == (first.notification_id, 2)


def test_what_was_sent_stays_sent_when_a_slow_sender_reports_a_failure(ledger):
    ledger.add_messages([Message("key", "k", "info", "t", "b")], ["ONE"], NOW)
    claimed = ledger.claim_notification(["ONE"], NOW, LATER, 9)
    ledger.record_sent(claimed.notification_id, NOW)
    ledger.record_failure(claimed.notification_id, "too slow", LATER)
    assert [(row.state, row.last_error) for row in ledger.notifications()] == [("sent", None)]


def test_a_sender_that_always_dies_gives_up_in_the_end(ledger):
    ledger.add_messages([Message("key", "k", "info", "t", "b")], ["ONE"], NOW)
    for _ in range(2):
        assert ledger.claim_notification(["ONE"], NOW, NOW, 2)
    assert ledger.claim_notification(["ONE"], NOW, NOW, 2) is None
    assert [(row.state, row.last_error) for row in ledger.notifications()] == [
        ("failed", "the last attempt was interrupted")
    ]
    assert ledger.retry_failed() == 1
    assert ledger.claim_notification(["ONE"], NOW, LATER, 2).attempt_count == 1


# What the database itself refuses


def remember_commit(ledger):
    record_head(ledger, Lake(ledger.home, Head(1, "b" * 64), "a" * 64))


@pytest.mark.parametrize("table", APPEND_ONLY)
@pytest.mark.parametrize("change", ["update {table} set {column} = {column}", "delete from {table}"])
def test_facts_cannot_be_changed(ledger, database, table, change):
    ledger.raise_alerts([ALERT], NOW)
    ledger.mark_read(["a-1"], NOW)
    ledger.dismiss("r-1", NOW)
    remember_commit(ledger)
    column = metadata.tables[table].columns[1].name
    with pytest.raises(sa.exc.DBAPIError, match=f"{table} is append-only"):
        database.execute(sa.text(change.format(table=table, column=column)))
    database.rollback()
    assert database.scalar(sa.select(sa.func.count()).select_from(metadata.tables[table])) == 1


@pytest.mark.parametrize("table", APPEND_ONLY)
def test_facts_cannot_be_replaced_or_truncated(ledger, database, table):
    ledger.raise_alerts([ALERT], NOW)
    ledger.mark_read(["a-1"], NOW)
    ledger.dismiss("r-1", NOW)
    remember_commit(ledger)
    if database.dialect.name == "sqlite":
        statement = f"insert or replace into {table} select * from {table}"
    else:
        statement = f"truncate {table} cascade"
    with pytest.raises(sa.exc.DBAPIError, match="is append-only"):
        database.execute(sa.text(statement))


def test_a_reading_of_an_alert_that_is_not_there_is_refused(database):
    with pytest.raises(sa.exc.IntegrityError):
        database.execute(sa.insert(metadata.tables["alert_reads"]).values(alert_id="none", read_at=NOW))


def test_sqlite_is_safe_against_a_lost_machine(home):
    with open_ledger(home, ""), make_engine(find_address(home, "")).connect() as connection:
        pragmas = ("journal_mode", "synchronous", "foreign_keys")
        assert [connection.exec_driver_sql(f"pragma {name}").scalar() for name in pragmas] == ["wal", 2, 1]


# Migrations


def test_the_migrations_make_exactly_the_tables_of_the_schema(ledger, database):
    assert compare_metadata(MigrationContext.configure(database), metadata) == []
    assert database.scalar(sa.text("select version_num from alembic_version")) == HEAD_REVISION


def test_opening_again_keeps_everything(home, ledger, ledger_url):
    ledger.raise_alerts([ALERT], NOW)
    with open_ledger(home, ledger_url) as again:
        assert [raised.alert for raised in again.alerts()] == [ALERT]


def test_a_ledger_of_a_newer_version_is_left_alone(home, ledger, database, ledger_url):
    database.execute(sa.text("update alembic_version set version_num = '9999'"))
    database.commit()
    with pytest.raises(LedgerError, match="revision 9999"):
        open_ledger(home, ledger_url)


def test_a_file_that_is_no_ledger_is_named_and_left_alone(home):
    home.ledger.mkdir(parents=True)
    (home.ledger / "ledger.sqlite").write_text("not a database, and long enough to be sure of it" * 100)
    with pytest.raises(LedgerError, match=r"ledger\.sqlite: file is not a database"):
        open_ledger(home, "")
    assert (home.ledger / "ledger.sqlite").read_text().startswith("not a database")


def test_a_migration_that_fails_changes_nothing(home, ledger_url):
    """The third table is in the way; the two before it must not stay."""
    home.ledger.mkdir(parents=True)
    engine = make_engine(find_address(home, ledger_url))
    with engine.begin() as connection:
        connection.exec_driver_sql("create table decisions (mine text)")
    with pytest.raises(LedgerError):
        open_ledger(home, ledger_url)
    with engine.connect() as connection:
        assert sa.inspect(connection).get_table_names() == ["decisions"]


RACE = """
import sys, time
from datetime import UTC, date, datetime
from pathlib import Path
from pipelines.home import Home
from pipelines.ledger import Alert, Message, open_ledger
root, start = Path(sys.argv[1]), float(sys.argv[2])
time.sleep(max(0, start - time.time()))
found = [Alert(f"a-{n}", "c", "k", "info", date(2026, 3, 14), "m") for n in range(300)]
say = lambda alerts: [Message(a.alert_id, a.kind, a.severity, "t", "b", a.alert_id) for a in alerts]
new = 0
with open_ledger(Home(root)) as ledger:
    for first in range(0, 300, 10):
        some = found[first:first + 10]
        new += len(ledger.raise_alerts(some, datetime.now(UTC), outbox=say, destinations=["ONE"]))
print(new)
"""


def test_two_processes_that_open_a_new_ledger_and_raise_the_same_alerts(home, ledger_url, monkeypatch):
    """Both migrate and both raise at once: each alert is new to exactly one of them."""
    monkeypatch.setenv("METERHOUSE_LEDGER_URL", ledger_url)
    start = str(datetime.now().timestamp() + 2)
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RACE, str(home.root), start],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for _ in range(2)
    ]
    outputs = [racer.communicate(timeout=120) for racer in racers]
    assert [racer.returncode for racer in racers] == [0, 0], outputs
    assert sum(int(out) for out, _ in outputs) == 300
    with open_ledger(home) as ledger:
        assert len(ledger.alerts()) == 300
        assert ledger.count_notifications() == {"pending": 300}
    assert exported(home, "alerts").num_rows == 300


# Export


def test_an_empty_ledger_is_exported_with_its_types(ledger, home):
    assert exported(home, "alerts").num_rows == 0
    assert exported(home, "alerts").schema.field("threshold").type == pa.decimal128(38, 12)
    assert exported(home, "alerts").schema.field("raised_at").type == pa.timestamp("us", tz="UTC")
    assert exported(home, "alert_reads").column_names == ["alert_id", "read_by", "read_at"]
    assert exported(home, "decisions").schema.field("decision_number").type == pa.int64()


def test_the_export_has_the_rows_of_the_ledger(ledger, home):
    ledger.raise_alerts([OTHER, ALERT, BARE], NOW, "build-1")
    ledger.mark_read(["a-2"], LATER, "ada")
    ledger.dismiss("r-1", LATER, "no")
    rows = exported(home, "alerts").to_pylist()
    assert rows == [vars(alert) | {"build_id": "build-1", "raised_at": NOW} for alert in (ALERT, OTHER, BARE)]
    assert exported(home, "alert_reads").to_pylist() == [
        {"alert_id": "a-2", "read_by": "ada", "read_at": LATER}
    ]
    assert exported(home, "decisions").to_pylist() == [
        {
            "decision_number": 1,
            "recommendation_id": "r-1",
            "decision": "dismissed",
            "note": "no",
            "decided_at": LATER,
        }
    ]
    assert {path.name for path in export_folder(home).iterdir()} == {
        "alerts.parquet",
        "alert_reads.parquet",
        "decisions.parquet",
        "stripe_outbox.parquet",
        "stripe_invoices.parquet",
        "stripe_seen.parquet",
        "stripe_reconciliations.parquet",
        "stripe_differences.parquet",
    }


def test_an_export_that_is_gone_is_written_when_the_ledger_is_opened(ledger, home, ledger_url):
    ledger.raise_alerts([ALERT], NOW)
    (export_folder(home) / "alerts.parquet").unlink()
    open_ledger(home, ledger_url).close()
    assert exported(home, "alerts").num_rows == 1


# The address


def test_postgres_is_accepted_by_any_of_its_names(home):
    for scheme in ("postgresql", "postgres", "postgresql+psycopg"):
        assert find_address(home, f"{scheme}://u:secret@host/db").url.drivername == "postgresql+psycopg"


@pytest.mark.parametrize(
    "url", ["mysql://u:geheim@host/db", "sqlite:///geheim", "geheim", "postgresql://u:geheim@h:x/"]
)
def test_another_url_is_refused_without_repeating_it(home, url):
    with pytest.raises(ConfigurationError) as caught:
        open_ledger(home, url).close()
    assert "METERHOUSE_LEDGER_URL" in str(caught.value)
    assert "geheim" not in "".join(traceback.format_exception(caught.value))
    assert not home.root.exists()


def test_without_a_url_the_ledger_is_in_the_home(home):
    with open_ledger(home, environment={}) as ledger:
        assert str(ledger) == f"SQLite ledger {home.ledger / 'ledger.sqlite'}"
    assert (home.ledger / "ledger.sqlite").exists()


def test_the_password_is_in_no_error(home, postgres_server, caplog):
    """Wrong password, wrong database, nobody there: whatever the driver says, the password is not in it."""
    wrong = "fal$ch/@: wort"
    right = postgres_server.url("nowhere")
    urls = [
        postgres_server.url(password=wrong),
        right,
        right.replace(f":{postgres_server.port}/", f":{servers.free_port()}/"),
    ]
    caplog.set_level(0)
    for url in urls:
        with pytest.raises(LedgerError) as caught:
            open_ledger(home, url)
        told = "".join(traceback.format_exception(caught.value)) + repr(find_address(home, url)) + caplog.text
        for secret in (wrong, servers.POSTGRES_PASSWORD, "fal%24ch", "gehe%21m", "gehe!m"):
            assert secret not in told
        assert "PostgreSQL ledger" in str(caught.value)
        assert "METERHOUSE_LEDGER_URL" in caught.value.remedy


def test_a_driver_that_repeats_the_password_is_not_repeated(home):
    address = find_address(home, "postgresql://u:p%40ss@host/db?sslpassword=other")
    assert address.redact("p@ss p%40ss other") == "*** *** ***"


def test_a_server_that_went_away_is_named(home, postgres_server):
    url = postgres_server.new_database()
    with open_ledger(home, url) as ledger:
        name = url.rsplit("/", 1)[1]
        with postgres_server.connect() as connection:
            connection.execute(f"drop database {name} with (force)")
        with pytest.raises(LedgerError, match=f"PostgreSQL ledger {name} at 127.0.0.1"):
            ledger.alerts()


def test_a_ledger_is_a_context(home):
    with open_ledger(home, "") as ledger:
        assert isinstance(ledger, Ledger)
