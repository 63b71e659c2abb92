"""CSV for spreadsheets: no cell becomes a formula there, and no number is touched."""

import csv
import io
from datetime import date
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from pipelines.tables import select_without_formulas, without_formula, write_csv_rows

FORMULAS = [
    "=1+1",
    "+1",
    "-1+1",
    "-a",
    "@x",
    "\tx",
    "\rx",
    "=",
    "-",
    "--1",
    "-1e5",
    "-.5",
    "-1.",
    "-1\n",
    "+1.5",
]
PLAIN = [
    "",
    "a",
    "1-1",
    "a=b",
    "-5",
    "-0.25",
    "-0",
    "0.5",
    " =1",
    "'=1",
    "x\t=1",
    "-12345678901234567890.000001",
]


@pytest.mark.parametrize("text", FORMULAS)
def test_what_would_be_a_formula_gets_an_apostrophe(text):
    assert without_formula(text) == "'" + text


@pytest.mark.parametrize("value", [*PLAIN, None, Decimal("-0.5"), -5, date(2026, 1, 1), True])
def test_the_rest_stays(value):
    assert without_formula(value) is value


def test_python_and_sql_say_the_same_in_cells_and_names_of_columns(tmp_path):
    texts = [*FORMULAS, *PLAIN, None]
    output = io.StringIO()
    write_csv_rows(output, ["=name", "number"], ([text, Decimal("-0.5")] for text in texts))
    with duckdb.connect() as connection:
        connection.execute('create table t (place integer, "=name" varchar, number decimal(3, 1))')
        connection.executemany("insert into t values (?, ?, -0.5)", list(enumerate(texts)))
        rows = connection.sql("select * exclude (place) from t order by place")
        rows.select(select_without_formulas(rows)).write_csv(str(tmp_path / "t.csv"), header=True)
    written = list(csv.reader(io.StringIO(output.getvalue(), newline="")))
    with (tmp_path / "t.csv").open(newline="") as file:
        assert list(csv.reader(file)) == written
    assert written[0] == ["'=name", "number"]
    assert {row[1] for row in written[1:]} == {"-0.5"}


def test_no_csv_is_written_elsewhere():
    """But FOCUS, whose texts are as they are; usage files that are simulated; `export`, by ``--raw``."""
    root = Path(__file__).parents[2] / "pipelines"
    writing = {
        path.relative_to(root).as_posix()
        for path in root.rglob("*.py")
        if any(
            word in path.read_text()
            for word in ("csv.writer", "DictWriter", "write_csv(", "to_csv(", "format csv,")
        )
    }
    assert writing == {
        "tables.py",
        "documents/focus.py",
        "simulate/file_formats.py",
        "serving/export.py",
        "cli/show/trace.py",
    } | {
        path
        for path in writing
        if path.startswith("cli/show/") and "write_csv_rows(" in (root / path).read_text()
    }
