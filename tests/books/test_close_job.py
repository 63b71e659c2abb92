"""The job ``close``: when the schedule asks for which month, and that the job does and refuses what the command does."""

import shutil
import warnings
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo, available_timezones

import dagster as dg
import pytest
from moving_home import home_with_three_months, meterhouse, published_rows, without_checks

from pipelines.home import Home
from pipelines.ledger import open_ledger
from pipelines.ledger.books import all_closings, numbers_of
from pipelines.settings import GRACE_VARIABLE, Settings

with warnings.catch_warnings():
    # A package that dagster-dbt imports announces its own end.
    warnings.simplefilter("ignore")
    from pipelines.definitions import build_definitions
    from pipelines.jobs import reason

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.slow]

CLOCK = datetime(2026, 4, 4, 12, 30, tzinfo=UTC)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return home_with_three_months(tmp_path_factory.mktemp("built") / "home", CLOCK)


def copy_of(home: Home, folder: Path) -> Home:
    return Home(shutil.copytree(home.root, folder / "home"))


def documents(home: Home) -> list[tuple[list[str], list[str]]]:
    with open_ledger(home, "") as ledger:
        return [numbers_of(ledger, closing.closing_number) for closing in all_closings(ledger)]


# When


def tick(definitions: dg.Definitions, instance: dg.DagsterInstance, when: datetime) -> str:
    """Which day the schedule asks to close through."""
    repository = definitions.get_repository_def()
    context = dg.build_schedule_context(instance, when, repository_def=repository)
    [request] = definitions.resolve_schedule_def("close_month").evaluate_tick(context).run_requests
    return request.run_config["ops"]["ledger__issued_documents"]["config"]["through"]


@pytest.mark.parametrize("grace", [0, 3, 27])
def test_the_schedule_closes_the_month_before_once_it_is_over_everywhere(built, monkeypatch, grace):
    """A customer anywhere whose month is not over would have the whole closing refused, and nobody tries again."""
    monkeypatch.setenv(GRACE_VARIABLE, str(grace))
    definitions = build_definitions(Settings(built, CLOCK))
    schedule = definitions.resolve_schedule_def("close_month")
    minute, hour, day, *months = schedule.cron_schedule.split()
    assert (int(day), months) == (grace + 1, ["*", "*"])
    assert schedule.execution_timezone in {None, "UTC"}
    ends = {1: "2023-12-31", 2: "2024-01-31", 3: "2024-02-29", 4: "2024-03-31", 5: "2024-04-30", 6: "2024-05-31",
            7: "2024-06-30", 8: "2024-07-31", 9: "2024-08-31", 10: "2024-09-30", 11: "2024-10-31",
            12: "2024-11-30"}  # fmt: skip
    zones = [ZoneInfo(zone) for zone in available_timezones() - {"localtime", "Factory"}]
    with dg.DagsterInstance.ephemeral() as instance:
        for month, end in ends.items():
            when = datetime(2024, month, grace + 1, int(hour), int(minute), tzinfo=UTC)
            assert tick(definitions, instance, when) == end
            assert all(when.astimezone(zone).date().isoformat() > end for zone in zones)


def test_a_tick_that_comes_late_closes_the_month_that_it_was_for(built):
    """The machine slept from the 4th on; Dagster says when the tick should have been."""
    definitions = build_definitions(Settings(built, datetime(2026, 5, 2, tzinfo=UTC)))
    with dg.DagsterInstance.ephemeral() as instance:
        assert tick(definitions, instance, datetime(2026, 4, 4, 12, 30, tzinfo=UTC)) == "2026-03-31"


# What it does


class Attempt:
    """One run of the job."""

    def __init__(self, settings: Settings, instance: dg.DagsterInstance, through: str | None = None) -> None:
        job = build_definitions(settings).resolve_job_def("close")
        config = {"ops": {"ledger__issued_documents": {"config": {"through": through}}}} if through else None
        result = job.execute_in_process(instance=instance, raise_on_error=False, run_config=config)
        self.is_success = result.success
        self.reason = reason([event for event in result.all_events if event.is_step_failure])
        issued = result.asset_materializations_for_node("ledger__issued_documents") if result.success else []
        self.metadata = {
            name: value.value
            for event in issued
            if event.asset_key == dg.AssetKey(["ledger", "issued_documents"])
            for name, value in event.metadata.items()
        }


@pytest.fixture(scope="module")
def ran(built: Home, tmp_path_factory: pytest.TempPathFactory) -> dict:
    """A home that the job closes; before that it refuses, and afterwards it has nothing to do."""
    home = copy_of(built, tmp_path_factory.mktemp("job"))
    settings = Settings(home, CLOCK)
    with (
        pytest.MonkeyPatch.context() as patch,
        without_checks(),
        dg.DagsterInstance.ephemeral() as instance,
    ):
        for name in ("METERHOUSE_LEDGER_URL", "METERHOUSE_ALERT_URL", GRACE_VARIABLE):
            patch.delenv(name, raising=False)
        found = {"home": home, "early": Attempt(settings, instance, "2026-04-04")}
        waiting = home.inbox / "late.jsonl"
        waiting.write_text("{}\n")
        found["unread"] = Attempt(settings, instance)
        waiting.unlink()
        found["no date"] = Attempt(settings, instance, "March")
        found["before"] = documents(home)
        found["first"] = Attempt(settings, instance)
        found["published"] = published_rows(home)
        found["seen"] = instance.get_latest_materialization_event(dg.AssetKey(["serving", "meterhouse"]))
        found["again"] = Attempt(settings, instance)
        return found


@pytest.mark.parametrize(
    ("attempt", "says"),
    [
        ("early", "2026-04-04 is not over"),
        ("unread", "late.jsonl"),
        ("no date", "'March' is not a date"),
    ],
)
def test_what_cannot_be_closed_is_a_failed_run_with_the_reason(ran, attempt, says):
    assert not ran[attempt].is_success
    assert says in ran[attempt].reason
    assert "->" in ran[attempt].reason
    assert ran["before"] == []


def test_the_job_issues_what_the_command_issues(ran, built, tmp_path):
    home = copy_of(built, tmp_path)
    with without_checks():
        code, said, complaints = meterhouse(home, "close", "2026-03", "--as-of", CLOCK.isoformat())
    assert code == 0, complaints
    [(invoices, notes)] = documents(home)
    assert len(invoices) > 5
    assert f"invoices {invoices[0]} to {invoices[-1]}" in said
    assert published_rows(home) == ran["published"]
    first = ran["first"]
    assert first.is_success
    assert first.metadata["through"] == "2026-03-31"
    assert first.metadata["closing"] == 1
    assert (first.metadata["invoices"], first.metadata["credit_notes"]) == (len(invoices), len(notes))
    assert any(name.startswith("total ") for name in first.metadata)


def test_the_interface_shows_that_it_was_published(ran):
    rows = ran["seen"].asset_materialization.metadata["rows invoices"].value
    assert rows == len(ran["published"]["invoices"])


def test_running_it_again_changes_nothing(ran):
    assert ran["again"].is_success
    assert ran["again"].metadata["closing"] == "nothing to issue"
    assert len(documents(ran["home"])) == 1
    assert published_rows(ran["home"]) == ran["published"]
