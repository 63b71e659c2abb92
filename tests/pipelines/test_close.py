"""Closing the books of a home: what it issues, tells and refuses, from the documents to the published file."""

import io
import os
import shutil
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import duckdb
import polars as pl
import pytest
from conftest import Cli
from rich.console import Console

from pipelines.books import closing as closing_module
from pipelines.books.arguments import closer
from pipelines.books.closing import ClosingOutcome, close_books
from pipelines.books.plan import ClosingPlan
from pipelines.cli.show.closing import print_outcome
from pipelines.errors import ConfigurationError, MeterhouseError
from pipelines.home import Home
from pipelines.ledger import open_ledger
from pipelines.ledger.books import Documents, Terms, all_closings, known_batches
from pipelines.session import Session
from pipelines.settings import Settings, close_grace_days, login_name
from pipelines.times import last_day, month_before
from pipelines.warehouse import aside
from pipelines.warehouse.outcome import BuildResult, Trouble

MARCH = date(2026, 3, 31)
CLOCK = datetime(2026, 4, 4, 6, 30, tzinfo=UTC)


def session_at(root: Path, clock: datetime = CLOCK) -> Session:
    return Session(Settings(Home(root), clock))


def told(outcome: ClosingOutcome, *, is_dry_run: bool = False) -> str:
    text = io.StringIO()
    print_outcome(outcome, [], Console(file=text, width=200), is_dry_run=is_dry_run)
    return text.getvalue()


def test_no_amount_is_cut_off_where_a_terminal_is_narrow():
    """A sum that ends in an ellipsis is no sum."""
    sums = {"invoiced_text": "1,234,567.89", "credited_text": "98,765.43", "net_text": "1,135,802.46"}
    counts = {
        "invoice_count": 10_000,
        "adjustment_count": 12,
        "credit_note_count": 34,
        "waiting_count": 0,
        "small_count": 0,
    }
    totals = [{"currency": "USD", "adjusted_text": "55.50", **sums, **counts}]
    terms = Terms(MARCH, CLOCK, "catalog", "accounts", "prices", "code")
    plan = ClosingPlan(terms, Documents([{"content_hash": "0" * 64}], [], [], []), [], 0, totals, {}, [])
    text = io.StringIO()
    print_outcome(ClosingOutcome(plan, None), [], Console(file=text, width=80), is_dry_run=True)
    assert all(words in text.getvalue() for words in [*sums.values(), "55.50 USD", "12 adjustments"])


def query(root: Path, sql: str) -> list[tuple]:
    with duckdb.connect(str(Home(root).published_file), read_only=True) as published:
        return published.execute(sql).fetchall()


def closings_of(root: Path) -> int:
    with open_ledger(Home(root), "") as ledger:
        return len(all_closings(ledger))


# What needs no build


@pytest.mark.parametrize(
    ("month", "day"), [("2026-03", MARCH), ("2024-02", date(2024, 2, 29)), ("2026-12", date(2026, 12, 31))]
)
def test_a_month_is_closed_through_its_last_day(month, day):
    assert last_day(month) == day
    assert last_day(None, day) == day


@pytest.mark.parametrize(
    ("month", "through"),
    [
        ("2026-13", None),
        ("2026-3", None),
        ("march", None),
        ("0000-01", None),
        (None, None),
        ("2026-03", MARCH),
    ],
)
def test_what_is_no_month_is_said_to_be_none(month, through):
    with pytest.raises(ConfigurationError) as caught:
        last_day(month, through)
    assert caught.value.remedy


def test_the_month_before_a_first_of_january_is_december():
    assert month_before(datetime(2026, 1, 1, tzinfo=UTC)) == "2025-12"


@pytest.mark.parametrize(("text", "days"), [("", 3), ("0", 0), ("27", 27)])
def test_grace_is_a_number_of_days(text, days):
    assert close_grace_days({"METERHOUSE_CLOSE_GRACE_DAYS": text}) == days


@pytest.mark.parametrize("text", ["28", "-1", "three", "1.5"])
def test_grace_that_is_none_is_refused(text):
    with pytest.raises(ConfigurationError, match="from 0 to 27"):
        close_grace_days({"METERHOUSE_CLOSE_GRACE_DAYS": text})


@pytest.mark.parametrize("name", ["", "  ", "a\nb", "a\x1b[1m"])
def test_a_name_that_says_nobody_is_refused(name):
    with pytest.raises(ConfigurationError, match="is not a name"):
        closer(name)


def test_a_user_without_a_name_has_a_number(monkeypatch):
    """As in a container whose image knows nobody of this number."""
    for answer in (KeyError("getpwuid(): uid not found: 1234"), OSError("No username set"), "", "a\nb"):

        def getuser(answer=answer):
            if isinstance(answer, Exception):
                raise answer
            return answer

        monkeypatch.setattr("getpass.getuser", getuser)
        assert login_name() == f"uid {os.getuid()}"
    monkeypatch.undo()
    monkeypatch.setenv("LOGNAME", "ada")
    assert login_name() == "ada"


# On a home


@dataclass
class Closed:
    """A home after its March was closed, with what each attempt came to."""

    root: Path
    too_early: str
    unread: str
    failing: str
    dry: ClosingOutcome
    first: ClosingOutcome
    again: ClosingOutcome
    closings_before: int


@pytest.fixture(scope="module")
def closed(_finished_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Closed:
    root = shutil.copytree(_finished_home, tmp_path_factory.mktemp("closed") / "home")
    environment = {"METERHOUSE_ALERT_URL": "http://127.0.0.1:9/nobody"}

    with pytest.raises(MeterhouseError) as too_early:
        close_books(session_at(root), date(2026, 4, 4))
    waiting = root / "inbox/late.jsonl"
    waiting.write_text("{}\n")
    with pytest.raises(MeterhouseError) as unread:
        close_books(session_at(root), MARCH)
    waiting.unlink()
    with pytest.MonkeyPatch.context() as patch:
        trouble = Trouble("rating_lines_round_once", True, "Got 1 result", None)

        def failing(home: Home, *_: object, **__: object) -> BuildResult:
            return BuildResult([], [trouble], [])

        patch.setattr(closing_module.builds, "build", failing)
        with pytest.raises(MeterhouseError) as failed:
            close_books(session_at(root), MARCH)
    before = closings_of(root)
    dry = close_books(session_at(root), MARCH, is_dry_run=True)
    assert not aside.building_file(Home(root)).parent.exists()
    before += closings_of(root)
    first = close_books(session_at(root), MARCH, environment=environment)
    again = close_books(session_at(root), MARCH)
    return Closed(root, str(too_early.value), str(unread.value), str(failed.value), dry, first, again, before)


pytestmark = pytest.mark.slow


def test_it_refuses_with_what_to_do(closed):
    assert "2026-04-04 is not over" in closed.too_early
    assert "1 usage file (late.jsonl) in the inbox waits unread" in closed.unread
    assert "`meterhouse run`" in closed.unread
    assert "rating_lines_round_once" in closed.failing
    assert "nothing was issued" in closed.failing


def test_a_dry_run_shows_what_a_closing_issues_and_writes_nothing(closed):
    assert closed.closings_before == 0
    assert closed.dry.closing is None
    assert closed.dry.plan.documents == closed.first.plan.documents
    assert "would be issued" in told(closed.dry, is_dry_run=True)
    assert "Nothing was issued" in told(closed.dry, is_dry_run=True)


def test_a_closing_says_what_it_issued(closed):
    text = told(closed.first)
    numbers = closed.first.invoice_numbers
    assert numbers == [f"INV-{number:06}" for number in range(1, len(numbers) + 1)]
    assert len(numbers) > 5
    assert f"invoices INV-000001 to {numbers[-1]}" in text
    [(total,)] = query(
        closed.root, "select sum(total_minor) from invoices where status = 'issued' and currency = 'EUR'"
    )
    words = f"{total // 100:,}.{total % 100:02}"
    # Without credit notes what is issued is what is left.
    assert text.count(words) == 2


def test_issued_invoices_are_in_the_published_file(closed):
    rows = query(
        closed.root,
        "select status, count(*), count(invoice_number), max(period_end) from invoices group by status order by 1",
    )
    statuses = {status: (count, numbered) for status, count, numbered, _ in rows}
    count = len(closed.first.invoice_numbers)
    assert statuses.pop("issued") == (count, count)
    assert all(numbered == 0 for _, numbered in statuses.values())
    assert "ready" not in statuses


def test_closing_again_changes_nothing(closed):
    assert closed.again.closing is None
    assert "Nothing to issue through 2026-03-31" in told(closed.again)
    assert closings_of(closed.root) == 1


def test_a_closing_that_was_cut_off_after_issuing_is_shown_by_the_next(closed, tmp_path):
    """As after a kill between ledger and marts: the warehouse does not know the closing, readers neither."""
    root = shutil.copytree(closed.root, tmp_path / "home")
    with duckdb.connect(str(Home(root).warehouse_file)) as warehouse:
        warehouse.execute("delete from stg_ledger__closings")
    Home(root).published_file.unlink()
    assert close_books(session_at(root), MARCH, is_dry_run=True).closing is None
    assert not Home(root).published_file.exists()
    assert close_books(session_at(root), MARCH).closing is None
    assert query(root, "select count(*) from invoices where status = 'issued'") > [(0,)]
    assert closings_of(root) == 1


def test_the_closing_knows_what_it_was_made_from(closed):
    closing = closed.first.closing
    assert closing is not None
    with open_ledger(Home(closed.root), "") as ledger:
        assert len(known_batches(ledger, 1)) == closing.batch_count > 0
    session = session_at(closed.root)
    settings = session.dbt_settings({})
    assert (
        closing.catalog_version,
        closing.accounts_version,
        closing.code_version,
        closing.prices_version,
    ) == (
        settings.catalog_version,
        settings.accounts_version,
        settings.code_version,
        settings.prices_version,
    )


def test_who_closed_and_when_by_the_machine_s_clock_is_kept(closed):
    closing = closed.first.closing
    assert closing.as_of == closing.closed_at == CLOCK
    assert closing.closed_by == login_name()
    assert timedelta(0) < datetime.now(UTC) - closing.recorded_at < timedelta(hours=1)
    published = query(closed.root, "select closed_by, recorded_at, as_of from closings")
    assert published == [(closing.closed_by, closing.recorded_at, CLOCK)]
    assert f"by {closing.closed_by}: invoices" in told(closed.first)


def test_people_are_told_by_the_closing_itself(closed):
    with open_ledger(Home(closed.root), "") as ledger:
        kinds = [row.kind for row in ledger.notifications() if row.destination == "METERHOUSE_ALERT_URL"]
    assert kinds.count("billing_cycle_end") == 1
    assert kinds.count("invoice_created") in {1, len(closed.first.invoice_numbers)}


@pytest.mark.parametrize("command", [["check"], ["close", "2026-03", "--as-of", "2026-04-05"]])
@pytest.mark.parametrize("change", ["price", "gone"])
def test_a_plan_that_issued_invoices_used_must_stay(closed, tmp_path, cli: Cli, command, change):
    root = shutil.copytree(closed.root, tmp_path / "home")
    [(plan_id, version)] = query(
        root,
        "select plan_id, plan_version from invoice_lines join invoices using (invoice_id)"
        " where invoice_number is not null order by all limit 1",
    )
    plans = root / "catalog/plans.yml"
    text = plans.read_text()
    start = text.index(f"- id: {plan_id}\n")
    price = text.index("price:", start)
    line_end = text.index("\n", price)
    changed = text[:price] + 'price: "1234.56"' + text[line_end:]
    if change == "gone":
        changed = text.replace(f"effective_from: {version}", "effective_from: 2019-05-05")
        # A subscription that is held to the version would be a fault by itself.
        subscriptions = root / "accounts/subscriptions.csv"
        pl.read_csv(subscriptions, infer_schema=False).with_columns(plan_version=None).write_csv(
            subscriptions
        )
    plans.write_text(changed)
    result = cli(*command, "--home", root)
    assert result.returncode == 2, result.stdout + result.stderr
    assert f"catalog/plans.yml: plans (id {plan_id}, effective_from {version})" in result.stderr
    assert "INV-0000" in result.stderr
    assert "1234.56" in result.stderr if change == "price" else "the version is gone" in result.stderr


def test_marts_that_cannot_follow_are_said_to_be_behind(closed, tmp_path, monkeypatch):
    """The documents are facts by then: closing again would be the wrong thing to do."""
    root = shutil.copytree(closed.root, tmp_path / "home")
    with open_ledger(Home(root), "") as ledger:
        [closing] = all_closings(ledger)
    session = session_at(root)
    trouble = Trouble("a_check", True, "Got 1 result", None)
    monkeypatch.setattr(closing_module.builds, "build", lambda *_, **__: BuildResult([], [trouble], []))
    aside.begin_build(Home(root), from_nothing=False)
    with pytest.raises(MeterhouseError) as caught:
        closing_module._show(session, session.dbt_settings({}), {"nodes": {}}, replace(closing))
    assert "is issued and in the ledger" in str(caught.value)
    assert "do not close again" in str(caught.value)
