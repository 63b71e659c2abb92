"""What ``meterhouse rebuild`` writes: equal hashes or the first difference, or a cycle as it was known once.

Options and their help belong to ``pipelines.cli``; computing to ``proof``.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any, Final, TextIO

from rich import box
from rich.console import Console
from rich.table import Table

from pipelines.books.proof import Rebuilt
from pipelines.cli.show.output import exact_cell, exact_text, need_format, write_json
from pipelines.figures import minor_as_text, plain_text
from pipelines.tables import write_csv_rows

_DETAILED = 3
"""So many documents are shown one by one; of more, those that differ and how many there are."""
_HASH_COLUMN = 24
_WIDTH = 140
"""Of a table that does not go to a terminal."""


def write_rebuilt(rebuilt: Sequence[Rebuilt], output: TextIO, output_format: str) -> bool:
    """Write what was found; whether everything is as it was issued.

    :param output_format: table: in words, of many documents those that differ; json or csv: each document.
    :raises ConfigurationError: another format.
    """
    need_format(output_format)
    if output_format == "table":
        _print_rebuilt(rebuilt, output)
    else:
        _WRITERS[output_format]([_as_row(found) for found in rebuilt], output)
    return not any(found.difference for found in rebuilt)


def _as_row(found: Rebuilt) -> dict[str, Any]:
    difference = found.difference
    return {
        "kind": found.document.kind,
        "number": found.document.number,
        "id": found.document.document_id,
        "customer_id": found.document.customer_id,
        "closing_number": found.document.closing_number,
        "is_equal": difference is None,
        "issued_hash": found.document.content_hash,
        "computed_hash": found.computed_hash,
        "line_number": difference.line_number if difference else None,
        "field": difference.field if difference else None,
        "issued": difference.issued if difference else None,
        "computed": difference.computed if difference else None,
        "issued_by": found.issued_by,
    }


def _print_rebuilt(rebuilt: Sequence[Rebuilt], output: TextIO) -> None:
    console = Console(file=output, highlight=False, markup=False, soft_wrap=True)
    different = [found for found in rebuilt if found.difference]
    for found in rebuilt if len(rebuilt) <= _DETAILED else different:
        _print_one(console, found)
    if len(rebuilt) > _DETAILED:
        closings = len({found.document.closing_number for found in rebuilt})
        of_closings = "1 closing" if closings == 1 else f"{closings:,} closings"
        console.print(
            f"{len(rebuilt):,} documents of {of_closings} computed again from the lake:"
            f" {len(rebuilt) - len(different):,} equal, {len(different):,} different."
        )
    if versions := sorted({found.issued_by for found in rebuilt if found.issued_by}):
        console.print(
            f"Note: issued by other versions of the models ({', '.join(versions)}), computed by today's."
        )


def _print_one(console: Console, found: Rebuilt) -> None:
    document = found.document
    console.print(f"{document.kind} {document.number} ({document.document_id}), {document.customer_id}:")
    issued = f"issued in closing {document.closing_number}:"
    console.print(f"  {issued:{_HASH_COLUMN}} {document.content_hash}")
    console.print(
        f"  {'computed from the lake:':{_HASH_COLUMN}} {found.computed_hash or 'cannot be reproduced'}"
    )
    if found.difference is None:
        console.print("  equal, in every field")
        return
    difference = found.difference
    where = f"line {difference.line_number}, " if difference.line_number else ""
    console.print(
        f"  different: {where}{difference.field}: issued {_text(difference.issued)},"
        f" computed {_text(difference.computed)}",
        style="red",
    )


def write_lines(lines: Sequence[Mapping[str, Any]], output: TextIO, output_format: str) -> None:
    """Write the lines of one invoice, at least one.

    :param output_format: table, json or csv; numbers and days of json and csv are texts, exact.
    :raises ConfigurationError: another format.
    """
    need_format(output_format)
    _WRITERS[output_format](lines, output)


def _write_table(lines: Sequence[Mapping[str, Any]], output: TextIO) -> None:
    first = lines[0]
    table = Table(
        title=f"{first['invoice_id']} of {first['customer_id']}, cycle {first['period_start']}"
        f" to {first['period_end'] - timedelta(days=1)}: {first['status']}",
        title_justify="left",
        caption=f"Total {minor_as_text(first['invoice_total_minor'], first['currency'])} {first['currency']}",
        caption_justify="right",
        box=box.SIMPLE_HEAD,
    )
    for name in ("Line", "What", "Quantity", f"Amount ({first['currency']})"):
        table.add_column(name, overflow="fold", justify="left" if name in {"Line", "What"} else "right")
    for line in lines:
        table.add_row(
            line["invoice_line_id"],
            line["description"],
            plain_text(line["quantity"]),
            minor_as_text(line["amount_minor"], line["currency"]),
        )
    console = Console(file=output, highlight=False)
    if not console.is_terminal:
        console.width = _WIDTH
    console.print(table)


def _write_json(lines: Sequence[Mapping[str, Any]], output: TextIO) -> None:
    write_json([dict(line) for line in lines], output)


def _write_csv(lines: Sequence[Mapping[str, Any]], output: TextIO) -> None:
    rows = ([exact_cell(value) for value in line.values()] for line in lines)
    write_csv_rows(output, [*lines[0]], rows)


def _text(value: object) -> str:
    return "nothing" if value is None else exact_text(value)


_WRITERS: Final[dict[str, Callable[[Sequence[Mapping[str, Any]], TextIO], None]]] = {
    "table": _write_table,
    "json": _write_json,
    "csv": _write_csv,
}
