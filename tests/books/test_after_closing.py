"""What readers see after a closing: the same, row by row, as if the whole warehouse had been built from nothing."""

import shutil
from datetime import date, timedelta

import pytest
from moving_home import CUSTOMERS, PLANS, SUBSCRIPTIONS, at_six, changed, without_checks
from moving_home import MovingHome as Moving

from pipelines.books.closing import _changed_by_closing
from pipelines.catalog import load_configuration
from pipelines.catalog.issued_plans import need_issued_plans
from pipelines.errors import ConfigurationError
from pipelines.ledger import open_ledger
from pipelines.notify.alerts import raise_new_alerts

CLOCK = at_six(4, 4)
# Served in January only; the plan is put right afterwards, and nobody else has that one.
DEE = "s-dee,dee,%s,2026-01-01,2026-02-01,1\n"


@pytest.fixture(scope="module")
def moved(tmp_path_factory):
    """Twice closed: the second time with late usage, a void, an anchor that moved, a plan put right, alerts and decisions."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("METERHOUSE_LEDGER_URL", raising=False)
        moving = Moving(tmp_path_factory.mktemp("moved") / "home")
        moving.document("accounts/customers.csv", CUSTOMERS + "dee,Dee,UTC,cus_dee\n")
        moving.document("accounts/subscriptions.csv", SUBSCRIPTIONS % 1 + DEE % "team")
        first = moving.put(moving.usage(date(2026, 1, 1), date(2026, 2, 20)))
        with without_checks():
            assert moving.close(date(2026, 2, 28), at_six(3, 4)).invoice_numbers
        raise_new_alerts(moving.home, [], at_six(3, 4), environment={})
        with open_ledger(moving.home) as ledger:
            crossed = (
                "from budget_alerts where kind = 'budget_threshold' and period_start = date '2026-02-01'"
            )
            [(alert,)] = moving.published(f"select min(alert_id) {crossed}")
            [(advice,)] = moving.published("select min(recommendation_id) from recommendations")
            ledger.mark_read([alert], at_six(3, 5))
            ledger.dismiss(advice, at_six(3, 5))
        calls = {event["customer_id"]: event for event in first if event["event_type"] == "call"}
        more = moving.usage(date(2026, 2, 21), date(2026, 3, 31))
        more[0] |= {"model": "unheard-of"}
        moving.put([changed(calls["ada"], quantity="200"), changed(calls["bo"], is_void=True), *more])
        moving.document("accounts/subscriptions.csv", SUBSCRIPTIONS % 10 + DEE % "enterprise")
        # An anchor that is edited must not let a check stop it.
        assert moving.close(date(2026, 3, 31), CLOCK).credit_note_numbers
        yield moving


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_what_a_closing_publishes_is_what_a_full_rebuild_publishes(moved):
    after_closing = moved.published_rows()
    shutil.rmtree(moved.home.warehouse)
    with without_checks():
        moved.run(CLOCK)
    rebuilt = moved.published_rows()
    assert list(after_closing) == list(rebuilt)
    assert {name: rows for name, rows in rebuilt.items() if rows != after_closing[name]} == {}


@pytest.mark.slow
def test_a_check_that_warns_names_what_it_found(moved):
    """As a run does: "Got 1 result" would send somebody to run SQL."""
    assert moved.session is not None
    [warning] = [warning for warning in moved.session.warnings if "unpriced_usage_is_empty" in warning]
    assert "provider acme, model unheard-of, reason" in warning


@pytest.mark.slow
def test_and_there_was_something_to_show(moved):
    """Equal is easy where tables are empty."""
    count = {name: len(rows) for name, rows in moved.published_rows().items()}
    for table in ("credit_notes", "credit_note_lines", "budget_alerts", "recommendations", "tie_out"):
        assert count[table] > 0, table
    assert count["stripe_invoice_items"] > count["focus_charges"] / 2 > 0
    assert moved.published("select distinct currency from invoices where status = 'issued' order by 1") == [
        ("EUR",),
        ("USD",),
    ]
    assert moved.published("select count(*) from invoice_lines where line_type = 'adjustment'") != [(0,)]
    assert moved.published("select count(*) from recommendations where status = 'dismissed'") == [(1,)]
    assert moved.published("select count(*) from budget_alerts where read_at is not null") == [(1,)]
    moved_on = moved.published("select min(service_start) from invoice_lines where customer_id = 'cy'"
                               " and period_start = date '2026-02-10'")  # fmt: skip
    assert moved_on == [(date(2026, 2, 10) + timedelta(days=19),)]


def test_a_closing_builds_what_reads_the_ledger_and_rates_nothing(manifest):
    built = set(_changed_by_closing(manifest))
    assert {"stg_ledger__closings", "int_billed_lines", "invoices", "tie_out", "focus_charges"} <= built
    assert not built & {"int_customer_timezones", "int_service_periods", "int_rated_lines", "daily_usage"}


@pytest.mark.slow
def test_a_plan_that_only_a_correction_billed_must_stay(moved):
    """Its price is a term of January by then; a version beside it, though dated back, changes nothing that was billed."""
    assert moved.published(
        "select amount_minor from invoice_lines where customer_id = 'dee' and line_type = 'adjustment'"
    ) == [(900,)]
    try:
        dated_back = PLANS[PLANS.index("  - id: enterprise") : PLANS.index("  - id: daily")]
        moving = dated_back.replace("2025-01-01", "2025-06-01").replace('"40"', '"50"')
        moved.document("catalog/plans.yml", PLANS + moving)
        need_issued_plans(moved.home, load_configuration(moved.home))
        moved.document("catalog/plans.yml", PLANS.replace('price: "40"', 'price: "50"'))
        with pytest.raises(ConfigurationError) as caught:
            need_issued_plans(moved.home, load_configuration(moved.home))
    finally:
        moved.document("catalog/plans.yml", PLANS)
    [fault] = caught.value.faults
    assert "id enterprise, effective_from 2025-01-01" in str(fault)
    assert "price was 40 and is 50" in str(fault)
