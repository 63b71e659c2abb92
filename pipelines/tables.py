"""CSV for people and spreadsheets: text that would become a formula there is kept from it (D-run-formulas).

Which rows there are, and how their values become text, does not belong here.
"""

import csv
import re
from collections.abc import Iterable, Sequence
from typing import TextIO

import duckdb

_FORMULA = "^[=+@\t\r-]"
_NUMBER = r"-?[0-9]+([.][0-9]+)?"


def without_formula(cell: object) -> object:
    """A cell as CSV should hold it: in front of what would be a formula stands an apostrophe.

    What is no text stays as it is, and so does a plain number such as -0.25.
    """
    if isinstance(cell, str) and re.match(_FORMULA, cell) and not re.fullmatch(_NUMBER, cell):
        return f"'{cell}"
    return cell


def write_csv_rows(output: TextIO, header: Sequence[str], rows: Iterable[Iterable[object]]) -> None:
    """Write a header and its rows, without formulas. None is an empty cell."""
    # The writer quotes a carriage return inside a cell only where one is part of its line ends.
    writer = csv.writer(_UnixLines(output), lineterminator="\r\n")
    writer.writerow(map(without_formula, header))
    writer.writerows(map(without_formula, row) for row in rows)


class _UnixLines:
    """Rows that end with CR and LF, written with LF alone."""

    def __init__(self, output: TextIO) -> None:
        self._output = output

    def write(self, row: str) -> int:
        return self._output.write(row.removesuffix("\r\n") + "\n")


def select_without_formulas(rows: duckdb.DuckDBPyRelation) -> str:
    """The columns of a relation, for a ``select``, in the same way: texts and names of columns."""
    return ", ".join(
        f"{_column(name, kind)} as {_quoted(str(without_formula(name)))}"
        for name, kind in zip(rows.columns, rows.types, strict=True)
    )


def _column(name: str, kind: object) -> str:
    column = _quoted(name)
    if str(kind) != "VARCHAR":
        return column
    return (
        f"case when regexp_matches({column}, '{_FORMULA}') and not regexp_full_match({column}, '{_NUMBER}')"
        f" then '''' || {column} else {column} end"
    )


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
