"""The commands as a person runs them: what they refuse before any request, what they show, and their exit codes."""

import shutil
import signal
import time
from datetime import date

import dagster as dg
import payment_fixtures
import pytest
from fake_stripe import KEY
from payment_ledgers import end_leases, issue_invoices, run_sender
from warm_processes import Ended, Warm, command

from pipelines.errors import ConfigurationError
from pipelines.home import Home
from pipelines.ledger import open_ledger
from pipelines.payments import service
from pipelines.payments.settings import load_stripe_settings, redact
from pipelines.settings import Settings

empty_home, home, ledger, fake = (
    payment_fixtures.empty_home,
    payment_fixtures.home,
    payment_fixtures.ledger,
    payment_fixtures.fake,
)
LIVE = "sk_live_" + "4eC39HqLyjWDarjtT1zdp7dc"
BASE = "http://127.0.0.1:12111"


@pytest.mark.parametrize("key", ["", "  "])
def test_without_a_key_there_is_nothing_to_send_with(key):
    assert load_stripe_settings({"STRIPE_API_KEY": key}) is None


@pytest.mark.parametrize(
    ("environment", "mode"),
    [
        ({"STRIPE_API_KEY": KEY}, "test"),
        ({"STRIPE_API_KEY": "rk_test_abc", "METERHOUSE_STRIPE_LIVE": "false"}, "test"),
        ({"STRIPE_API_KEY": KEY, "METERHOUSE_STRIPE_API_BASE": BASE}, "test"),
        ({"STRIPE_API_KEY": LIVE, "METERHOUSE_STRIPE_LIVE": "true"}, "live"),
    ],
)
def test_keys_that_may_be_used(environment, mode):
    settings = load_stripe_settings(environment)
    assert settings.mode == mode
    assert environment["STRIPE_API_KEY"] not in repr(settings) + str(settings)


@pytest.mark.parametrize(
    "environment",
    [
        {"STRIPE_API_KEY": "pk_test_abc"},
        {"STRIPE_API_KEY": "something"},
        {"STRIPE_API_KEY": LIVE},
        {"STRIPE_API_KEY": LIVE, "METERHOUSE_STRIPE_LIVE": "false"},
        {"STRIPE_API_KEY": LIVE, "METERHOUSE_STRIPE_LIVE": "yes"},
        {"STRIPE_API_KEY": LIVE, "METERHOUSE_STRIPE_LIVE": "true", "METERHOUSE_STRIPE_API_BASE": BASE},
        {"STRIPE_API_KEY": KEY, "METERHOUSE_STRIPE_LIVE": "true"},
        {"STRIPE_API_KEY": KEY, "METERHOUSE_STRIPE_API_BASE": "127.0.0.1:12111"},
        {"STRIPE_API_KEY": KEY, "METERHOUSE_STRIPE_API_BASE": "https://user:word@example.org"},
    ],
)
def test_keys_that_may_not_be_used(environment):
    with pytest.raises(ConfigurationError) as error:
        load_stripe_settings(environment)
    assert environment["STRIPE_API_KEY"] not in str(error.value)
    assert "word" not in str(error.value)


def test_whatever_looks_like_a_secret_is_taken_out():
    text = f"Invalid API Key provided: {LIVE}, whsec_abc; my word"
    assert redact(text, "my word") == "Invalid API Key provided: ***, ***; ***"


@pytest.fixture(scope="module")
def one_product_home(tmp_path_factory):
    """A home of a product whose customers c-1 and c-2 have issued invoices; c-2 is not known to Stripe."""
    home = Home(tmp_path_factory.mktemp("product") / "home")
    assert (
        Warm(command, "init", "--product", "coachos", "--home", str(home.root), environment={})
        .end()
        .returncode
        == 0
    )
    file = home.accounts / "customers.csv"
    head, *_ = file.read_text().splitlines()
    names = head.split(",")
    known = {"c-1": "cus_c-1", "c-2": ""}
    values = [
        ",".join(
            {"customer_id": one, "name": one, "stripe_customer_id": stripe}.get(name, "") for name in names
        )
        for one, stripe in known.items()
    ]
    file.write_text("\n".join([head, *values]) + "\n")
    for name in ("subscriptions.csv", "overrides.csv", "budgets.csv"):
        if (home.accounts / name).exists():
            first = (home.accounts / name).read_text().splitlines()[0]
            (home.accounts / name).write_text(first + "\n")
    with open_ledger(home, "") as ledger:
        issue_invoices(ledger, {"c-1": [1000, 250], "c-2": [9900]})
    return home


@pytest.fixture
def product_home(one_product_home, tmp_path):
    return Home(shutil.copytree(one_product_home.root, tmp_path / "product"))


def start(home: Home, fake, *arguments: str, **environment: str) -> Warm:
    given = {"METERHOUSE_STRIPE_API_BASE": fake.url, "COLUMNS": "200", "TERM": "dumb"} | environment
    return Warm(command, *arguments, "--home", str(home.root), environment=given)


def run(home: Home, fake, *arguments: str, **environment: str) -> Ended:
    return start(home, fake, *arguments, **environment).end()


def test_a_month_end(product_home, fake):
    """Shown without a key, sent, finalized as far as the gate allows, compared; the interface shows it."""
    with_key = {"STRIPE_API_KEY": KEY}
    shown = run(product_home, fake, "send")
    assert shown.returncode == 0
    assert "Items not sent: 3, 11,150 minor units of USD" in shown.stdout
    assert "no stripe_customer_id" in shown.stdout
    assert "nothing was sent" in shown.stdout
    assert not fake.requests
    sent = run(product_home, fake, "send", **with_key)
    assert sent.returncode == 0, sent.stderr
    assert "3 sent, 0 found there" in sent.stdout
    assert "NEEDS_REVIEW  line_2_1: customer c-2 has no stripe_customer_id" in sent.stdout
    held = run(product_home, fake, "finalize", **with_key)
    assert held.returncode == 1
    assert "1 finalized, 1 held back" in held.stdout
    agreed = run(product_home, fake, "reconcile", **with_key)
    assert agreed.returncode == 0, agreed.stdout + agreed.stderr
    assert "The ledger and Stripe agree: 3 objects" in agreed.stdout
    fake.items.popitem()
    differs = run(product_home, fake, "reconcile", **with_key)
    assert differs.returncode == 1
    assert "missing" in differs.stdout
    assert KEY not in "".join(one.stdout + one.stderr for one in (sent, held, agreed, differs))
    assert "Warning" not in sent.stderr + agreed.stderr
    history = {name: figures_of(product_home, "stripe", name) for name in ("sent", "reconciled")}
    assert [one["item USD"] for one in history["sent"]] == ["12.50"]
    assert history["sent"][0]["documents"] == ["INV-000001"]
    assert history["sent"][0]["waiting_for_review"] == 2
    assert [one["differences"] > 0 for one in history["reconciled"]] == [True, False]
    assert KEY not in str(history)


def figures_of(home: Home, *key: str) -> list[dict]:
    """What the history shows of an asset, the newest first."""
    with dg.DagsterInstance.from_config(str(home.root / ".dagster")) as instance:
        records = instance.fetch_materializations(dg.AssetKey(key), limit=10).records
    return [
        {name: value.value for name, value in record.asset_materialization.metadata.items()}
        for record in records
    ]


@pytest.mark.parametrize("command", ["send", "finalize", "reconcile"])
def test_a_live_key_is_refused_before_any_request(product_home, fake, command):
    refused = run(product_home, fake, command, STRIPE_API_KEY=LIVE)
    assert refused.returncode == 2
    assert "live mode is off" in refused.stderr
    assert LIVE not in refused.stderr
    assert not fake.requests


@pytest.mark.parametrize("command", ["finalize", "reconcile", "webhooks"])
def test_what_needs_a_secret_says_so(product_home, fake, command):
    refused = run(product_home, fake, command)
    assert refused.returncode == 2
    assert "it is not set" in refused.stderr


def test_one_command_talks_to_stripe_at_a_time(product_home, fake):
    said: list[str] = []
    with service.alone(product_home, said.append):
        sender = start(product_home, fake, "send", STRIPE_API_KEY=KEY)
        while not sender.said:
            assert sender.is_running
            time.sleep(0.01)
        assert not fake.requests
    ended = sender.end()
    assert ended.returncode == 0
    assert "Waiting for it to end" in ended.stderr
    assert len(fake.items) == 2


def test_what_another_sender_holds_is_told_and_is_not_done(product_home, fake):
    with_key = {"STRIPE_API_KEY": KEY}
    pace = {"workers_per_invoice": 1}
    assert run_sender(product_home, fake, stage="claim", path="/v1/invoiceitems", after=2, pace=pace) == -9
    left = run(product_home, fake, "send", **with_key)
    assert left.returncode == 1
    assert "are held by another sender, or by one that died" in left.stdout
    assert "were left to the sender that holds them" in left.stderr
    assert "run it again after 20" in left.stderr
    again = run(product_home, fake, "send", **with_key)
    assert (again.returncode, "0 sent" in again.stdout) == (1, True)
    with open_ledger(product_home, "") as ledger:
        end_leases(ledger)
    done = run(product_home, fake, "send", **with_key)
    assert done.returncode == 0, done.stderr
    assert {"line_1_1": 1, "line_1_2": 1}.items() <= fake.items_of_lines().items()
    assert set(fake.items_of_lines().values()) == {1}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_sending_ends_what_is_under_way_and_the_next_goes_on(product_home, fake, number):
    with open_ledger(product_home, "") as ledger:
        issue_invoices(ledger, {"c-1": [10] * 60}, period_start=date(2026, 2, 1))
    fake.answer_seconds = 0.05
    sender = start(product_home, fake, "send", STRIPE_API_KEY=KEY)
    while len(fake.requests) < 15:
        assert sender.is_running
        time.sleep(0.005)
    sender.interrupt(number)
    ended = sender.end()
    assert ended.returncode == 128 + number, ended
    [line] = [line for line in ended.stderr.splitlines() if line.startswith("Interrupted")]
    assert "operations are done and recorded, the others as before; `meterhouse send` goes on" in line
    assert "Traceback" not in ended.stderr
    assert 0 < len(fake.items) < 62
    done = run(product_home, fake, "send", STRIPE_API_KEY=KEY)
    assert done.returncode == 0, done.stderr
    assert "0 found there" in done.stdout
    assert len(fake.items) == 62
    assert set(fake.items_of_lines().values()) == {1}


def test_steps_of_the_schedule_do_nothing_without_a_key(product_home):
    assert service.send_outbox(Settings(product_home), environment={}) is None
