"""Tracing whole homes: the events behind every line add up to it, and are found again by people and SQL users."""

import csv
import io
import json
import shutil
from datetime import UTC, date, datetime
from decimal import Decimal

import duckdb
import pytest

from pipelines.books.knowledge import Knowledge
from pipelines.books.recompute import recompute
from pipelines.books.trace import Selection
from pipelines.catalog import copy_product
from pipelines.costs import refresh_prices, resolve_new_names
from pipelines.errors import ConfigurationError
from pipelines.home import Home
from pipelines.ingest import ingest_inbox
from pipelines.session import Session
from pipelines.settings import Settings
from pipelines.simulate import simulate_usage
from pipelines.warehouse.builds import load_manifest

AS_OF = datetime(2026, 4, 1, tzinfo=UTC)


def query(file, sql, *parameters):
    with duckdb.connect(str(file), read_only=True) as tables:
        cursor = tables.execute(sql, parameters)
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


@pytest.fixture(scope="module")
def parsed(tmp_path_factory):
    """A cache in which dbt's parsed project is, so that it is parsed once for all homes."""
    home = Home(tmp_path_factory.mktemp("parsed"))
    load_manifest(home)
    return home.cache


@pytest.mark.slow
@pytest.mark.parametrize("product", ["ai_pair_orchestrator", "crm_usage_billing", "mortgage_match_pro"])
def test_all_lines_of_a_product_are_their_events(product, parsed, tmp_path):
    home = Home(tmp_path / "home")
    shutil.copytree(parsed, home.cache)
    copy_product(home.ensure(), product)
    simulate_usage(home, events=3000, days=45, seed=11, until=date(2026, 4, 1), as_of=AS_OF)
    session = Session(Settings(home, AS_OF))
    ingest_inbox(home, session.adopt().sources, AS_OF)
    refresh_prices(home, AS_OF)
    resolve_new_names(home)
    file = recompute(
        home,
        Knowledge.current(session),
        models=["line_proofs", "monthly_usage"],
        folder=tmp_path / "aside",
    )
    lines = query(
        file, "select line_type, count(*) as n, sum(event_count) as events from line_proofs group by all"
    )
    counts = {line["line_type"]: line for line in lines}
    assert counts["price"]["n"] > 0
    assert counts["usage"]["events"] > 0
    unexplained = """
        select proofs.* from line_proofs as proofs
        left join monthly_usage as usage using (subscription_id, meter_id, period_start)
        where
            proofs.unexplained_quantity is distinct from 0
            or (proofs.line_type = 'usage' and proofs.usage_quantity is distinct from usage.quantity)
    """
    assert query(file, unexplained) == []


@pytest.mark.slow
def test_a_line_is_traced_for_people_and_programs(cli, finished_home, tmp_path):
    published = finished_home / "serving/meterhouse.duckdb"
    [line] = query(
        published,
        "select * from invoice_lines where line_type = 'usage' order by quantity desc, invoice_line_id limit 1",
    )
    line_id = line["invoice_line_id"]
    traced = cli("trace", line_id, "--home", finished_home, "--format", "json")
    assert traced.returncode == 0, traced.stderr
    [told] = json.loads(traced.stdout)
    assert told["invoice_line_id"] == line_id
    assert Decimal(told["quantity"]) == line["quantity"]
    contributions = [Decimal(event["contribution"]) for event in told["events"]]
    assert sum(contributions) == Decimal(told["usage_quantity"])
    assert sum(Decimal(window["overage_quantity"]) for window in told["windows"]) == line["quantity"]
    assert Decimal(told["unexplained_quantity"]) == 0
    # Every event is where the trace says it is.
    event = told["events"][0]
    batches = {row["batch_id"] for row in query(published, "select batch_id from ingest_batches")}
    assert event["batch_id"] in batches
    assert (finished_home / "inbox" / event["source_file"]).exists()

    table = tmp_path / "events.parquet"
    saved = cli("trace", "--invoice", line["invoice_id"], "--home", finished_home, "--output", table)
    assert saved.returncode == 0, saved.stderr
    rows = duckdb.sql(f"select * from '{table}' where invoice_line_id = '{line_id}'").fetchall()
    assert len(rows) == len(told["events"])
    types = dict(duckdb.sql(f"select column_name, column_type from (describe from '{table}')").fetchall())
    assert types["contribution"] == types["quantity"] == "DECIMAL(38,12)"
    lines = {row[0] for row in duckdb.sql(f"select invoice_line_id from '{table}'").fetchall()}
    of_invoice = "select invoice_line_id from invoice_lines where invoice_id = ?"
    assert lines == {row["invoice_line_id"] for row in query(published, of_invoice, line["invoice_id"])}

    written = cli("trace", line_id, "--home", finished_home, "--format", "csv")
    assert len(list(csv.DictReader(io.StringIO(written.stdout)))) == len(told["events"])
    shown = cli("trace", line_id, "--home", finished_home)
    assert told["rule"] in shown.stdout
    assert event["event_id"] in shown.stdout


def test_a_line_that_does_not_exist_says_what_to_do(cli, finished_home):
    traced = cli("trace", "line_nothing", "--home", finished_home)
    assert traced.returncode == 2
    assert "no line with the line id line_nothing" in traced.stderr
    assert "invoice_lines" in traced.stderr


@pytest.mark.parametrize(
    "given",
    [{}, {"line": "l", "invoice": "i"}, {"month": "2026-13"}, {"month": "march"}, {"month": "2026-3"}],
)
def test_a_selection_that_is_none_is_refused(given):
    with pytest.raises(ConfigurationError):
        Selection.of(**given)


def test_a_selection_is_what_is_given():
    assert Selection.of(line=None, invoice="INV-000001", month=None) == Selection("invoice", "INV-000001")
