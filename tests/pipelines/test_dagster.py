"""The graph that Dagster shows, and what its schedules, sensors and rebuild jobs would start."""

import warnings
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import dagster as dg
import duckdb
import pytest
from conftest import NOW
from servers import Receiver

from pipelines.home import Home
from pipelines.lake.checks import STALE_AFTER, stale_sources
from pipelines.notify import reports
from pipelines.settings import QuietTime, Settings
from pipelines.times import parse_instant
from pipelines.warehouse import builds
from pipelines.warehouse.project import models_in

with warnings.catch_warnings():
    # A package that dagster-dbt imports announces its own end.
    warnings.simplefilter("ignore")
    from pipelines.orchestration.assembly import build_definitions
    from pipelines.orchestration.instance import STARTED_BY
    from pipelines.orchestration.sensors import reason, waiting_files

# Dagster and dbt warn about their own previews and about each other.
pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.slow]


@pytest.fixture
def settings(finished_home: Path) -> Settings:
    return Settings(Home(finished_home), parse_instant(NOW))


@pytest.fixture
def definitions(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> dg.Definitions:
    monkeypatch.delenv("METERHOUSE_SCHEDULES", raising=False)
    return build_definitions(settings)


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


def key(name: str) -> dg.AssetKey:
    return dg.AssetKey(name.split("/"))


def test_every_model_is_an_asset_in_its_layer_and_every_test_a_blocking_check(definitions, settings):
    graph = definitions.resolve_asset_graph()
    manifest = builds.load_manifest(settings.home)
    models = models_in(manifest)
    # What only a proof asks for is no part of a build.
    built = [node for node in manifest["nodes"].values() if "proof" not in node["fqn"]]
    # Neither has what dbt writes into its readers a table.
    assert len(models) == sum(
        node["resource_type"] == "model" and node["config"]["materialized"] != "ephemeral" for node in built
    )
    for model in models:
        assert graph.get(key(model["name"])).group_name == model["fqn"][1]
    blocking = {check.name: graph.get(check).blocking for check in graph.asset_check_keys}
    tests = [node for node in built if node["resource_type"] == "test"]
    assert tests
    for test in tests:
        assert blocking[test["name"]] == (test["config"]["severity"].lower() == "error"), test["name"]
    assert blocking["rows_are_conserved"]
    assert not blocking["sources_are_fresh"]


def test_the_lineage_leads_from_files_to_the_published_file_and_its_readers(definitions):
    graph = definitions.resolve_asset_graph()

    def ancestors(of: dg.AssetKey) -> set[dg.AssetKey]:
        parents = set(graph.get(of).parent_keys)
        return parents.union(*(ancestors(parent) for parent in parents)) if parents else parents

    published = ancestors(key("serving/meterhouse"))
    assert {key("home/inbox"), key("home/catalog"), key("home/accounts"), key("lake/events")} <= published
    assert {key("invoices"), key("daily_usage"), key("rejected_events")} <= published
    readers = [one for one in graph.get_all_asset_keys() if one.path[0] == "exposures"]
    assert len(readers) >= 2
    assert all(key("serving/meterhouse") in graph.get(reader).parent_keys for reader in readers)


def test_usage_has_days_and_billing_has_months(definitions):
    graph = definitions.resolve_asset_graph()
    for name in ("daily_usage", "cost_per_request", "unbilled_usage"):
        days = graph.get(key(name)).partitions_def
        assert isinstance(days, dg.DailyPartitionsDefinition)
        assert "2026-02-15" in days.get_partition_keys()
    for name in ("monthly_usage", "overages", "invoice_lines", "invoices"):
        months = graph.get(key(name)).partitions_def
        assert isinstance(months, dg.MonthlyPartitionsDefinition)
        assert "2026-02-01" in months.get_partition_keys()
    assert graph.get(key("customers")).partitions_def is None


def test_schedules_ask_for_the_main_job_yesterday_and_the_month_that_ended(definitions, instance):
    def requested(name: str, when: datetime) -> list[tuple[str, str | None]]:
        schedule = definitions.resolve_schedule_def(name)
        context = dg.build_schedule_context(instance, when, repository_def=definitions.get_repository_def())
        requests = schedule.evaluate_tick(context).run_requests
        return [(schedule.job_name, request.partition_key) for request in requests]

    new_year = datetime(2026, 1, 1, 3, tzinfo=UTC)
    assert requested("hourly", new_year) == [("run", None)]
    assert requested("daily", new_year) == [("rebuild_day", "2025-12-31")]
    assert requested("monthly", new_year) == [("rebuild_month", "2025-12-01")]
    for name in ("hourly", "daily", "monthly"):
        assert definitions.resolve_schedule_def(name).default_status == dg.DefaultScheduleStatus.RUNNING


def test_books_are_closed_monthly_after_days_of_grace(definitions, instance):
    schedule = definitions.resolve_schedule_def("close_month")
    assert (schedule.cron_schedule, schedule.job_name) == ("30 12 4 * *", "close")
    assert schedule.default_status == dg.DefaultScheduleStatus.STOPPED
    when = datetime(2026, 1, 4, 12, 30, tzinfo=UTC)
    context = dg.build_schedule_context(instance, when, repository_def=definitions.get_repository_def())
    [request] = schedule.evaluate_tick(context).run_requests
    config = request.run_config["ops"]["close_books"]["config"]
    assert config == {"through": "2025-12-31", "by": "schedule close_month"}
    assert dg.validate_run_config(definitions.resolve_job_def("close"), request.run_config)


def test_closing_is_on_by_itself_only_where_everything_is(settings, monkeypatch):
    monkeypatch.setenv("METERHOUSE_SCHEDULES", "all")
    schedule = build_definitions(settings).resolve_schedule_def("close_month")
    assert schedule.default_status == dg.DefaultScheduleStatus.RUNNING


def test_who_asks_for_everything_neither_closes_nor_sends(definitions):
    """Issued and sent are shown in the lineage, each with what it comes from, and no job of assets has them."""
    graph = definitions.resolve_asset_graph()
    money = [key("ledger/issued_documents"), key("stripe/sent"), key("stripe/reconciled")]
    assert not {*money} & graph.executable_asset_keys
    assert {key("invoices"), key("invoice_lines")} == graph.get(money[0]).parent_keys
    assert graph.get(money[1]).parent_keys == {money[0]}
    for name in ("run", "rebuild_day", "rebuild_month", "__ASSET_JOB"):
        layer = definitions.resolve_job_def(name).asset_layer
        assert not {*money} & set(layer.selected_asset_keys), name
    for name, op in (("close", "close_books"), ("send", "send_outbox")):
        with pytest.raises(dg.DagsterInvalidConfigError, match=op):
            dg.validate_run_config(definitions.resolve_job_def(name), {})


def test_the_sensor_starts_one_run_per_set_of_new_files(definitions, settings, instance):
    sensor = definitions.get_repository_def().get_sensor_def("new_usage_files")
    assert sensor.minimum_interval_seconds <= 60
    assert sensor.default_status == dg.DefaultSensorStatus.RUNNING

    def tick() -> list[str | None]:
        context = dg.build_sensor_context(instance, repository_def=definitions.get_repository_def())
        return [request.run_key for request in sensor.evaluate_tick(context).run_requests or []]

    assert tick() == []
    (settings.home.inbox / "one.jsonl").write_text("{}\n")
    first = tick()
    assert len(first) == 1
    assert tick() == first
    (settings.home.inbox / "two.jsonl").write_text("{}\n{}\n")
    assert len(waiting_files(settings.home)) == 2
    assert tick() != first
    # What a run would leave alone starts none.
    assert waiting_files(settings.home, QuietTime(60, 60)) == []


def test_a_person_can_rebuild_a_month_and_a_day_and_it_is_published(definitions, settings, instance):
    file = settings.home.published_file
    with duckdb.connect(str(file), read_only=True) as published:
        before = published.execute("from invoices order by all").fetchall()
        [build] = published.execute("select build_id from meterhouse_publication").fetchall()
    result = definitions.resolve_job_def("rebuild_month").execute_in_process(
        instance=instance, partition_key="2026-03-01"
    )
    assert result.success
    assert "2026-03-01" in instance.get_materialized_partitions(key("invoices"))
    assert "2026-02-01" not in instance.get_materialized_partitions(key("invoices"))
    # What is computed again may cross a threshold.
    for name in ("rebuild_month", "rebuild_day"):
        assert key("ledger/alerts") in definitions.resolve_job_def(name).asset_layer.executable_asset_keys
    assert instance.get_latest_materialization_event(key("ledger/alerts")).run_id == result.run_id
    # From the page of a single mart only that mart is selected; the rest of the build happens all the same.
    result = dg.materialize(
        [asset for asset in definitions.assets if isinstance(asset, dg.AssetsDefinition)],
        selection=[key("daily_usage")],
        partition_key="2026-03-15",
        instance=instance,
        resources=definitions.resources,
    )
    assert result.success
    assert instance.get_materialized_partitions(key("daily_usage")) == {"2026-03-15"}
    assert instance.get_latest_materialization_event(key("serving/meterhouse"))
    with duckdb.connect(str(file), read_only=True) as published:
        assert published.execute("from invoices order by all").fetchall() == before
        assert published.execute("select build_id from meterhouse_publication").fetchall() != [build]


def test_the_command_line_leaves_its_run_where_the_interface_shows_it(finished_home):
    with dg.DagsterInstance.from_config(str(finished_home / ".dagster")) as instance:
        [run] = instance.get_runs()
        assert run.is_success
        assert run.tags[STARTED_BY] == "command line"
        published = instance.get_latest_materialization_event(key("serving/meterhouse"))
        assert published.run_id == run.run_id
        metadata = published.asset_materialization.metadata
        assert metadata["rows invoices"].value > 0
        assert any(name.startswith("invoices total_minor ") for name in metadata)


def test_a_source_is_stale_once_nothing_came_for_longer_than_the_limit(settings):
    read_at = parse_instant(NOW)
    assert stale_sources(settings.home, None, read_at + STALE_AFTER) == []
    [stale] = stale_sources(settings.home, None, read_at + STALE_AFTER * 1.01)
    assert stale.last_file_at == read_at


@pytest.mark.parametrize(("tags", "heard"), [({}, 1), ({STARTED_BY: "command line"}, 0)])
def test_a_run_that_failed_is_told_to_the_destinations_unless_the_command_line_does(
    definitions, settings, instance, monkeypatch, tags, heard
):
    (settings.home.catalog / "meters.yml").write_text("meters: 7\n")
    result = definitions.resolve_job_def("run").execute_in_process(
        instance=instance, raise_on_error=False, tags=tags
    )
    assert not result.success
    [failed] = [event for event in result.all_events if event.is_failure and event.step_key is None]
    context = dg.build_run_status_sensor_context(
        "failed_runs", failed, instance, instance.get_run_by_id(result.run_id), {}
    )
    sensor = definitions.get_repository_def().get_sensor_def("failed_runs")
    with Receiver() as receiver:
        monkeypatch.setenv("METERHOUSE_ALERT_URL", receiver.url)
        sensor(context.for_run_failure())
    assert len(receiver.requests) == heard
    for request in receiver.requests:
        assert "catalog/meters.yml" in request.json["message"]
        assert f"open run {result.run_id}" in request.json["message"]


def test_a_destination_that_fails_keeps_no_other_from_hearing():
    heard: list[reports.Report] = []

    def deaf(news: reports.Report) -> None:
        raise ConnectionError

    reports.report("source_stale", "what", "where", "remedy", destinations=[deaf, heard.append])
    assert [news.what for news in heard] == ["what"]


def test_a_reason_is_the_innermost_error_of_the_first_step_that_failed():
    def failure(step: str, *messages: str) -> SimpleNamespace:
        error = None
        for message in reversed(messages):
            error = SimpleNamespace(message=message, cause=error)
        return SimpleNamespace(step_key=step, step_failure_data=SimpleNamespace(error=error))

    failures = [
        failure("usage", "Failure: wrapped", "MeterhouseError: truncated\n"),
        failure("prices", "later"),
    ]
    assert reason(failures) == "step usage failed: MeterhouseError: truncated"
    assert reason([failure("usage")]) == "step usage failed: no reason given"
    assert reason([]) is None
