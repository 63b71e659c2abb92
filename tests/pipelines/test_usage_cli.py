"""`meterhouse usage` and `meterhouse export` on a published home: figures are the marts' own, files are whole."""

import csv
import io
import json
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest
from conftest import NOW

from pipelines.cli.show.usage import CSV_COLUMNS, _write_table, describe_export, show_usage, write_export
from pipelines.errors import ConfigurationError, MeterhouseError
from pipelines.home import Home
from pipelines.serving.export import Export
from pipelines.serving.usage import Usage, read_usage
from pipelines.settings import Settings
from pipelines.times import parse_instant

pytestmark = pytest.mark.slow

SECTIONS = [
    "customer",
    "current",
    "projection",
    "invoices",
    "quota",
    "budgets",
    "other_plans",
    "history",
    "alerts",
]
DAY_COLUMNS = ["usage_date", "customer_id", "meter_id", "quantity", "event_count", "cost_usd"]


@pytest.fixture(scope="module")
def settings(_finished_home: Path) -> Settings:
    """A home that these tests only read."""
    return Settings(Home(_finished_home), parse_instant(NOW))


@pytest.fixture(scope="module")
def marts(settings: Settings) -> duckdb.DuckDBPyConnection:
    with duckdb.connect(str(settings.home.published_file), read_only=True) as connection:
        yield connection


@pytest.fixture(scope="module")
def customer(marts: duckdb.DuckDBPyConnection) -> str:
    """The customer with most cycles, so that there is a history."""
    [(found, cycles)] = marts.execute(
        "select customer_id, count(distinct period_start) from monthly_usage group by all order by 2 desc, 1 limit 1"
    ).fetchall()
    assert cycles >= 2
    return found


def shown(settings: Settings, customer: str, *arguments: Any) -> str:
    output = io.StringIO()
    show_usage(settings, customer, output, *arguments)
    return output.getvalue()


def rows_of(marts: duckdb.DuckDBPyConnection, query: str) -> list[tuple[Any, ...]]:
    return marts.execute(query).fetchall()


def test_json_has_every_section_and_the_figures_of_the_marts(settings, marts, customer):
    told = json.loads(shown(settings, customer, "json"), parse_float=pytest.fail)
    assert list(told) == SECTIONS
    assert told["customer"]["as_of"] == "2026-04-01T00:00:00+00:00"
    current = {(row["meter_id"], Decimal(row["quantity"]), row["period_end"]) for row in told["current"]}
    assert current == {
        (meter, quantity, end.isoformat())
        for meter, quantity, end in rows_of(
            marts,
            "select meter_id, quantity, period_end from monthly_usage"
            f" where customer_id = '{customer}' and period_end > date '2026-04-01'",
        )
    }
    assert {row["meter_id"]: Decimal(row["projected_quantity"]) for row in told["projection"]} == dict(
        rows_of(
            marts,
            f"select meter_id, projected_quantity from usage_projections where customer_id = '{customer}'",
        )
    )
    billed = sum(
        Decimal(row["overage_amount"]) for row in told["history"] if row["overage_amount"] is not None
    )
    [(expected,)] = rows_of(
        marts,
        f"select sum(amount) from overages where customer_id = '{customer}' and period_end <= date '2026-04-01'",
    )
    assert billed == expected > 0


def test_the_history_holds_as_many_cycles_as_asked_for_and_none_that_is_open(settings, marts, customer):
    for periods in (0, 1, 12):
        told = json.loads(shown(settings, customer, "json", periods))
        closed = rows_of(
            marts,
            f"select distinct period_start from monthly_usage where customer_id = '{customer}'"
            f" and period_end <= date '2026-04-01' order by all desc limit {periods}",
        )
        found = {row["period_start"] for row in told["history"]}
        assert found == {start.isoformat() for (start,) in closed}
        earliest = min(row["period_start"] for row in told["history"] + told["current"])
        assert all(alert["triggered_on"] >= earliest for alert in told["alerts"])


def test_csv_is_one_table_of_usage_and_alerts(settings, customer):
    told = json.loads(shown(settings, customer, "json"))
    rows = list(csv.DictReader(io.StringIO(shown(settings, customer, "csv"))))
    assert list(rows[0]) == list(CSV_COLUMNS)
    counts = {
        section: sum(row["section"] == section for row in rows) for section in ("current", "history", "alert")
    }
    assert counts == {
        name: len(told[key]) for name, key in zip(counts, ("current", "history", "alerts"), strict=True)
    }
    assert {row["customer_id"] for row in rows} == {customer}
    first = rows[0]
    assert (first["meter_id"], first["quantity"]) == (
        told["current"][0]["meter_id"],
        told["current"][0]["quantity"],
    )
    assert first["projected_quantity"] == told["projection"][0]["projected_quantity"]


def test_the_table_shows_it_to_a_person(settings, customer, marts, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    text = shown(settings, customer)
    for words in (
        "as of 2026-04-01 00:00 UTC",
        "Now: plan usage",
        "By its end",
        "Invoice from",
        "Cycles that are over",
    ):
        assert words in text, words
    for (meter,) in rows_of(marts, "select name from meters"):
        assert meter in text
    [(total,)] = rows_of(
        marts, f"select max(projected_total_minor) from projected_invoices where customer_id = '{customer}'"
    )
    assert f"{Decimal(total).scaleb(-2):,f} EUR by the end of the cycle" in text


@pytest.mark.parametrize(
    ("currency", "minor", "words"),
    [("KWD", 867, "0.867 KWD"), ("JPY", 1508, "1,508 JPY"), ("EUR", None, "unknown")],
)
def test_what_is_to_come_has_the_digits_of_its_currency(
    settings, customer, monkeypatch, currency, minor, words
):
    monkeypatch.setenv("COLUMNS", "200")
    usage = read_usage(settings.home, customer)
    changed = {"currency": currency, "projected_minor": minor}
    sections = dict(usage.sections)
    for name in ("current", "projection"):
        sections[name] = [{**row, **changed} for row in sections[name]]
    output = io.StringIO()
    _write_table(Usage(sections), output)
    assert words in output.getvalue()


@pytest.mark.parametrize(
    ("asked", "says"), [("{}x", "did you mean {}"), ("no one at all", "write .* or ")], ids=["near", "far"]
)
def test_an_unknown_customer_is_told_who_there_is(settings, customer, asked, says):
    with pytest.raises(ConfigurationError, match=says.format(customer)):
        shown(settings, asked.format(customer))


def test_without_a_published_file_it_says_what_to_do(tmp_path):
    with pytest.raises(MeterhouseError, match="meterhouse run") as caught:
        shown(Settings(Home(tmp_path)), "anybody")
    assert caught.value.exit_code == 1


def test_another_format_is_a_wrong_argument(settings, customer):
    with pytest.raises(ConfigurationError, match="--format"):
        shown(settings, customer, "xml")


# Export


def exported(settings: Settings, file: Path, **changed: Any) -> list[tuple[Any, ...]]:
    """The rows of a file that was written with this; days of March unless changed."""
    march = {"table": "daily_usage", "first_day": date(2026, 3, 1), "last_day": date(2026, 3, 31)}
    write_export(settings, Export(**{**march, "file": file, **changed}), io.StringIO())
    with duckdb.connect() as connection:
        return connection.execute(f"from '{file}'").fetchall()


def test_parquet_holds_the_rows_and_the_exact_types_of_the_mart(settings, marts, customer, tmp_path):
    file = tmp_path / "new" / "march.parquet"
    rows = exported(settings, file, format="parquet", customer_id=customer)
    expected = marts.sql(
        f"from daily_usage where customer_id = '{customer}' and usage_date between '2026-03-01' and '2026-03-31'"
    )
    assert sorted(rows, key=repr) == sorted(expected.fetchall(), key=repr)
    assert rows == sorted(rows, key=lambda row: row[:3])
    with duckdb.connect() as connection:
        written = connection.sql(f"from '{file}'")
        assert (written.columns, written.types) == (expected.columns, expected.types)


def test_csv_holds_every_digit(settings, marts, tmp_path):
    exported(settings, tmp_path / "march.csv")
    with (tmp_path / "march.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == DAY_COLUMNS
    [(count, total)] = rows_of(
        marts,
        "select count(*), sum(quantity) from daily_usage where usage_date between '2026-03-01' and '2026-03-31'",
    )
    assert (len(rows), sum(Decimal(row["quantity"]) for row in rows)) == (count, total)


def test_both_days_are_included_and_their_neighbours_are_not(settings, marts, tmp_path):
    [(first,)] = rows_of(marts, "select min(usage_date) from daily_usage")
    last = first + timedelta(days=2)
    days = {row[0] for row in exported(settings, tmp_path / "a.csv", first_day=first, last_day=last)}
    assert days == {first, first + timedelta(days=1), last}


def test_cycles_count_by_their_last_day(settings, marts, tmp_path):
    [(end,)] = rows_of(marts, "select min(period_end) from monthly_usage")
    last = end - timedelta(days=1)
    cycles = {"table": "monthly_usage", "first_day": last, "last_day": last}
    expected = rows_of(marts, f"select count(*) from monthly_usage where period_end = date '{end}'")
    assert [(len(exported(settings, tmp_path / "a.csv", **cycles)),)] == expected
    nothing = {"table": "monthly_usage", "first_day": end, "last_day": end}
    assert rows_of(marts, f"select count(*) from monthly_usage where period_end = date '{end}' + 1") == [(0,)]
    assert exported(settings, tmp_path / "b.csv", **nothing) == []


def test_a_file_that_is_there_stays_unless_forced(settings, tmp_path):
    file = tmp_path / "march.csv"
    file.write_text("mine")
    with pytest.raises(ConfigurationError, match="--force"):
        exported(settings, file)
    assert file.read_text() == "mine"
    exported(settings, file, may_overwrite=True)
    assert file.read_text().startswith("usage_date,")
    assert [found.name for found in tmp_path.iterdir()] == ["march.csv"]


def test_a_file_that_came_meanwhile_stays_too(settings, tmp_path, monkeypatch):
    file = tmp_path / "march.csv"
    monkeypatch.setattr("pipelines.serving.export.sync", lambda _: file.write_text("mine"))
    with pytest.raises(ConfigurationError, match="--force"):
        exported(settings, file)
    assert file.read_text() == "mine"
    assert [found.name for found in tmp_path.iterdir()] == ["march.csv"]


def test_what_cannot_be_written_leaves_nothing(settings, tmp_path, monkeypatch):
    def fail(_: Path) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("pipelines.serving.export.sync", fail)
    with pytest.raises(MeterhouseError, match="disk full"):
        exported(settings, tmp_path / "march.csv")
    assert list(tmp_path.iterdir()) == []


def test_standard_output_takes_csv_alone(settings, customer):
    output = io.StringIO()
    wanted = describe_export(customer, "daily_usage", ("2026-03", None, None), Path("-"))
    told = write_export(settings, wanted, output)
    rows = list(csv.reader(io.StringIO(output.getvalue())))
    assert rows[0] == DAY_COLUMNS
    assert told == f"Wrote {len(rows) - 1:,} rows of daily_usage."


@pytest.mark.parametrize("to_file", [True, False])
def test_an_export_has_no_formulas_but_with_raw(finished_home, cli, tmp_path, to_file):
    with duckdb.connect(str(Home(finished_home).published_file)) as connection:
        connection.execute("update daily_usage set customer_id = '=1+1', meter_id = '-5'")
    for more, expected in (([], "'=1+1"), (["--raw"], "=1+1")):
        file = tmp_path / f"march{len(more)}.csv"
        target = ["--output", file] if to_file else []
        done = cli("export", "--month", "2026-03", *more, *target, "--home", finished_home, "--as-of", NOW)
        assert done.returncode == 0, done.stderr
        rows = list(csv.DictReader(io.StringIO(file.read_text() if to_file else done.stdout)))
        assert {(row["customer_id"], row["meter_id"]) for row in rows} == {(expected, "-5")}


def test_an_empty_export_says_which_days_there_are(settings, marts, customer, tmp_path):
    wanted = describe_export(customer, "daily_usage", ("2031-03", None, None), tmp_path / "a.csv")
    told = write_export(settings, wanted, io.StringIO())
    [(first, last)] = rows_of(
        marts, f"select min(usage_date), max(usage_date) from daily_usage where customer_id = '{customer}'"
    )
    assert told.endswith(
        f"Wrote 0 rows of daily_usage into {tmp_path}/a.csv. There are some from {first} to {last}."
    )


def test_only_tables_of_customers_days_or_cycles_can_be_asked_for(settings, tmp_path):
    for table in ("plans", "customers", 'x"; drop table y'):
        with pytest.raises(ConfigurationError, match=r"--table.*\n.*cost_per_request, .*monthly_usage"):
            exported(settings, tmp_path / "a.csv", table=table)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("period", "days"),
    [
        (("2024-02", None, None), ("2024-02-01", "2024-02-29")),
        (("2026-12", None, None), ("2026-12-01", "2026-12-31")),
        ((None, "2026-03-05", "2026-03-05"), ("2026-03-05", "2026-03-05")),
    ],
)
def test_a_period_is_a_month_or_its_days(period, days):
    export = describe_export(None, "daily_usage", period, Path("-"))
    assert (export.first_day.isoformat(), export.last_day.isoformat()) == days


@pytest.mark.parametrize(
    ("period", "says"),
    [
        ((None, None, None), "one period"),
        (("2026-03", "2026-03-01", "2026-03-31"), "one period"),
        ((None, "2026-03-01", None), "one period"),
        (("2026-03", None, "2026-03-31"), "one period"),
        (("2026-13", None, None), "--month: '2026-13'"),
        ((None, "2026-03-32", "2026-04-01"), "--from"),
        ((None, "2026-03-05", "2026-03-04"), "--to: 2026-03-04 is before 2026-03-05"),
    ],
)
def test_a_period_that_is_none_is_a_wrong_argument(period, says):
    with pytest.raises(ConfigurationError, match=says):
        describe_export(None, "daily_usage", period, Path("-"))


@pytest.mark.parametrize(
    ("file", "asked", "expected"),
    [
        ("a.csv", None, "csv"),
        ("a.PARQUET", None, "parquet"),
        ("a", None, "csv"),
        ("a.csv", "parquet", "parquet"),
    ],
)
def test_the_format_follows_the_file_unless_it_is_said(file, asked, expected):
    assert describe_export(None, "t", ("2026-03", None, None), Path(file), asked).format == expected


@pytest.mark.parametrize(("file", "asked"), [("-", "parquet"), ("a.csv", "xlsx")])
def test_a_format_that_cannot_be_written_is_a_wrong_argument(file, asked):
    with pytest.raises(ConfigurationError):
        describe_export(None, "t", ("2026-03", None, None), Path(file), asked)
