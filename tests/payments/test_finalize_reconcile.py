"""The gate before finalizing, and the comparison of ledger and Stripe: each opens and is clean only when all agree."""

import json
from datetime import UTC, datetime, timedelta

import payment_fixtures
import pyarrow.parquet as pq
import pytest
import servers
import sqlalchemy as sa
from fake_stripe import Fault
from payment_ledgers import (
    assert_once,
    customers_of,
    end_leases,
    issue_credit_note,
    issue_invoices,
    rows,
    run_sender,
    send,
    sender_of,
    states,
)

from pipelines.home import Home
from pipelines.lake.places import export_folder
from pipelines.ledger import URL_VARIABLE, open_ledger
from pipelines.ledger.payments_schema import stripe_invoices, stripe_outbox
from pipelines.maintenance.backup import back_up, restore
from pipelines.payments.finalize import finalize
from pipelines.payments.reconcile import reconcile

ledger_url, postgres_server = servers.ledger_url, servers.postgres_server
empty_home, home, ledger, fake = (
    payment_fixtures.empty_home,
    payment_fixtures.home,
    payment_fixtures.ledger,
    payment_fixtures.fake,
)

TWO = {"c-1": [1000, 250, 7], "c-2": [9900]}


@pytest.fixture
def either_ledger(tmp_path, ledger_url):
    """SQLite and PostgreSQL: comparing is SQL, and must mean the same on both."""
    with open_ledger(Home(tmp_path / "either"), ledger_url) as ledger:
        yield ledger


def finalize_all(ledger, fake, **named):
    return finalize(ledger, sender_of(ledger, fake), **named)


def compare(ledger, fake, since=None):
    return reconcile(ledger, sender_of(ledger, fake), since)


def kinds(found):
    return sorted((one.kind, one.object) for one in found.differences)


def invoice_states(ledger):
    with ledger.reading() as connection:
        query = sa.select(stripe_invoices).order_by(stripe_invoices.c.invoice_id)
        return [dict(row) for row in connection.execute(query).mappings()]


# The gate


def test_what_is_complete_is_finalized_once(ledger, fake):
    issue_invoices(ledger, TWO)
    assert finalize_all(ledger, fake).finalized == 0  # nothing is sent yet
    send(ledger, fake)
    assert finalize_all(ledger, fake).finalized == 2
    assert finalize_all(ledger, fake).finalized == 0
    assert {invoice["status"] for invoice in fake.invoices.values()} == {"open"}
    assert not any(invoice["auto_advance"] for invoice in fake.invoices.values())
    first = invoice_states(ledger)[0]
    assert first["status"] == "open"
    assert first["hosted_invoice_url"].startswith("https://invoice.stripe.com/")
    assert first["invoice_pdf_url"].endswith("/pdf")
    assert_once(ledger, fake)


def test_collecting_is_asked_for(ledger, fake):
    issue_invoices(ledger, TWO)
    send(ledger, fake)
    assert finalize_all(ledger, fake, invoices=["INV-000002"], collects=True).finalized == 1
    assert [invoice["auto_advance"] for invoice in fake.invoices.values() if invoice["status"] == "open"] == [
        True
    ]


def test_the_gate_stays_closed_while_a_line_is_missing(ledger, fake):
    issue_invoices(ledger, TWO)
    fake.faults.append(Fault("POST", "/v1/invoiceitems", "503", 4))
    send(ledger, fake, workers=1)
    [gate] = finalize_all(ledger, fake).held
    assert "not sent" in gate.obstacles[0]
    end_leases(ledger)
    send(ledger, fake)
    assert finalize_all(ledger, fake).finalized == 1


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda fake, item: item.update(amount=999), "Stripe's total is 999"),
        (lambda fake, item: fake.items.pop(item["id"]), "lacks line_1_1"),
        (lambda fake, item: fake.items.update(ii_x=item | {"id": "ii_x", "amount": 0}), "has items twice"),
        (lambda fake, item: fake.items.update(ii_x=item | {"id": "ii_x", "amount": 0, "metadata": {}}), "not the ledger's: ii_x"),
    ],
)  # fmt: skip
def test_the_gate_stays_closed_when_stripe_holds_something_else(ledger, fake, spoil, says):
    issue_invoices(ledger, {"c-1": [1000]})
    send(ledger, fake)
    [item] = fake.items.values()
    spoil(fake, item)
    [invoice] = fake.invoices.values()
    if item["id"] in fake.items:
        fake._sum(invoice)
    [gate] = finalize_all(ledger, fake).held
    assert any(says in obstacle for obstacle in gate.obstacles)
    assert invoice["status"] == "draft"


@pytest.mark.parametrize(
    "kind", ["drop_before", "drop_after", "500_before", "500_after", "hang_after", "429"]
)
def test_finalizing_survives_faults(ledger, fake, kind):
    issue_invoices(ledger, {"c-1": [1000]})
    send(ledger, fake)
    fake.faults.append(Fault("POST", "/v1/invoices/*", kind))
    finalize_all(ledger, fake)
    assert [invoice["status"] for invoice in fake.invoices.values()] == ["open"]
    assert states(ledger) == {"SENT"}


# Comparing


@pytest.mark.parametrize("is_finalized", [False, True])
def test_after_a_clean_run_both_agree(either_ledger, fake, is_finalized):
    issue_invoices(either_ledger, TWO)
    send(either_ledger, fake)
    if is_finalized:
        finalize_all(either_ledger, fake)
        issue_credit_note(either_ledger, 1, {1: 400})
        send(either_ledger, fake)
    found = compare(either_ledger, fake)
    assert found.is_clean
    assert not found.differences
    assert found.seen == (7 if is_finalized else 6)


def test_every_difference_is_found(either_ledger, fake):
    issue_invoices(either_ledger, {f"c-{number}": [1000, 250] for number in range(1, 9)})
    send(either_ledger, fake)
    finalize_all(either_ledger, fake, invoices=["inv_7", "inv_8"])
    by_line = {item["metadata"]["invoice_line_id"]: item for item in fake.items.values()}
    del fake.items[by_line["line_1_1"]["id"]]
    by_line["line_2_1"]["amount"] = 999
    fake.items["ii_twice"] = by_line["line_3_1"] | {"id": "ii_twice"}
    strange = by_line["line_4_1"] | {"id": "ii_strange", "metadata": {"op_id": "op_strange"}}
    by_hand = by_line["line_4_2"] | {"id": "ii_by_hand", "metadata": {}}
    of_others = by_line["line_4_2"] | {"id": "ii_others", "metadata": {}, "invoice": None}
    fake.items |= {one["id"]: one for one in (strange, by_hand, of_others)}
    invoices = {invoice["number"]: invoice for invoice in fake.invoices.values()}
    invoices["INV-000005"]["status"] = "open"
    invoices["INV-000006"]["currency"] = "eur"
    invoices["INV-000007"]["status"] = "void"
    invoices["INV-000008"]["amount_paid"] = 1
    found = compare(either_ledger, fake)
    assert kinds(found) == [
        ("duplicate", "item"),
        ("extra", "item"),
        ("extra", "item"),
        ("mismatched", "invoice"),
        ("mismatched", "item"),
        ("mismatched", "payment"),
        ("missing", "item"),
        ("status", "invoice"),
        ("status", "invoice"),
    ]
    assert {one.stripe_id for one in found.differences if one.kind == "extra"} == {"ii_strange", "ii_by_hand"}
    exported = pq.read_table(export_folder(either_ledger.home) / "stripe_differences.parquet").to_pylist()
    assert len(exported) == 9
    fake.violations.clear()


def test_what_stripe_has_without_a_receipt_is_told_until_it_is_adopted(home, ledger, fake):
    issue_invoices(ledger, {"c-1": [1000]})
    assert run_sender(home, fake, stage="post", path="/v1/invoiceitems") == -9
    assert kinds(compare(ledger, fake)) == [("unrecorded", "item")]
    end_leases(ledger)
    send(ledger, fake)
    assert compare(ledger, fake).is_clean


@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
def test_a_restored_outbox_adopts_what_was_sent_before_and_after_the_backup(
    tmp_path, home, ledger, fake, engine, request, monkeypatch
):
    """Half sent by a sender that was killed, backed up, the rest sent, another day: restore, reconcile, send."""
    issue_invoices(ledger, {f"c-{number}": [1000, 250, 7] for number in range(1, 6)})
    assert run_sender(home, fake, stage="post", path="/v1/invoiceitems", after=5) == -9
    halfway = len(fake.items)
    assert 0 < halfway < 15
    back_up(home, tmp_path / "b.tar", datetime.now(UTC))
    end_leases(ledger)
    fake.faults.append(Fault("POST", "/v1/invoiceitems", "503", 4, skip=2))
    send(ledger, fake, workers=1, workers_per_invoice=1)
    assert halfway < len(fake.items) < 15
    fake.forget_keys()
    url = "" if engine == "sqlite" else request.getfixturevalue("postgres_server").new_database()
    monkeypatch.setenv(URL_VARIABLE, url)
    restore(Home(tmp_path / "restored"), tmp_path / "b.tar")
    with open_ledger(Home(tmp_path / "restored")) as restored:
        end_leases(restored)
        found = compare(restored, fake)
        # Drafts that the backup has never tried are not known by their op_id yet.
        assert {kind for kind, _ in kinds(found)} <= {"unrecorded", "extra"}
        assert not found.is_clean
        assert send(restored, fake).counts["adopted"] > 0
        assert_once(restored, fake)
        assert compare(restored, fake).is_clean
        assert finalize_all(restored, fake).finalized == 5


def test_what_waits_for_a_person_is_told_and_no_difference(ledger, fake):
    issue_invoices(ledger, {"c-1": [1000], "c-99": [10]})
    send(ledger, fake)
    found = compare(ledger, fake)
    assert kinds(found) == [("unsent", "invoice"), ("unsent", "item")]
    assert found.is_clean


def test_a_line_changed_behind_the_outbox_is_a_difference(ledger, fake):
    """The ledger refuses it; somebody with the file in hand does not ask the ledger."""
    issue_invoices(ledger, {"c-1": [1000]})
    send(ledger, fake)
    with ledger.writing() as connection:
        connection.execute(sa.text("drop trigger issued_lines_no_update"))
        connection.execute(sa.text("update issued_lines set amount_minor = 1001"))
    assert kinds(compare(ledger, fake)) == [("mismatched", "outbox")]


@pytest.mark.parametrize(
    ("amount", "balance", "moved", "due"),
    [(30, 0, "30", 0), (1000, -400, "400", 600), (1000, 250, "-250", 1250)],
)
def test_what_moves_on_a_balance_is_told_and_adds_up(ledger, fake, amount, balance, moved, due):
    """Totals below what Stripe charges, credits of before, debts of before."""
    issue_invoices(ledger, {"c-1": [amount]})
    fake.customers["cus_c-1"] = balance
    send(ledger, fake)
    finalize_all(ledger, fake)
    [difference] = compare(ledger, fake).differences
    assert (difference.kind, difference.is_blocking) == ("balance", False)
    assert difference.stripe_says.startswith(f"{moved} moved")
    assert invoice_states(ledger)[0]["amount_due_minor"] == due


def test_payment_and_links_come_back(ledger, fake):
    issue_invoices(ledger, {"c-1": [1000]})
    send(ledger, fake)
    finalize_all(ledger, fake)
    [invoice] = fake.invoices.values()
    fake.pay(invoice["id"])
    assert compare(ledger, fake).is_clean
    [state] = invoice_states(ledger)
    assert (state["status"], state["amount_paid_minor"]) == ("paid", 1000)
    [exported] = pq.read_table(export_folder(ledger.home) / "stripe_invoices.parquet").to_pylist()
    assert exported["status"] == "paid"


def test_an_open_invoice_is_looked_at_however_old_it_is(ledger, fake):
    issue_invoices(ledger, {"c-1": [1000]})
    send(ledger, fake)
    finalize_all(ledger, fake)
    [invoice] = fake.invoices.values()
    fake.pay(invoice["id"])
    later = datetime.now(UTC) + timedelta(days=1)
    assert compare(ledger, fake, since=later).is_clean
    assert invoice_states(ledger)[0]["status"] == "paid"


def test_a_page_is_not_the_whole_list(ledger, fake):
    issue_invoices(ledger, {"c-1": [1] * 230})
    send(ledger, fake)
    assert compare(ledger, fake).is_clean
    assert fake.count("GET", "/v1/invoiceitems") == 3
    assert finalize_all(ledger, fake).finalized == 1


def test_the_bodies_that_went_out_are_kept(ledger, fake):
    issue_invoices(ledger, {"c-1": [1000]})
    send(ledger, fake)
    [item] = rows(ledger, stripe_outbox.c.kind == "item")
    request = json.loads(item["request"])
    assert request["amount"] == 1000
    assert request["metadata"]["op_id"] == item["op_id"]
    assert item["request_id"].startswith("req_")
    assert customers_of(fake)["c-1"] == request["customer"]
