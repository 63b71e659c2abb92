"""Sending exactly once: every fault that was thought of, and after each no line twice, none lost, sums equal."""

import logging
import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import payment_fixtures
import pytest
import sqlalchemy as sa
from fake_stripe import KEY, Fault
from payment_ledgers import (
    api_of,
    assert_once,
    customers_of,
    end_leases,
    issue_credit_note,
    issue_invoices,
    rows,
    run_sender,
    send,
    sender_of,
    start_sender,
    states,
)

from pipelines.errors import ConfigurationError
from pipelines.home import Home
from pipelines.ledger import LedgerError, open_ledger
from pipelines.ledger.payments_schema import stripe_outbox
from pipelines.payments.group_commit import Commits
from pipelines.payments.outbox import LostClaimError
from pipelines.payments.sender import Sender
from pipelines.times import utc_now

empty_home, home, ledger, fake = (
    payment_fixtures.empty_home,
    payment_fixtures.home,
    payment_fixtures.ledger,
    payment_fixtures.fake,
)
INVOICES, ITEMS, NOTES = "/v1/invoices", "/v1/invoiceitems", "/v1/credit_notes"
TWO = {"c-1": [1000, 250, 7], "c-2": [9900]}


def test_every_line_is_sent_once(ledger, fake):
    issue_invoices(ledger, TWO)
    report = send(ledger, fake)
    assert report.counts == {"sent": 6}
    assert_once(ledger, fake)
    [item] = [item for item in fake.items.values() if item["amount"] == 250]
    # March in Berlin, first to last second; the clocks went forward on the 29th.
    assert item["period"] == {"start": 1772319600, "end": 1774994399}
    assert item["metadata"]["customer_id"] == item["metadata"]["company_id"] == "c-1"
    assert item["metadata"]["billing_month"] == "2026-03"
    [invoice] = [invoice for invoice in fake.invoices.values() if invoice["total"] == 1257]
    assert invoice["number"] == "INV-000001"
    assert not invoice["auto_advance"]
    asked = len(fake.requests)
    assert send(ledger, fake).counts == {}
    assert fake.requests[asked:] == [("GET", "/v1/account")]


def test_lines_that_round_to_zero_and_negative_ones_are_sent(ledger, fake):
    issue_invoices(ledger, {"c-1": [0], "c-2": [100, -250]})
    send(ledger, fake)
    assert_once(ledger, fake)


@pytest.mark.parametrize("path", [INVOICES, ITEMS])
@pytest.mark.parametrize(
    ("kind", "times"),
    [
        ("drop_before", 1),
        ("drop_after", 1),
        ("hang_before", 1),
        ("hang_after", 1),
        ("429", 3),
        ("409", 2),
        ("503", 2),
        ("500_before", 1),
        ("500_after", 1),
    ],
)
def test_a_fault_on_the_way_is_overcome_in_the_same_run(ledger, fake, path, kind, times):
    issue_invoices(ledger, TWO)
    fake.faults.append(Fault("POST", path, kind, times))
    patience = {"read_seconds": 0.5} if kind.startswith("hang") else {}
    assert not send(ledger, fake, **patience).troubles
    assert not fake.faults
    assert_once(ledger, fake)


@pytest.mark.parametrize("path", [INVOICES, ITEMS])
@pytest.mark.parametrize("kind", ["drop_before", "drop_after", "500_after", "503"])
@pytest.mark.parametrize("passes", ["soon", "after a day"])
def test_a_fault_that_lasts_is_overcome_by_a_later_run(ledger, fake, path, kind, passes):
    issue_invoices(ledger, {"c-1": [1000, 250]})
    fake.faults.append(Fault("POST", path, kind, 8))
    report = send(ledger, fake, workers=1)
    if kind != "500_after":  # which is found by looking for it
        assert report.has_failed
    fake.faults.clear()
    sender = sender_of(ledger, fake)
    if passes == "after a day":
        fake.forget_keys()
        sender.clock = lambda: utc_now() + timedelta(hours=40)
    sender.send()
    assert_once(ledger, fake)


def test_what_is_not_there_after_a_failure_that_stripe_keeps_gets_a_new_key(ledger, fake):
    issue_invoices(ledger, {"c-1": [1000]})
    fake.faults.append(Fault("POST", ITEMS, "500_before"))
    send(ledger, fake)
    [item] = rows(ledger, stripe_outbox.c.kind == "item")
    assert item["generation"] == 2
    assert_once(ledger, fake)


@pytest.mark.parametrize("stage", ["claim", "post", "sent"])
@pytest.mark.parametrize("kind", ["invoice", "item"])
@pytest.mark.parametrize("passes", ["soon", "after a day"])
def test_a_killed_sender_leaves_nothing_twice_and_nothing_lost(home, ledger, fake, stage, kind, passes):
    """kill -9 after the claim, after the request, after the receipt; of the draft and in mid-batch."""
    issue_invoices(ledger, {"c-1": [1000, 250, 7]})
    path = INVOICES if kind == "invoice" else ITEMS
    after = 1 if kind == "invoice" else 2
    one_by_one = {"workers_per_invoice": 1}
    assert run_sender(home, fake, stage=stage, kind=kind, path=path, after=after, pace=one_by_one) == -9
    end_leases(ledger)
    sender = sender_of(ledger, fake)
    if passes == "after a day":
        fake.forget_keys()
        sender.clock = lambda: utc_now() + timedelta(hours=40)
    report = sender.send()
    assert report.counts["adopted"] == (stage == "post")
    assert_once(ledger, fake)


@pytest.mark.slow
def test_senders_killed_at_any_moment(home, ledger, fake):
    """From outside, wherever they happen to be; the next one starts while the claims of the last still hold."""
    issue_invoices(ledger, {f"c-{number}": [1000, 250, 7, 31] for number in range(1, 21)})
    fake.answer_seconds = 0.01
    kills = 0
    for _ in range(6):
        process = start_sender(home, fake)
        before = len(fake.requests)
        while len(fake.requests) < before + 40 and process.is_running:
            time.sleep(0.001)
        process.kill()
        kills += process.end().returncode == -9
        end_leases(ledger)
    assert kills >= 3
    send(ledger, fake)
    assert_once(ledger, fake)


def test_a_claim_of_a_sender_that_may_live_is_left_alone(home, ledger, fake):
    issue_invoices(ledger, {"c-1": [1000]})
    assert run_sender(home, fake, stage="claim", path=INVOICES) == -9
    assert send(ledger, fake).counts == {"elsewhere": 1}
    assert not fake.invoices
    end_leases(ledger)
    send(ledger, fake)
    assert_once(ledger, fake)


@pytest.mark.parametrize("count", [2, 3])
def test_senders_that_run_at_once_share_the_work(home, ledger, fake, count):
    issue_invoices(ledger, {f"c-{number}": [1000, 250, 7] for number in range(1, 13)})
    fake.answer_seconds = 0.005
    processes = [start_sender(home, fake) for _ in range(count)]
    for process in processes:
        ended = process.end()
        assert ended.returncode == 0, ended
    send(ledger, fake)
    assert_once(ledger, fake)


def test_a_ledger_from_a_backup_adopts_what_was_sent_after_it(tmp_path, home, ledger, fake):
    """Neither keys nor receipts are left, and Stripe has forgotten the keys, too."""
    issue_invoices(ledger, TWO)
    backup = Home(shutil.copytree(home.root, tmp_path / "backup"))
    send(ledger, fake)
    fake.forget_keys()
    with open_ledger(backup, "") as restored:
        assert send(restored, fake).counts == {"adopted": 6}
        assert_once(restored, fake)


def test_two_matches_are_for_a_person(ledger, fake):
    issue_invoices(ledger, {"c-1": [1000]})
    fake.faults.append(Fault("POST", ITEMS, "drop_after", 4))
    send(ledger, fake)
    [item] = fake.items.values()
    fake.items["ii_copy"] = item | {"id": "ii_copy"}
    [(state, subject, reason)] = send(ledger, fake).troubles
    assert (state, subject) == ("NEEDS_REVIEW", "line_1_1")
    assert "ii_copy" in reason
    assert "2 times" in reason
    asked = len(fake.requests)
    assert not send(ledger, fake).troubles  # it waits, and nothing is asked or removed
    assert fake.requests[asked:] == [("GET", "/v1/account")]
    assert len(fake.items) == 2


@pytest.mark.parametrize(
    ("path", "change", "says"),
    [
        (ITEMS, {"amount": 999}, "amount is 999 instead of 1000"),
        (ITEMS, {"currency": "eur"}, "currency is 'eur' instead of 'usd'"),
        (ITEMS, {"livemode": True}, "livemode is True instead of False"),
        (ITEMS, {"customer": "cus_c-2"}, "customer is 'cus_c-2'"),
        (INVOICES, {"number": "INV-9"}, "number is 'INV-9'"),
    ],
)
def test_an_answer_that_says_something_else_is_for_a_person(ledger, fake, path, change, says):
    issue_invoices(ledger, {"c-1": [1000]})
    fake.faults.append(Fault("POST", path, "change", change=lambda body: body.update(change)))
    [(state, _, reason)] = send(ledger, fake).troubles
    assert state == "NEEDS_REVIEW"
    assert says in reason


def test_a_line_without_a_customer_at_stripe_waits_until_there_is_one(ledger, fake):
    issue_invoices(ledger, {"c-1": [1000], "c-2": [500]})
    customers = customers_of(fake) | {"c-1": None}
    report = Sender(ledger, api_of(fake), customers).send()
    assert {(state, subject) for state, subject, _ in report.troubles} == {
        ("NEEDS_REVIEW", "inv_1"),
        ("NEEDS_REVIEW", "line_1_1"),
    }
    assert "stripe_customer_id" in report.troubles[0][2]
    assert not report.has_failed
    assert fake.items_of_lines() == {"line_2_1": 1}
    send(ledger, fake)
    assert_once(ledger, fake)


def test_what_stripe_refuses_is_not_tried_again_until_somebody_says_so(ledger, fake):
    from pipelines.payments.outbox import try_again

    issue_invoices(ledger, {"c-1": [1000]})
    Sender(ledger, api_of(fake), {"c-1": "cus_gone"}).send()
    [draft] = rows(ledger, stripe_outbox.c.kind == "invoice")
    assert draft["state"] == "FAILED"
    assert "No such customer" in draft["last_error"]
    asked = fake.count("POST", INVOICES)
    send(ledger, fake)
    assert fake.count("POST", INVOICES) == asked == 1
    assert try_again(ledger, [], utc_now()) == 1
    send(ledger, fake)
    assert_once(ledger, fake)


@pytest.mark.parametrize(
    ("currency", "digits", "amount", "says"),
    [
        ("KWD", 3, 1234, "not a multiple of ten"),
        ("ISK", 0, 500, "another unit"),
        ("CLF", 4, 50000, "another unit"),
    ],
)
def test_amounts_that_stripe_does_not_take_are_held_whole(ledger, fake, currency, digits, amount, says):
    issue_invoices(ledger, {"c-1": [amount, 10]}, currency=currency, minor_units=digits)
    report = send(ledger, fake)
    assert {state for state, _, _ in report.troubles} == {"NEEDS_REVIEW"}
    assert says in report.troubles[0][2]
    assert not fake.invoices


@pytest.mark.parametrize(("currency", "digits", "amount"), [("KWD", 3, 1230), ("JPY", 0, 501), ("EUR", 2, 1)])
def test_amounts_in_other_units_are_sent_as_they_are(ledger, fake, currency, digits, amount):
    issue_invoices(ledger, {"c-1": [amount]}, currency=currency, minor_units=digits)
    send(ledger, fake)
    assert_once(ledger, fake)


def test_no_more_items_than_stripe_takes(ledger, fake):
    issue_invoices(ledger, {"c-1": [1] * 251, "c-2": [1] * 250})
    report = send(ledger, fake)
    assert ("NEEDS_REVIEW", "inv_1") in {(state, subject) for state, subject, _ in report.troubles}
    assert len(fake.items) == 250


def test_what_was_sent_cannot_be_changed(ledger, fake):
    issue_invoices(ledger, {"c-1": [1000]})
    with ledger.writing() as connection:
        connection.execute(sa.update(stripe_outbox).values(last_error="a note"))
    for column, value in (("amount_minor", 1), ("content", "{}"), ("subject_id", "line_9")):
        with pytest.raises(LedgerError, match="keeps what was sent"), ledger.writing() as connection:
            connection.execute(sa.update(stripe_outbox).values(**{column: value}))
    send(ledger, fake)
    for change in (sa.update(stripe_outbox).values(state="PENDING"), sa.delete(stripe_outbox)):
        with pytest.raises(LedgerError, match="keeps what was sent"), ledger.writing() as connection:
            connection.execute(change)
    assert_once(ledger, fake)


def test_closings_from_before_the_outbox_are_sent_too(ledger, fake):
    issue_invoices(ledger, TWO, enqueues=False)
    assert not rows(ledger)
    send(ledger, fake)
    assert len(rows(ledger)) == 6
    assert_once(ledger, fake)


def test_a_ledger_belongs_to_one_account_and_mode(ledger, fake):
    issue_invoices(ledger, {"c-1": [1000]})
    send(ledger, fake)
    issue_invoices(ledger, {"c-2": [1000]})
    fake.account = "acct_other"
    with pytest.raises(ConfigurationError, match="acct_other"):
        send(ledger, fake)
    fake.account, api = "acct_1MeterhouseTest", api_of(fake)
    api.settings = replace(api.settings, mode="live")
    with pytest.raises(ConfigurationError, match=r"\(live\)"):
        Sender(ledger, api, customers_of(fake)).send()
    assert len(fake.items) == 1


def test_a_key_that_does_not_serve_ends_the_run_and_is_told_to_nobody(ledger, fake, caplog):
    caplog.set_level(logging.DEBUG)
    issue_invoices(ledger, {"c-1": [1000]})
    fake.key = "another"
    with pytest.raises(ConfigurationError) as error:
        send(ledger, fake)
    assert KEY not in str(error.value) + caplog.text
    assert "***" in str(error.value)
    assert fake.count("GET", "/v1/account") == 1
    assert states(ledger) == {"PENDING"}


@pytest.mark.parametrize("level", ["debug", "info"])
def test_what_the_sdk_would_print_past_the_log_is_not_printed(ledger, fake, monkeypatch, capfd, level):
    """STRIPE_LOG makes it print what Stripe answers, and Stripe may repeat a key that it refuses."""
    monkeypatch.setattr("stripe._util.STRIPE_LOG", level)
    issue_invoices(ledger, {"c-1": [1000]})
    fake.key = "another"
    with pytest.raises(ConfigurationError):
        send(ledger, fake)
    printed = capfd.readouterr()
    assert KEY not in printed.out + printed.err


def test_secrets_are_nowhere(home, ledger, fake, caplog):
    caplog.set_level(logging.DEBUG)
    issue_invoices(ledger, TWO)
    fake.faults.append(Fault("POST", ITEMS, "503", 9))
    send(ledger, fake, workers=1)
    ledger.export()
    assert KEY not in caplog.text + str(rows(ledger)) + str(list(fake.items.values()))
    for file in home.root.rglob("*"):
        assert not file.is_file() or KEY.encode() not in file.read_bytes()


def most_in_a_second(moments):
    """The most of them that lie within one second."""
    at = sorted(moments)
    return max(sum(start <= moment < start + 1 for moment in at) for start in at)


def test_requests_keep_to_their_pace(ledger, fake):
    """By endpoint and in all; at 20 a second what was missed may be made up for, up to Stripe's 25."""
    issue_invoices(ledger, {f"c-{number}": [1, 2, 3, 4] for number in range(1, 16)})
    send(ledger, fake, requests_per_second=20, total_per_second=25)
    by_endpoint = {}
    for moment, endpoint in fake.moments:
        by_endpoint.setdefault(endpoint, []).append(moment)
    # One more on either side: the moments are those of the server.
    assert {name: count for name, at in by_endpoint.items() if (count := most_in_a_second(at)) > 26} == {}
    assert most_in_a_second([moment for moment, _ in fake.moments]) <= 32
    assert_once(ledger, fake)


@pytest.mark.parametrize("shape", [{"invoices": 45, "lines": 2}, {"invoices": 1, "lines": 90}])
def test_the_rate_limit_alone_bounds_sending(ledger, fake, shape):
    """Answers take 300 ms: one after the other the 90 items alone take 27 s, at 30 a second 3 s."""
    fake.customers |= {f"cus_c-{number}": 0 for number in range(1, 46)}
    issue_invoices(
        ledger, {f"c-{number}": [7] * shape["lines"] for number in range(1, shape["invoices"] + 1)}
    )
    fake.answer_seconds = 0.3
    started = time.monotonic()
    send(ledger, fake, requests_per_second=30, workers=24)
    # Far from both, since the server and its judge share the machine with the sender.
    assert time.monotonic() - started < 12
    assert_once(ledger, fake)


def test_an_invoice_that_stripe_locks_gets_its_items_one_by_one(ledger, fake):
    issue_invoices(ledger, {"c-1": [7] * 30, "c-2": [9]})
    fake.is_locking, fake.answer_seconds = True, 0.01
    assert not send(ledger, fake, tries=6).troubles
    # At most those under way when the first was refused; without order it would be two of three.
    assert 0 < fake.refused_for_locks < 12
    assert_once(ledger, fake)


def test_a_sender_killed_while_items_of_an_invoice_go_side_by_side(home, ledger, fake):
    issue_invoices(ledger, {"c-1": list(range(1, 25))})
    fake.answer_seconds = 0.02
    pace = {"workers": 8}
    assert run_sender(home, fake, stage="post", path=ITEMS, after=5, pace=pace) == -9
    end_leases(ledger)
    assert send(ledger, fake).counts["adopted"] >= 1
    assert_once(ledger, fake)


def test_what_threads_write_together_is_kept_or_refused_each_by_itself(ledger):
    """One change of a group fails: it alone is rolled back, and it alone hears of it."""
    issue_invoices(ledger, {"c-1": [1, 2, 3, 4, 5, 6, 7, 8]})
    commits, barrier = Commits(ledger), threading.Barrier(8)
    refused = "line_1_3"

    def write(subject):
        def change(connection):
            update = sa.update(stripe_outbox).where(stripe_outbox.c.subject_id == subject)
            connection.execute(update.values(last_error="written"))
            if subject == refused:
                raise LostClaimError(subject)
            return subject

        barrier.wait()
        try:
            return commits.run(change)
        except LostClaimError:
            return "lost"

    subjects = [f"line_1_{number}" for number in range(1, 9)]
    with ThreadPoolExecutor(8) as pool:
        with ledger.writing():
            running = pool.map(write, subjects)
            # While this transaction holds the ledger, the first waits for it and the others for the first.
            time.sleep(0.2)
        found = list(running)
    assert found == [subject if subject != refused else "lost" for subject in subjects]
    written = {row["subject_id"] for row in rows(ledger) if row["last_error"] == "written"}
    assert written == set(subjects) - {refused}


# Credit notes


def finalized(ledger, fake, **pace):
    from pipelines.payments.finalize import finalize

    send(ledger, fake, **pace)
    return finalize(ledger, sender_of(ledger, fake, **pace))


@pytest.mark.parametrize("kind", ["", "drop_before", "drop_after", "500_before", "500_after", "429"])
@pytest.mark.parametrize("is_paid", [False, True])
def test_a_credit_note_goes_to_the_finalized_invoice_once(ledger, fake, kind, is_paid):
    issue_invoices(ledger, {"c-1": [1000, 250]})
    send(ledger, fake)
    issue_credit_note(ledger, 1, {1: 400, 2: 50})
    send(ledger, fake)
    assert not fake.credit_notes  # the invoice is a draft
    finalized(ledger, fake)
    [invoice] = fake.invoices.values()
    if is_paid:
        fake.pay(invoice["id"])
    if kind:
        fake.faults.append(Fault("POST", NOTES, kind))
    assert not send(ledger, fake).troubles
    [note] = fake.credit_notes.values()
    assert note["amount"] == 450
    assert (note["pre_payment_amount"], note["post_payment_amount"]) == ((0, 450) if is_paid else (450, 0))
    assert fake.customers["cus_c-1"] == (-450 if is_paid else 0)
    assert states(ledger) == {"SENT"}


@pytest.mark.parametrize("credited", [400, 1000])
def test_a_ledger_from_a_backup_adopts_a_credit_note_that_was_sent_after_it(
    tmp_path, home, ledger, fake, credited
):
    """Also where less is open now than it credits, since it is credited already."""
    issue_invoices(ledger, {"c-1": [1000, 250]})
    finalized(ledger, fake)
    issue_credit_note(ledger, 1, {1: credited})
    backup = Home(shutil.copytree(home.root, tmp_path / "backup"))
    send(ledger, fake)
    fake.forget_keys()
    with open_ledger(backup, "") as restored:
        report = send(restored, fake)
    assert (report.counts, report.troubles) == ({"adopted": 1}, [])
    assert len(fake.credit_notes) == 1


@pytest.mark.parametrize(("status", "says"), [("open", "paid in part"), ("void", "is void")])
def test_a_credit_note_that_stripe_would_not_take_waits_for_a_person(ledger, fake, status, says):
    """More is credited than is open of an invoice that is paid in part; or the invoice is void."""
    issue_invoices(ledger, {"c-1": [1000, 250]})
    finalized(ledger, fake)
    [invoice] = fake.invoices.values()
    invoice |= {"status": status, "amount_paid": 1000, "amount_remaining": 250}
    issue_credit_note(ledger, 1, {1: 400})
    [(state, subject, reason)] = send(ledger, fake).troubles
    assert (state, subject) == ("NEEDS_REVIEW", "cn_1")
    assert says in reason
    assert not fake.credit_notes
    invoice |= {"status": "open", "amount_remaining": 400}
    assert send(ledger, fake).counts == {"sent": 1}


def test_a_credit_note_after_a_kill_and_a_day_is_found(home, ledger, fake):
    issue_invoices(ledger, {"c-1": [1000, 250]})
    finalized(ledger, fake)
    issue_credit_note(ledger, 1, {1: 1000})
    assert run_sender(home, fake, stage="post", path=NOTES) == -9
    end_leases(ledger)
    fake.forget_keys()
    assert send(ledger, fake).counts == {"adopted": 1}
    assert len(fake.credit_notes) == 1
