"""The commands as a person runs them: what they refuse before any request, what they show, and their exit codes."""

import subprocess
import sys

import payment_fixtures
import pytest
from fake_stripe import KEY
from payment_ledgers import issue_invoices

from pipelines.errors import ConfigurationError
from pipelines.home import Home
from pipelines.ledger import open_ledger
from pipelines.payments import commands
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


@pytest.fixture
def product_home(home, cli):
    """A home of a product whose customers c-1 and c-2 have issued invoices; c-2 is not known to Stripe."""
    assert cli("init", "--product", "coachos", "--home", home.root).returncode == 0
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


def run(home: Home, fake, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    import os

    clean = {
        name: value for name, value in os.environ.items() if not name.startswith(("METERHOUSE_", "STRIPE_"))
    }
    given = {"METERHOUSE_STRIPE_API_BASE": fake.url} | environment
    return subprocess.run(
        [
            sys.executable,
            "-c",
            "from pipelines.cli import main; main()",
            *arguments,
            "--home",
            str(home.root),
        ],
        env={**clean, **given, "COLUMNS": "200", "TERM": "dumb"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_month_end(product_home, fake):
    """Shown without a key, sent, finalized as far as the gate allows, compared."""
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
    with commands.alone(product_home, said.append):
        sender = subprocess.Popen(
            [
                sys.executable,
                "-c",
                "from pipelines.cli import main; main()",
                "send",
                "--home",
                str(product_home.root),
            ],
            env={"STRIPE_API_KEY": KEY, "METERHOUSE_STRIPE_API_BASE": fake.url, "PATH": ""},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        with pytest.raises(subprocess.TimeoutExpired):
            sender.wait(5)
        assert not fake.requests
    assert sender.wait(30) == 0
    assert "Waiting for it to end" in sender.communicate()[1]
    assert len(fake.items) == 2


def test_steps_of_the_schedule_do_nothing_without_a_key(product_home):
    assert commands.send_outbox(Settings(product_home), environment={}) is None
