"""The tables of payments on SQLite and PostgreSQL: what they refuse, and senders over either."""

import json
from datetime import UTC, datetime

import payment_fixtures
import pyarrow.parquet as pq
import pytest
import servers
import sqlalchemy as sa
from payment_ledgers import (
    assert_once,
    end_leases,
    issue_credit_note,
    issue_invoices,
    rows,
    run_sender,
    send,
    sender_of,
    start_sender,
)

from pipelines.home import Home
from pipelines.lake.places import export_folder
from pipelines.ledger import LedgerError, open_ledger
from pipelines.ledger.payments_schema import (
    stripe_differences,
    stripe_event_results,
    stripe_events,
    stripe_outbox,
    stripe_reconciliations,
)
from pipelines.payments.finalize import finalize
from pipelines.payments.outbox import enqueue
from pipelines.payments.reconcile import reconcile

ledger_url, postgres_server, fake = servers.ledger_url, servers.postgres_server, payment_fixtures.fake

NOW = datetime(2026, 4, 4, 6, 30, tzinfo=UTC)


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path / "home")


@pytest.fixture
def ledger(home, ledger_url):
    with open_ledger(home, ledger_url) as ledger:
        yield ledger


def test_a_closing_adds_its_operations_in_its_own_transaction(ledger):
    issue_invoices(ledger, {"c-1": [1000, 250]})
    issue_credit_note(ledger, 1, {1: 400})
    found = sorted(rows(ledger), key=lambda row: (row["closing_number"], row["position"]))
    assert [(row["kind"], row["subject_id"], row["amount_minor"]) for row in found] == [
        ("invoice", "inv_1", 1250),
        ("item", "line_1_1", 1000),
        ("item", "line_1_2", 250),
        ("credit_note", "cn_1", 400),
    ]
    assert {row["state"] for row in found} == {"PENDING"}
    assert json.loads(found[1]["content"])["quantity"] == "12.5"
    with ledger.writing() as connection:
        assert enqueue(connection, 1) == enqueue(connection, 2) == 0


def test_a_closing_that_fails_adds_nothing(ledger):
    def stop(*_):
        raise RuntimeError

    with pytest.raises(RuntimeError):
        issue_invoices(ledger, {"c-1": [1000]}, then=stop)
    assert not rows(ledger)
    issue_invoices(ledger, {"c-1": [1000]})
    assert len(rows(ledger)) == 2


def test_senders_that_die_and_senders_at_once(home, ledger, ledger_url, fake):
    issue_invoices(ledger, {f"c-{number}": [1000, 250, 7] for number in range(1, 7)})
    died = run_sender(home, fake, ledger_url, stage="post", kind="item", path="/v1/invoiceitems", after=3)
    assert died == -9
    end_leases(ledger)
    processes = [start_sender(home, fake, ledger_url) for _ in range(2)]
    for process in processes:
        ended = process.end()
        assert ended.returncode == 0, ended
    assert_once(ledger, fake)
    finalize(ledger, sender_of(ledger, fake))
    assert reconcile(ledger, sender_of(ledger, fake)).is_clean


@pytest.mark.parametrize(
    "change",
    [
        sa.update(stripe_outbox).values(state="PENDING"),
        sa.update(stripe_outbox).values(stripe_id="ii_2"),
        sa.delete(stripe_outbox),
        sa.update(stripe_events).values(payload="{}"),
        sa.delete(stripe_events),
        sa.delete(stripe_event_results),
        sa.delete(stripe_reconciliations),
        sa.update(stripe_differences).values(kind="extra"),
    ],
    ids=lambda change: f"{change.__visit_name__} {change.table.name}",
)
def test_facts_cannot_be_changed(ledger, fake, change):
    issue_invoices(ledger, {"c-1": [1000]})
    send(ledger, fake)
    fake.items.clear()
    assert not reconcile(ledger, sender_of(ledger, fake)).is_clean
    with ledger.writing() as connection:
        event = {
            "event_id": "evt_1",
            "event_type": "t",
            "created_at": NOW,
            "payload": "{}",
            "received_at": NOW,
        }
        connection.execute(sa.insert(stripe_events).values(event))
        connection.execute(
            sa.insert(stripe_event_results).values(event_id="evt_1", outcome="kept", handled_at=NOW)
        )
    with pytest.raises(LedgerError, match=r"append-only|keeps what was sent"), ledger.writing() as connection:
        connection.execute(change)


def test_the_export_has_what_changed_and_no_request(ledger, fake):
    issue_invoices(ledger, {"c-1": [1000]})
    file = export_folder(ledger.home) / "stripe_outbox.parquet"
    assert {row["state"] for row in pq.read_table(file).to_pylist()} == {"PENDING"}
    before = file.stat().st_mtime_ns
    ledger.export()
    assert file.stat().st_mtime_ns == before
    send(ledger, fake)
    ledger.export()
    exported = pq.read_table(file)
    assert {row["state"] for row in exported.to_pylist()} == {"SENT"}
    assert not {"content", "request"} & set(exported.column_names)
