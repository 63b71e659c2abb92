"""Messages on their way, with a real receiver that fails first; the outbox on SQLite and on PostgreSQL."""

import logging
import os
import signal
import subprocess
import sys
import time
import traceback
from collections import Counter
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
import servers
from servers import POSTGRES_PASSWORD, Receiver, free_port

from pipelines.home import Home
from pipelines.ledger import Alert, Message, open_ledger
from pipelines.notify import (
    MOST_SINGLE_MESSAGES,
    DeliveryReport,
    Destination,
    RetryPolicy,
    deliver_pending,
    destinations_in_use,
    enqueue_report,
    raise_alerts,
    render_alerts,
    report_sender,
    reports,
)
from pipelines.notify.messages import Report

ledger_url, postgres_server = servers.ledger_url, servers.postgres_server

# Apprise looks for a module of the standard library that later Pythons do not have.
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")

NOW = datetime(2026, 3, 14, 9, 26, 53, tzinfo=UTC)
SECRET = "tok-geheim"
ALERT = Alert(
    alert_id="a-1",
    customer_id="c-42",
    kind="usage_threshold",
    severity="warning",
    triggered_on=date(2026, 3, 14),
    message="ai_requests is at 760 of 1000",
    meter_id="ai_requests",
    threshold=Decimal("0.750000"),
    observed=Decimal("760.000000000000"),
    limit_value=Decimal("1000"),
    period_start=date(2026, 3, 1),
)
BARE = Alert("a-3", "c-42", "unlisted_model", "info", date(2026, 3, 13), "gpt-4 is not on the list")
QUICK = RetryPolicy(first_delay_seconds=0.05, factor=2, budget_seconds=10, attempt_seconds=5)
FAILED_RUN = Report("run_failed", "the build failed", "dbt", "run it again")


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path / "home")


@pytest.fixture
def ledger(home, ledger_url):
    with open_ledger(home, ledger_url) as ledger:
        yield ledger


@pytest.fixture
def sqlite(home):
    with open_ledger(home, "") as ledger:
        yield ledger


def hook(receiver, name="METERHOUSE_ALERT_URL"):
    return Destination(name, f"{receiver.url}/hook/{SECRET}?key={SECRET}&key=2")


def put(ledger, *destinations, count=1):
    messages = [Message(f"key-{n}", "k", "warning", f"title {n}", f"body {n}") for n in range(count)]
    ledger.add_messages(messages, [destination.name for destination in destinations], NOW)


def titles(receiver):
    return [request.json["title"] for request in receiver.requests]


# What arrives


def test_an_alert_arrives_once_as_json_at_exactly_the_given_address(ledger):
    with Receiver() as receiver:
        destination = hook(receiver)
        assert raise_alerts(ledger, [ALERT], [destination], NOW, "build-1") == [ALERT]
        assert deliver_pending(ledger, [destination], QUICK) == DeliveryReport(sent=1)
        assert raise_alerts(ledger, [ALERT], [destination], NOW, "build-2") == []
        assert deliver_pending(ledger, [destination], QUICK) == DeliveryReport(sent=0)
    [request] = receiver.requests
    assert (request.method, request.path) == ("POST", f"/hook/{SECRET}?key={SECRET}&key=2")
    assert request.headers["Content-Type"] == "application/json"
    assert request.json == {
        "version": "1.0",
        "title": "Warning: usage threshold of ai_requests, customer c-42",
        "message": (
            "ai_requests is at 760 of 1000\n"
            "Observed: 760 of 1000 (threshold 0.75)\n"
            "Period from: 2026-03-01\n"
            "Day: 2026-03-14\n"
            "Alert: a-1"
        ),
        "attachments": [],
        "type": "warning",
    }
    [row] = ledger.notifications()
    assert (row.state, row.attempt_count, row.alert_id, row.last_error) == ("sent", 1, "a-1", None)
    assert abs(datetime.now(UTC) - row.sent_at) < timedelta(minutes=5)


def test_words_of_any_kind_arrive_unchanged(sqlite):
    body = "  Müller & Söhne <b>ok</b>\n\n* 50 % of 1_000 ${HOME} \\n :smile: 日本\nend"
    with Receiver() as receiver:
        sqlite.add_messages([Message("k", "k", "info", "1 < 2 & ß", body)], ["HOOK"], NOW)
        deliver_pending(sqlite, [hook(receiver, "HOOK")], QUICK)
    [request] = receiver.requests
    assert (request.json["title"], request.json["message"].strip()) == ("1 < 2 & ß", body.strip())


@pytest.mark.parametrize(
    ("severity", "type_"),
    [
        ("info", "info"),
        ("warning", "warning"),
        ("error", "failure"),
        ("critical", "failure"),
        ("?", "warning"),
    ],
)
def test_severity_is_the_type_of_the_notification(severity, type_):
    with Receiver() as receiver:
        hook(receiver).send("title", "body", severity, 5)
    assert receiver.requests[0].json["type"] == type_


@pytest.mark.parametrize("target", ["", "/", "/a%20b/%2Fc/+d?x=%26&y=&x=2", "/?a=1"])
def test_path_and_query_arrive_as_they_were_given(target):
    with Receiver() as receiver:
        Destination("HOOK", receiver.url + target).send("t", "b", "info", 5)
    assert receiver.requests[0].path == (target or "/")


def test_user_and_password_of_the_address_are_sent_as_such():
    with Receiver() as receiver:
        Destination("HOOK", f"http://us%40er:p%3Ass@127.0.0.1:{receiver.port}/").send("t", "b", "info", 5)
    assert receiver.requests[0].headers["Authorization"] == "Basic dXNAZXI6cDpzcw=="


def test_an_apprise_address_is_taken_as_it_is():
    with Receiver() as receiver:
        address = f"json://127.0.0.1:{receiver.port}/path?+X-Token={SECRET}"
        Destination("HOOK", address).send("t", "b", "info", 5)
    assert (receiver.requests[0].path, receiver.requests[0].headers["X-Token"]) == ("/path", SECRET)


def test_every_destination_gets_every_message(ledger):
    with Receiver() as one, Receiver() as two:
        destinations = [hook(one, "ONE"), hook(two, "TWO")]
        raise_alerts(ledger, [ALERT, BARE], destinations, NOW)
        assert deliver_pending(ledger, destinations, QUICK).sent == 4
    assert sorted(titles(one)) == sorted(titles(two))
    assert len(titles(one)) == 2


# Failures


def test_a_receiver_that_fails_first_gets_it_in_the_same_run(ledger):
    with Receiver(500, 503) as receiver:
        raise_alerts(ledger, [ALERT], [hook(receiver)], NOW)
        assert deliver_pending(ledger, [hook(receiver)], QUICK) == DeliveryReport(sent=1)
    assert [request.json["title"] for request in receiver.requests] == [
        "Warning: usage threshold of ai_requests, customer c-42"
    ] * 3
    assert [(row.state, row.attempt_count) for row in ledger.notifications()] == [("sent", 3)]


def test_what_fails_throughout_a_run_is_sent_by_a_later_one(ledger):
    with Receiver(500, 500, 500) as receiver:
        put(ledger, hook(receiver))
        assert deliver_pending(ledger, [hook(receiver)], QUICK) == DeliveryReport(waiting=1)
        [row] = ledger.notifications()
        assert (row.state, row.attempt_count, row.last_error) == (
            "pending",
            3,
            "it answered with HTTP status 500",
        )
        assert deliver_pending(ledger, [hook(receiver)], QUICK) == DeliveryReport(sent=1)
    assert len(receiver.requests) == 4


def test_nothing_is_tried_before_its_time(ledger):
    with Receiver(500) as receiver:
        put(ledger, hook(receiver))
        patient = RetryPolicy(first_delay_seconds=3600)
        for _ in range(2):
            assert deliver_pending(ledger, [hook(receiver)], patient) == DeliveryReport(waiting=1)
        assert len(receiver.requests) == 1
        in_an_hour = deliver_pending(
            ledger, [hook(receiver)], patient, clock=lambda: datetime.now(UTC) + timedelta(hours=1)
        )
        assert in_an_hour == DeliveryReport(sent=1)


def test_after_the_last_attempt_it_stays_visible_as_failed(ledger, caplog):
    with Receiver(500, 500) as receiver:
        put(ledger, hook(receiver))
        policy = replace(QUICK, max_attempts=2)
        assert deliver_pending(ledger, [hook(receiver)], policy) == DeliveryReport(failed=1)
        assert deliver_pending(ledger, [hook(receiver)], policy) == DeliveryReport(failed=1)
        assert len(receiver.requests) == 2
        assert [row.last_error for row in ledger.notifications("failed")] == [
            "it answered with HTTP status 500"
        ]
        assert "1 given up" in caplog.text
        ledger.retry_failed()
        assert deliver_pending(ledger, [hook(receiver)], policy) == DeliveryReport(sent=1)


def test_a_receiver_that_is_down_keeps_nobody_waiting_and_loses_nothing(ledger):
    port = free_port()
    down = Destination("DOWN", f"http://127.0.0.1:{port}/{SECRET}")
    with Receiver() as receiver:
        put(ledger, down, hook(receiver), count=5)
        start = time.monotonic()
        assert deliver_pending(ledger, [down, hook(receiver)], QUICK) == DeliveryReport(sent=5, waiting=5)
        assert time.monotonic() - start < QUICK.budget_seconds
        assert sorted(titles(receiver)) == [f"title {n}" for n in range(5)]
    waiting = ledger.notifications("pending")
    assert sum(row.attempt_count for row in waiting) == QUICK.most_failures
    assert {row.last_error for row in waiting} == {
        None,
        "it could not be reached, or did not answer in time",
    }


@pytest.mark.parametrize("answer", ["hang", "drip"])
def test_a_receiver_that_never_finishes_is_left_alone(sqlite, answer):
    with Receiver(*[answer] * 9) as receiver:
        put(sqlite, hook(receiver), count=3)
        start = time.monotonic()
        policy = replace(QUICK, attempt_seconds=0.5, budget_seconds=1.2)
        assert deliver_pending(sqlite, [hook(receiver)], policy) == DeliveryReport(waiting=3)
        assert time.monotonic() - start < 4
        errors = {row.last_error for row in sqlite.notifications() if row.attempt_count}
        assert all(error.startswith("no answer within") for error in errors)
        assert errors


def test_a_message_that_one_receiver_refuses_does_not_hold_up_the_others(sqlite):
    with Receiver(400) as receiver:
        put(sqlite, hook(receiver), count=3)
        assert deliver_pending(sqlite, [hook(receiver)], replace(QUICK, first_delay_seconds=3600)).sent == 2
    assert len(receiver.requests) == 3


def test_a_redirect_is_no_delivery(sqlite):
    """Followed, the POST would arrive as a GET without the message."""
    with Receiver(302) as receiver:
        put(sqlite, hook(receiver))
        assert deliver_pending(sqlite, [hook(receiver)], replace(QUICK, first_delay_seconds=3600)).sent == 0
    assert [request.method for request in receiver.requests] == ["POST"]
    assert sqlite.notifications()[0].last_error == "it answered with HTTP status 302"


def test_messages_for_a_destination_out_of_use_wait(sqlite):
    with Receiver() as receiver:
        put(sqlite, hook(receiver))
        assert deliver_pending(sqlite, [], QUICK) == DeliveryReport(waiting=1)
        assert deliver_pending(sqlite, [hook(receiver, "OTHER")], QUICK) == DeliveryReport(waiting=1)
        assert receiver.requests == []
        assert deliver_pending(sqlite, [hook(receiver)], QUICK) == DeliveryReport(sent=1)


@pytest.mark.parametrize(
    "address", [f"nonsense {SECRET}", f"what://{SECRET}", f"http://[{SECRET}", f"mailtos://{SECRET}"]
)
def test_an_address_that_is_none_is_named_by_its_variable(sqlite, caplog, capfd, address):
    caplog.set_level(0)
    put(sqlite, Destination("HOOK", address))
    deliver_pending(sqlite, [Destination("HOOK", address)], replace(QUICK, max_attempts=1))
    assert sqlite.notifications()[0].last_error == "HOOK does not hold an address that can be used"
    assert SECRET not in caplog.text + "".join(capfd.readouterr())


def test_a_ledger_that_is_gone_does_not_stop_the_work(home, postgres_server, caplog):
    url = postgres_server.new_database()
    name = url.rsplit("/", 1)[1]
    with Receiver() as receiver, open_ledger(home, url) as ledger:
        with postgres_server.connect() as connection:
            connection.execute(f"drop database {name} with (force)")
        assert deliver_pending(ledger, [hook(receiver)], QUICK) == DeliveryReport()
    assert "wait for the next run" in caplog.text
    assert POSTGRES_PASSWORD not in caplog.text


DIES = """
import sys
from pathlib import Path
from pipelines.home import Home
from pipelines.ledger import open_ledger
from pipelines.notify import Destination, deliver_pending
with open_ledger(Home(Path(sys.argv[1]))) as ledger:
    deliver_pending(ledger, [Destination("HOOK", sys.argv[2])])
"""


def test_a_sender_that_is_killed_while_it_sends_leaves_the_message_for_the_next(home, ledger, ledger_url):
    """It may then arrive twice, never not at all."""
    with Receiver("hang") as receiver:
        put(ledger, Destination("HOOK", receiver.url))
        sender = subprocess.Popen(
            [sys.executable, "-c", DIES, str(home.root), receiver.url],
            env=os.environ | {"METERHOUSE_LEDGER_URL": ledger_url},
        )
        while not receiver.requests and sender.poll() is None:
            time.sleep(0.02)
        sender.send_signal(signal.SIGKILL)
        sender.wait()
        assert ledger.count_notifications() == {"pending": 1}
        assert deliver_pending(ledger, [Destination("HOOK", receiver.url)], QUICK).sent == 0
        after_the_lease = deliver_pending(
            ledger,
            [Destination("HOOK", receiver.url)],
            QUICK,
            clock=lambda: datetime.now(UTC) + timedelta(minutes=2),
        )
        assert after_the_lease == DeliveryReport(sent=1)
    assert titles(receiver) == ["title 0"] * 2


def test_two_senders_share_the_work(home, ledger, ledger_url):
    with Receiver() as receiver:
        put(ledger, Destination("HOOK", receiver.url), count=40)
        senders = [
            subprocess.Popen(
                [sys.executable, "-c", DIES, str(home.root), receiver.url],
                env=os.environ | {"METERHOUSE_LEDGER_URL": ledger_url},
            )
            for _ in range(2)
        ]
        assert [sender.wait(120) for sender in senders] == [0, 0]
    assert Counter(titles(receiver)) == {f"title {n}": 1 for n in range(40)}
    assert ledger.count_notifications() == {"sent": 40}


# Secrets


def test_no_log_error_or_table_holds_the_address(ledger, home, caplog, capfd):
    """Every library may log at its lowest level; what it says while sending is kept from every log."""
    caplog.set_level(0)
    for talkative in ("apprise", "urllib3", "urllib3.connectionpool", "requests"):
        logging.getLogger(talkative).setLevel(1)
    with Receiver(500) as receiver:
        destinations = [
            hook(receiver),
            Destination("JSON", f"json://127.0.0.1:{receiver.port}/{SECRET}?-key={SECRET}"),
            Destination("DOWN", f"http://{SECRET}:{SECRET}@127.0.0.1:{free_port()}/"),
        ]
        raise_alerts(ledger, [ALERT], destinations, NOW)
        deliver_pending(ledger, destinations, replace(QUICK, max_attempts=2))
        assert len(receiver.requests) == 3
    said = caplog.text + "".join(capfd.readouterr()) + repr(destinations)
    stored = repr(ledger.notifications())
    assert "attempt 1 of 2" in said
    for word in (SECRET, str(receiver.port)):
        assert word not in said
        assert word not in stored


def test_other_threads_may_still_log_what_they_like(caplog):
    caplog.set_level(logging.INFO)
    with Receiver() as receiver:
        hook(receiver).send("t", "b", "info", 5)
    logging.getLogger("urllib3.connectionpool").info("somebody else's")
    assert "somebody else's" in caplog.text


# Destinations


def test_destinations_come_from_the_environment_and_unset_ones_are_said_once(caplog):
    caplog.set_level(logging.INFO)
    environment = {"SET": f"json://{SECRET}", "EMPTY": " "}
    entries = ("env:SET", "env:EMPTY", "env:UNSET", "env:SET")
    for _ in range(2):
        assert destinations_in_use(entries, environment) == [Destination("SET", f"json://{SECRET}")]
    assert sorted(record.getMessage().split()[0] for record in caplog.records) == ["EMPTY", "UNSET"]


# Words


def test_an_alert_without_figures_says_only_what_is_known():
    [message] = render_alerts([BARE])
    assert message.title == "Info: unlisted model, customer c-42"
    assert message.body == "gpt-4 is not on the list\nDay: 2026-03-13\nAlert: a-3"


def test_many_alerts_at_once_are_told_in_one_summary(sqlite):
    many = [replace(ALERT, alert_id=f"a-{n:03}", message=f"message {n}") for n in range(MOST_SINGLE_MESSAGES)]
    assert len(render_alerts(many)) == MOST_SINGLE_MESSAGES
    worst = replace(BARE, alert_id="z", severity="critical", message="the worst")
    [summary] = render_alerts([*many, worst])
    assert (summary.title, summary.severity) == ("Meterhouse: 21 new alerts", "critical")
    lines = summary.body.splitlines()
    assert lines[:2] == ["1 x critical: unlisted model", "20 x warning: usage threshold"]
    assert lines[4] == "- critical, customer c-42, 2026-03-13: the worst"
    assert "message 18" in summary.body
    assert "message 19" not in summary.body
    assert lines[-1] == "All of them: meterhouse alerts"


def test_every_alert_of_a_summary_is_in_the_log_and_in_the_ledger(sqlite, caplog):
    many = [replace(ALERT, alert_id=f"a-{n:03}") for n in range(MOST_SINGLE_MESSAGES + 1)]
    with Receiver() as receiver:
        raise_alerts(sqlite, many, [hook(receiver)], NOW)
        assert deliver_pending(sqlite, [hook(receiver)], QUICK).sent == 1
    assert len(receiver.requests) == 1
    assert len(sqlite.alerts()) == len(many)
    assert all(f"alert {alert.alert_id}:" in caplog.text for alert in many)


def test_without_any_destination_alerts_are_in_the_log_and_in_the_ledger(sqlite, caplog):
    assert raise_alerts(sqlite, [ALERT], [], NOW) == [ALERT]
    assert (
        "alert a-1: usage_threshold, customer c-42, 2026-03-14: ai_requests is at 760 of 1000" in caplog.text
    )
    assert sqlite.notifications() == []


# Reports


def sender_to(home, ledger_url, address, **policy):
    environment = {"HOOK": address, "METERHOUSE_LEDGER_URL": ledger_url, "STRIPE_API_KEY": "sk_test_geheim"}
    return report_sender(home, ["env:HOOK"], environment, replace(QUICK, **policy))


def test_a_report_reaches_the_destinations(home, ledger, ledger_url):
    with Receiver(500) as receiver:
        send = sender_to(home, ledger_url, receiver.url)
        reports.report("run_failed", "the build failed", "dbt", "run it again", [reports.write_to_log, send])
    assert len(receiver.requests) == 2
    assert receiver.requests[1].json | {"attachments": 0} == {
        "version": "1.0",
        "title": "Meterhouse: A run failed",
        "message": "the build failed\nWhere: dbt\nWhat to do: run it again",
        "attachments": 0,
        "type": "failure",
    }
    assert [(row.kind, row.state) for row in ledger.notifications()] == [("run_failed", "sent")]


def test_the_same_report_is_told_once_a_day(sqlite):
    with Receiver() as receiver:
        for now in (NOW, NOW + timedelta(hours=1), NOW + timedelta(days=1)):
            enqueue_report(sqlite, FAILED_RUN, [hook(receiver)], now, {})
        enqueue_report(sqlite, replace(FAILED_RUN, what="another"), [hook(receiver)], NOW, {})
        assert deliver_pending(sqlite, [hook(receiver)], QUICK).sent == 3


def test_a_report_without_destination_opens_no_ledger(home):
    report_sender(home, ["env:HOOK"], {})(FAILED_RUN)
    assert not home.ledger.exists()


def test_when_the_ledger_is_down_a_report_is_sent_without_it(home, caplog):
    with Receiver() as receiver:
        sender_to(home, f"postgresql://u:{SECRET}@127.0.0.1:{free_port()}/db", receiver.url)(FAILED_RUN)
    assert titles(receiver) == ["Meterhouse: A run failed"]
    assert SECRET not in caplog.text


def test_secrets_in_a_report_are_taken_out(home, ledger, ledger_url):
    with Receiver() as receiver:
        address = f"{receiver.url}/{SECRET}"
        what = f"POST {address} with sk_test_geheim failed"
        if ledger_url:
            what += f" for {ledger_url}, password {POSTGRES_PASSWORD}"
        sender_to(home, ledger_url, address)(replace(FAILED_RUN, what=what))
    told = receiver.requests[0].json["message"] + repr(ledger.notifications())
    for secret in (SECRET, "sk_test_geheim", POSTGRES_PASSWORD, "gehe%21m", "gehe!m"):
        assert secret not in told
    assert "POST *** with *** failed" in told


def test_an_error_of_a_destination_names_neither_address_nor_cause():
    destination = Destination("HOOK", f"http://127.0.0.1:{free_port()}/{SECRET}")
    with pytest.raises(Exception, match="could not be reached") as caught:
        destination.send("t", "b", "info", 5)
    assert SECRET not in "".join(traceback.format_exception(caught.value))
