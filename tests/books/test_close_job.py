"""The job ``close`` and the command: when the schedule asks for which month, what both do, refuse and show before."""

import csv
import hashlib
import io
import json
import re
import shutil
import warnings
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo, available_timezones

import dagster as dg
import duckdb
import pytest
from moving_home import home_with_three_months, meterhouse, published_rows, without_checks
from servers import Receiver

from pipelines.home import Home
from pipelines.ledger import open_ledger
from pipelines.ledger.books import all_closings, numbers_of
from pipelines.settings import GRACE_VARIABLE, Settings
from pipelines.warehouse.aside import building_file

with warnings.catch_warnings():
    # A package that dagster-dbt imports announces its own end.
    warnings.simplefilter("ignore")
    from pipelines.orchestration.assembly import build_definitions
    from pipelines.orchestration.assets.books import ISSUED
    from pipelines.orchestration.assets.serving import PUBLISHED
    from pipelines.orchestration.sensors import reason

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
    """Which day the schedule asks to close through, in its own name."""
    repository = definitions.get_repository_def()
    context = dg.build_schedule_context(instance, when, repository_def=repository)
    [request] = definitions.resolve_schedule_def("close_month").evaluate_tick(context).run_requests
    told = request.run_config["ops"]["close_books"]["config"]
    assert told["by"] == "schedule close_month"
    return told["through"]


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

    def __init__(self, settings: Settings, instance: dg.DagsterInstance, through: str, **told: str) -> None:
        job = build_definitions(settings).resolve_job_def("close")
        config = {"ops": {"close_books": {"config": {"through": through, **told}}}}
        self.result = job.execute_in_process(instance=instance, raise_on_error=False, run_config=config)
        self.is_success = self.result.success
        self.reason = reason([event for event in self.result.all_events if event.is_step_failure])
        self.shown = [
            event.materialization
            for event in self.result.all_events
            if event.is_step_materialization and event.asset_key == ISSUED
        ]


def figures(materialization: dg.AssetMaterialization) -> dict:
    return {name: value.value for name, value in materialization.metadata.items()}


def tell_of_failure(
    settings: Settings, instance: dg.DagsterInstance, result: dg.ExecuteInProcessResult
) -> None:
    """What the daemon does once a run has failed."""
    [failed] = [event for event in result.all_events if event.is_failure and event.step_key is None]
    run = instance.get_run_by_id(result.run_id)
    context = dg.build_run_status_sensor_context("failed_runs", failed, instance, run, {})
    sensor = build_definitions(settings).get_repository_def().get_sensor_def("failed_runs")
    sensor(context.for_run_failure())


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
        found = {"home": home, "early": Attempt(settings, instance, "2026-04-04"), "heard": []}
        with Receiver() as receiver:
            patch.setenv("METERHOUSE_ALERT_URL", receiver.url)
            tell_of_failure(settings, instance, found["early"].result)
            found["heard"] = [request.json["message"] for request in receiver.requests]
        patch.delenv("METERHOUSE_ALERT_URL")
        waiting = home.inbox / "late.jsonl"
        waiting.write_text("{}\n")
        found["unread"] = Attempt(settings, instance, "2026-03")
        waiting.unlink()
        found["no date"] = Attempt(settings, instance, "March")
        found["no name"] = Attempt(settings, instance, "2026-03", by="  ")
        found["before"] = documents(home)
        found["first"] = Attempt(settings, instance, "2026-03", by="schedule close_month")
        found["published"] = published_rows(home)
        found["seen"] = instance.get_latest_materialization_event(dg.AssetKey(["serving", "meterhouse"]))
        found["again"] = Attempt(settings, instance, "2026-03-31")
        return found


@pytest.mark.parametrize(
    ("attempt", "says"),
    [
        ("early", "2026-04-04 is not over"),
        ("unread", "late.jsonl"),
        ("no date", "'March' is neither a month nor a day"),
        ("no name", "'  ' is not a name"),
    ],
)
def test_what_cannot_be_closed_is_a_failed_run_with_the_reason(ran, attempt, says):
    assert not ran[attempt].is_success
    assert says in ran[attempt].reason
    assert "->" in ran[attempt].reason
    assert ran["before"] == []


def test_a_refused_closing_is_told(ran):
    [message] = ran["heard"]
    assert "2026-04-04 is not over" in message


def test_without_a_day_nothing_is_closed(built):
    job = build_definitions(Settings(built, CLOCK)).resolve_job_def("close")
    with pytest.raises(dg.DagsterInvalidConfigError, match="through"):
        job.execute_in_process()
    assert documents(built) == []


def test_the_job_issues_and_shows_what_the_command_issues_and_shows(ran, built, tmp_path):
    """Documents and amounts, worked out of the published file, in the history of either."""
    home = copy_of(built, tmp_path)
    with without_checks():
        command = ("close", "2026-03", "--by", "Ada Lovelace", "--as-of", CLOCK.isoformat())
        code, said, complaints = meterhouse(home, *command)
    assert code == 0, complaints
    assert "Warning" not in complaints
    [(invoices, notes)] = documents(home)
    assert len(invoices) > 5
    assert f"by Ada Lovelace: invoices {invoices[0]} to {invoices[-1]}" in said
    published = published_rows(home)
    [by_command], [by_job] = published.pop("closings"), ran["published"]["closings"]
    assert "Ada Lovelace" in by_command
    assert [("schedule close_month" if cell == "Ada Lovelace" else cell) for cell in by_command] == [*by_job]
    assert published == {name: rows for name, rows in ran["published"].items() if name != "closings"}
    with duckdb.connect(str(home.published_file), read_only=True) as published:
        sums = published.execute(
            "select currency, sum(total_minor) from invoices where status = 'issued' group by all"
        ).fetchall()
    [by_job] = ran["first"].shown
    with dg.DagsterInstance.from_config(str(home.root / ".dagster")) as instance:
        by_command = instance.get_latest_materialization_event(ISSUED)
        published_event = instance.get_latest_materialization_event(PUBLISHED)
    for by, materialization in (
        ("schedule close_month", by_job),
        ("Ada Lovelace", by_command.asset_materialization),
    ):
        shown = figures(materialization)
        assert shown.pop("closed_at") == CLOCK.timestamp()
        assert shown == {
            "closing": 1,
            "through": "2026-03-31",
            "invoices": len(invoices),
            "credit_notes": len(notes),
            "closed_by": by,
            "documents": [*invoices, *notes],
            **{f"invoice {currency}": str(Decimal(total).scaleb(-2)) for currency, total in sums},
        }
    rows = published_event.asset_materialization.metadata["rows invoices"].value
    assert rows == len(ran["published"]["invoices"])
    assert by_command.run_id == ""


def test_the_interface_shows_that_it_was_published(ran):
    rows = ran["seen"].asset_materialization.metadata["rows invoices"].value
    assert rows == len(ran["published"]["invoices"])


def test_running_it_again_changes_nothing(ran):
    assert ran["again"].is_success
    assert ran["again"].shown == []
    assert len(documents(ran["home"])) == 1
    assert published_rows(ran["home"]) == ran["published"]


# What was seen before is what is issued


@dataclass
class Seen:
    """A home closed as a dry run showed it, with what each command said: exit code, output, complaints."""

    home: Home
    said: dict[str, tuple[int, str, str]]
    counts: dict[str, int]
    list_file: Path

    @property
    def hash(self) -> str:
        return json.loads(self.said["json"][1])["hash"]


@pytest.fixture(scope="module")
def seen(built: Home, tmp_path_factory: pytest.TempPathFactory) -> Seen:
    home = copy_of(built, tmp_path_factory.mktemp("seen"))
    file = home.root.parent / "list.csv"
    found = Seen(home, {}, {}, file)

    def say(name: str, *arguments: str, at: datetime = CLOCK) -> None:
        found.said[name] = meterhouse(home, *arguments, "--as-of", at.isoformat())
        found.counts[name] = len(documents(home))

    close = ("close", "2026-03")
    with pytest.MonkeyPatch.context() as patch, without_checks():
        for name in ("METERHOUSE_LEDGER_URL", "METERHOUSE_ALERT_URL", "STRIPE_API_KEY", "STRIPE_SECRET_KEY"):
            patch.delenv(name, raising=False)
        say("nothing issued", "reconcile", "--offline")
        say("json", *close, "--dry-run", "--format", "json")
        say("file", *close, "--dry-run", "--output", str(file), at=CLOCK + timedelta(days=1))
        say("other", *close, "--expect", "0" * 64)
        say("unexpected", *close, "--dry-run", "--expect", "0" * 64)
        with dg.DagsterInstance.ephemeral() as instance:
            job = Attempt(
                Settings(home, CLOCK), instance, "2026-03", expect="0" * 64, corrections_from="2.50"
            )
            found.said["job"] = (int(not job.is_success), "", job.reason or "")
        say("expected", *close, "--expect", found.hash, "--corrections-from", "0.50")
        say("again", *close, "--expect", found.hash)
        for output_format in ("table", "json", "csv"):
            say(f"tied {output_format}", "reconcile", "--offline", "--format", output_format)
        with duckdb.connect(str(home.published_file)) as published:
            published.execute(
                "update tie_out set item_remainder_minor = -7, unexplained_minor = 7"
                " where invoice_number = 'INV-000002'"
            )
        say("untied", "reconcile", "--offline")
        with duckdb.connect(str(home.published_file)) as published:
            published.execute("delete from closings")
        say("behind", "reconcile", "--offline")
    return found


def test_a_dry_run_lists_what_is_then_issued(seen):
    code, said, complaints = seen.said["json"]
    assert code == 0, complaints
    listed = json.loads(said)
    [(invoices, notes)] = documents(seen.home)
    assert [one["number"] for one in listed["documents"]] == [*invoices, *notes]
    hashes = [one["content_hash"] for one in listed["documents"]]
    with duckdb.connect(str(seen.home.published_file), read_only=True) as published:
        issued = published.execute(
            "select content_hash from invoices where invoice_number is not null order by invoice_number"
        )
        assert [content_hash for (content_hash,) in issued.fetchall()] == hashes
    assert seen.hash == hashlib.sha256("".join(f"{one}\n" for one in hashes).encode()).hexdigest()
    assert {one["currency"] for one in listed["documents"]} == {"EUR", "USD"}


def test_a_list_in_a_file_is_the_same_a_day_later(seen):
    code, said, complaints = seen.said["file"]
    assert code == 0, complaints
    rows = list(csv.DictReader(seen.list_file.open(encoding="utf-8")))
    assert [row["content_hash"] for row in rows] == [
        one["content_hash"] for one in json.loads(seen.said["json"][1])["documents"]
    ]
    assert said.rstrip().endswith(seen.hash)
    assert "would be issued" in said


@pytest.mark.parametrize("attempt", ["other", "unexpected", "job"])
def test_what_nobody_saw_is_not_issued(seen, attempt):
    code, _, complaints = seen.said[attempt]
    assert code == 1
    assert f"--expect {'0' * 64}: what would be issued is something else: EUR: " in complaints
    assert f"its hash is {seen.hash}" in complaints
    assert "nothing was issued" in complaints
    assert {seen.counts[name] for name in ("json", "file", "other", "unexpected")} == {0}


def test_what_was_seen_is_issued_once(seen):
    code, said, complaints = seen.said["expected"]
    assert code == 0, complaints
    assert "Closing 1 through 2026-03-31 by " in said
    code, said, complaints = seen.said["again"]
    assert code == 0, complaints
    assert "Nothing to issue" in said
    assert seen.counts["again"] == 1


def test_the_closing_keeps_what_corrections_had_to_come_to(seen):
    with open_ledger(seen.home, "") as ledger:
        [closing] = all_closings(ledger)
    assert closing.corrections_from == Decimal("0.5")


def test_the_tie_out_needs_no_stripe(seen):
    assert seen.said["nothing issued"][0] == 0
    assert "Nothing is issued yet" in seen.said["nothing issued"][1]
    said = {name: seen.said[f"tied {name}"] for name in ("table", "json", "csv")}
    assert {code for code, _, _ in said.values()} == {0}
    told = json.loads(said["json"][1])
    rows = list(csv.DictReader(io.StringIO(said["csv"][1])))
    [(invoices, _)] = documents(seen.home)
    assert sorted(row["invoice_number"] for row in rows) == invoices
    assert [row["invoice_number"] for row in told["invoices"]] == [row["invoice_number"] for row in rows]
    for total in told["totals"]:
        of_currency = [int(row["total_minor"]) for row in rows if row["currency"] == total["currency"]]
        assert sum(of_currency) == total["total_minor"] == total["unsent_minor"]
    assert all(number in said["table"][1] for number in invoices)
    assert f"{len(invoices)} issued invoices, all explained from usage to payment" in said["table"][1]


def test_a_remainder_ends_the_tie_out_with_exit_code_1(seen):
    code, said, complaints = seen.said["untied"]
    assert code == 1
    assert re.search(r"INV-000002: -0\.07 \w+ between lines and items", said)
    assert "1 of " in complaints
    assert "->" in complaints


def test_a_closing_that_is_not_published_is_not_tied_out(seen):
    code, said, complaints = seen.said["behind"]
    assert (code, said) == (1, "")
    assert "closing 1 is issued, but not published" in complaints
    assert "`meterhouse run`" in complaints


@pytest.mark.parametrize(
    "arguments",
    [
        ("close", "2026-03", "--dry-run", "--format", "xml"),
        ("close", "2026-03", "--dry-run", "--output", "list.txt"),
        ("close", "2026-03", "--dry-run", "--output", "nowhere/list.csv"),
        ("close", "2026-03", "--dry-run", "--format", "table", "--output", "list.csv"),
        ("close", "2026-03", "--format", "json"),
        ("close", "2026-03", "--output", "list.csv"),
        ("close", "2026-03", "--by", " "),
        ("close", "2026-03", "--expect", "abc"),
        ("close", "2026-03", "--expect", "G" * 64),
        ("close", "2026-03", "--corrections-from=-1"),
        ("close", "2026-03", "--corrections-from", "1,50"),
        ("close", "2026-03", "--corrections-from", "1e3"),
        ("close", "2026-03", "--corrections-from", "0.0000000000001"),
        ("reconcile", "--format", "json"),
        ("reconcile", "--offline", "--format", "xml"),
        ("reconcile", "--offline", "--since", "2026-01-01"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_anything_is_computed(built, arguments):
    code, said, complaints = meterhouse(built, *arguments)
    assert (code, said) == (2, "")
    assert "->" in complaints
    assert not building_file(built).exists()
