"""`meterhouse run` as a person meets it: it tells, repeats, waits, and never publishes what fails."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import dagster as dg
import duckdb
import polars as pl
import pytest
from conftest import NOW
from servers import Receiver

from models.frames import BATCHES, empty_frame
from pipelines.home import Home
from pipelines.lake.commits import Staging, read_lake
from pipelines.lock import hold_home
from pipelines.warehouse.project import PROJECT_DIR

MAIN = "from pipelines.cli import main; main()"

pytestmark = pytest.mark.slow


def rows_of(file: Path) -> dict[str, list[tuple]]:
    with duckdb.connect(str(file), read_only=True) as published:
        tables = [row[0] for row in published.execute("show tables").fetchall()]
        return {
            table: published.execute(f'from "{table}" order by all').fetchall()
            for table in tables
            if table != "meterhouse_publication"
        }


def test_run_ends_with_a_summary_that_adds_up(finished_home):
    told = (finished_home / "last-run.txt").read_text()
    with duckdb.connect(str(finished_home / "serving" / "meterhouse.duckdb"), read_only=True) as published:
        read, accepted, duplicate, rejected = published.execute(
            "select sum(rows_read), sum(accepted_count), sum(duplicate_count), sum(rejected_count)"
            " from ingest_batches"
        ).fetchone()
        as_of, published_at = published.execute(
            "select as_of::varchar, published_at::varchar from meterhouse_publication"
        ).fetchone()
    assert read == 2000 == accepted + duplicate + rejected
    assert min(duplicate, rejected) > 0
    assert f"2,000 rows = {accepted:,} accepted + {duplicate} duplicate + {rejected} rejected" in told
    assert "2026-03" in told
    assert "serving/meterhouse.duckdb" in told
    assert as_of == published_at == "2026-04-01 00:00:00+00"


def test_a_second_run_waits_for_whoever_holds_the_home_and_publishes_the_same_rows(finished_home):
    published = finished_home / "serving" / "meterhouse.duckdb"
    before = rows_of(published)
    with hold_home(Home(finished_home), "the command that came first"):
        waiting = subprocess.Popen(
            [sys.executable, "-c", MAIN, "run", "--home", str(finished_home), "--as-of", NOW],
            stderr=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert "the command that came first (process " in waiting.stderr.readline()
            assert waiting.poll() is None
        except BaseException:
            waiting.kill()
            raise
    with waiting:
        told, complaints = waiting.communicate(timeout=240)
    assert waiting.returncode == 0, complaints
    assert "No new files" in told
    assert rows_of(published) == before
    assert before["invoices"]


def test_a_failing_check_publishes_nothing_and_says_where_to_look(cli, finished_home, tmp_path):
    project = shutil.copytree(
        PROJECT_DIR, tmp_path / "dbt_project", ignore=shutil.ignore_patterns("target", "logs")
    )
    (project / "tests" / "no_customer_is_billed.sql").write_text(
        "select invoice_id from {{ ref('invoices') }}\n"
    )
    kept = [
        finished_home / "serving" / "meterhouse.duckdb",
        finished_home / "warehouse" / "meterhouse.duckdb",
    ]
    before = [file.read_bytes() for file in kept]
    with_project = (
        f"import pipelines.warehouse.project as d, pathlib; d.PROJECT_DIR = pathlib.Path({str(project)!r});"
    )
    result = cli(
        "run",
        "--home",
        finished_home,
        "--as-of",
        NOW,
        code=with_project + "import pipelines.cli as c; c.main()",
    )
    assert result.returncode == 1, result.stdout + result.stderr
    assert "1 blocking check failed; nothing was published" in result.stderr
    assert "no_customer_is_billed" in result.stderr
    assert "Found: invoice_id " in result.stderr
    assert [file.read_bytes() for file in kept] == before
    failed = finished_home / "warehouse" / "failed" / "meterhouse.duckdb"
    assert str(failed) in result.stderr
    sql = Path(result.stderr.split("SQL: ")[1].splitlines()[0])
    with duckdb.connect(str(failed), read_only=True) as warehouse:
        assert warehouse.execute(sql.read_text()).fetchall()


@pytest.mark.filterwarnings("ignore")  # Dagster warns about its own previews.
def test_a_model_that_nobody_can_price_is_named_and_stops_nothing(cli, finished_home):
    event = {
        "event_id": "unpriced",
        "customer_id": "atelier",
        "event_type": "chat",
        "provider": "acme",
        "model": "x1",
    }
    event |= {"occurred_at": "2026-03-31T12:00:00Z", "input_tokens": 10, "output_tokens": 1}
    (finished_home / "inbox" / "extra.jsonl").write_text(json.dumps(event) + "\n")
    result = cli("run", "--home", finished_home, "--as-of", NOW)
    assert result.returncode == 0, result.stdout + result.stderr
    told = " ".join(result.stdout.split())
    assert "check unpriced_usage_is_empty: provider acme, model x1, reason " in told
    with duckdb.connect(str(finished_home / "serving" / "meterhouse.duckdb"), read_only=True) as published:
        listed = published.execute("select customer_id, event_count from unpriced_usage where model = 'x1'")
        assert listed.fetchall() == [("atelier", 1)]
    with dg.DagsterInstance.from_config(str(finished_home / ".dagster")) as instance:
        key = dg.AssetCheckKey(dg.AssetKey("unpriced_usage"), "unpriced_usage_is_empty")
        [record] = instance.event_log_storage.get_asset_check_execution_history(key, limit=1)
    assert "model x1" in record.event.dagster_event.asset_check_evaluation_data.metadata["found"].value


def test_a_batch_that_lost_rows_publishes_nothing_and_is_told_to_the_destinations(cli, finished_home):
    published = finished_home / "serving" / "meterhouse.duckdb"
    before = published.read_bytes()
    lake = read_lake(Home(finished_home))
    batch = min(lake.batches.values(), key=lambda batch: batch["batch_id"])
    lost = batch["source_file"]
    manifest = {**batch, "batch_id": f"{batch['batch_id']}-2", "rows_read": batch["rows_read"] + 1}
    with Staging(lake.home) as staging:
        staging.commit(lake, pl.DataFrame([manifest], schema=empty_frame(BATCHES).schema))
    with Receiver(500) as receiver:
        with_destination = f"import os; os.environ['METERHOUSE_ALERT_URL'] = {receiver.url!r};"
        result = cli("run", "--home", finished_home, "--as-of", NOW, code=f"{with_destination} {MAIN}")
    assert result.returncode == 1, result.stdout + result.stderr
    assert lost in result.stderr
    assert published.read_bytes() == before
    # The receiver refuses the first attempt.
    assert [request.json["title"] for request in receiver.requests] == ["Meterhouse: A run failed"] * 2
    assert lost in receiver.requests[1].json["message"]
    assert receiver.url not in result.stderr
    assert cli("check", "--home", finished_home).returncode == 1


def test_the_warehouse_can_be_deleted_and_comes_back_to_the_same_rows(cli, finished_home):
    published = finished_home / "serving" / "meterhouse.duckdb"
    before = rows_of(published)
    shutil.rmtree(finished_home / "warehouse")
    shutil.rmtree(finished_home / "serving")
    result = cli("run", "--home", finished_home, "--as-of", NOW)
    assert result.returncode == 0, result.stderr
    assert rows_of(published) == before
