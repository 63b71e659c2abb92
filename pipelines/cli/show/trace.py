"""What ``meterhouse trace`` writes: the lines, their rule, their windows and the events behind them.

Options and their help belong to ``pipelines.cli``; finding what is shown to ``trace``.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, TextIO

import duckdb
from rich import box
from rich.console import Console
from rich.table import Table

from pipelines import interruption
from pipelines.cli.show.output import exact_cell, need_format, write_json
from pipelines.errors import ConfigurationError
from pipelines.figures import minor_as_text, plain_text
from pipelines.files import share
from pipelines.tables import select_without_formulas, write_csv_rows

_SHOWN_EVENTS = 40
_SHOWN_WINDOWS = 31
_WIDTH = 140
"""Of a table that does not go to a terminal."""
Row = Mapping[str, Any]


def need_output(output_format: str, file: Path | None) -> None:
    """Say so before anything is computed.

    :raises ConfigurationError: it is no format, or the file ends neither in .parquet nor in .csv, or its
        folder is missing.
    """
    need_format(output_format)
    if file is not None and file.suffix not in _FILES:
        raise ConfigurationError(
            f"{file.name} is neither a .parquet nor a .csv file", where="--output", remedy="name it so"
        )
    if file is not None and not file.parent.is_dir():
        raise ConfigurationError(
            f"there is no folder {file.parent}", where="--output", remedy="make it, or choose another"
        )


def write_trace(traced: duckdb.DuckDBPyConnection, output: TextIO, output_format: str) -> None:
    """Write what ``trace_lines`` found: for people (the first events of each line), or all of it, exact.

    :param output_format: table, json or csv; numbers and instants of json and csv are texts.
    """
    _WRITERS[output_format](traced, output)


def save_trace(traced: duckdb.DuckDBPyConnection, file: Path) -> int:
    """Write ``traced_events`` to a .parquet or .csv file, with exact decimals; the number of its rows."""
    aside = file.with_name(f".{file.name}.tmp")
    path = str(aside).replace("'", "''")
    columns = "*" if file.suffix != ".csv" else select_without_formulas(traced.table("traced_events"))
    try:
        traced.execute(f"copy (select {columns} from traced_events) to '{path}' ({_FILES[file.suffix]})")
        share(aside)
        with interruption.held():
            aside.replace(file)
            interruption.has_done(f"{file} is written")
    finally:
        aside.unlink(missing_ok=True)
    row = traced.execute("select count(*) from traced_events").fetchone()
    return int(row[0]) if row else 0


def _write_table(traced: duckdb.DuckDBPyConnection, output: TextIO) -> None:
    console = Console(file=output, highlight=False, markup=False, soft_wrap=True)
    if not console.is_terminal:
        console.width = _WIDTH
    for position, line in enumerate(_lines(traced)):
        if position:
            console.print()
        _print_line(console, line)


def _print_line(console: Console, line: dict[str, Any]) -> None:
    amount = f"{minor_as_text(line['amount_minor'], line['currency'])} {line['currency']}"
    last_day = line["period_end"] - timedelta(days=1)
    console.print(f"{line['description']}   {amount}", style="bold")
    console.print(f"{line['invoice_line_id']} of {line['invoice_id']}, {line['customer_id']}", style="dim")
    console.print(f"Cycle {line['period_start']} to {last_day}, {line['line_type']}: {line['rule']}")
    if statements := line.get("statements"):
        _print_statements(console, statements, line["currency"])
    if len(line["windows"]) > 1:
        console.print(_windows_table(line["windows"]))
    if line["events"]:
        console.print(_events_table(line["events"]))
        left_out = len(line["events"]) - _SHOWN_EVENTS
        if left_out > 0:
            console.print(f"... and {left_out:,} more; --output FILE.parquet or --format csv writes all.")
        console.print(
            f"{line['event_count']:,} {'event adds' if line['event_count'] == 1 else 'events add'} up to"
            f" {_number(line['usage_quantity'])};"
            f" {_number(line['unexplained_quantity'])} of the line is unexplained."
        )


def _print_statements(console: Console, statements: dict[str, Any], currency: str) -> None:
    table = Table(box=box.SIMPLE_HEAD)
    for name in (f"Statement about {statements['adjusts_line_id']}", "Quantity", "Amount"):
        table.add_column(name, justify="left" if name.startswith("S") else "right")
    for words, prefix in (("stated before", "stated"), ("restated", "restated")):
        amount = minor_as_text(statements[f"{prefix}_amount_minor"], currency)
        table.add_row(words, _number(statements[f"{prefix}_quantity"]), f"{amount} {currency}")
    console.print(table)
    if statements["causes"]:
        console.print("Causes:", json.dumps(statements["causes"], ensure_ascii=False, indent=2))


def _windows_table(windows: list[dict[str, Any]]) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    for name in ("From", "To (excluded)", "Events", "Usage", "Included", "Over"):
        table.add_column(name, justify="left" if name[0] in "FT" else "right")
    for window in windows[:_SHOWN_WINDOWS]:
        table.add_row(
            str(window["window_start"]),
            str(window["window_end"]),
            f"{window['event_count']:,}",
            *(_number(window[name]) for name in ("quantity", "included_quantity", "overage_quantity")),
        )
    return table


def _events_table(events: list[dict[str, Any]]) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    has_series = any(event["series"] for event in events)
    for name in ("Occurred at (UTC)", "Event", "Record", "Part", *(("Of",) if has_series else ())):
        table.add_column(name, overflow="fold")
    table.add_column("Reading", justify="right")
    table.add_column("Contribution", justify="right")
    for event in events[:_SHOWN_EVENTS]:
        revision = f" rev. {event['revision']}" if event["revision"] else ""
        table.add_row(
            event["occurred_at"].isoformat(sep=" ", timespec="seconds").removesuffix("+00:00"),
            event["event_id"] + revision,
            f"{event['source_file']}:{event['source_row']}",
            event["part"],
            *((event["series"] or "",) if has_series else ()),
            _number(event["reading"]),
            _number(event["contribution"]),
        )
    return table


def _write_json(traced: duckdb.DuckDBPyConnection, output: TextIO) -> None:
    write_json(list(_lines(traced)), output)


def _write_csv(traced: duckdb.DuckDBPyConnection, output: TextIO) -> None:
    found = traced.execute("select * from traced_events")

    def rows() -> Iterator[list[str | None]]:
        while chunk := found.fetchmany(10_000):
            yield from ([exact_cell(cell) for cell in row] for row in chunk)

    write_csv_rows(output, [column[0] for column in found.description], rows())


def _lines(traced: duckdb.DuckDBPyConnection) -> Iterator[dict[str, Any]]:
    """Every line with its windows, events and, of an adjustment, its statements."""
    windows = _by_line(traced, "select * from line_windows order by window_start")
    events = _by_line(traced, "select * from line_events order by window_start, occurred_at, event_id")
    statements = _by_line(
        traced,
        "select invoice_line_id, adjusts_line_id, adjusts_invoice_id, stated_quantity, stated_amount_minor,"
        " restated_quantity, restated_amount_minor, causes from line_statements",
    )
    order = "period_start, invoice_id, line_type, subscription_id, meter_id"
    for line in _rows(traced, f"select * from line_proofs order by {order}"):
        line_id = line["invoice_line_id"]
        found: dict[str, Any] = {name: value for name, value in line.items() if name in _LINE_FIELDS}
        for stated in statements[line_id]:
            stated["causes"] = json.loads(stated["causes"]) if stated["causes"] else None
            found["statements"] = stated
        yield {**found, "windows": windows[line_id], "events": events[line_id]}


def _by_line(traced: duckdb.DuckDBPyConnection, query: str) -> dict[str, list[dict[str, Any]]]:
    found = defaultdict(list)
    for row in _rows(traced, query):
        found[row.pop("invoice_line_id")].append(row)
    return found


def _rows(traced: duckdb.DuckDBPyConnection, query: str) -> list[dict[str, Any]]:
    rows = traced.execute(query)
    names = [column[0] for column in rows.description]
    return [dict(zip(names, row, strict=True)) for row in rows.fetchall()]


def _number(value: Decimal | None) -> str:
    return "unlimited" if value is None else f"{Decimal(plain_text(value)):,f}"


_LINE_FIELDS: Final = (
    "invoice_line_id",
    "invoice_id",
    "customer_id",
    "subscription_id",
    "plan_id",
    "plan_version",
    "line_type",
    "meter_id",
    "description",
    "rule",
    "event_count",
    "usage_quantity",
    "included_quantity",
    "derived_quantity",
    "quantity",
    "unexplained_quantity",
    "amount",
    "amount_minor",
    "currency",
    "period_start",
    "period_end",
    "service_start",
    "service_end",
)
_WRITERS: Final[dict[str, Callable[[duckdb.DuckDBPyConnection, TextIO], None]]] = {
    "table": _write_table,
    "json": _write_json,
    "csv": _write_csv,
}
_FILES: Final = {".parquet": "format parquet, compression zstd", ".csv": "format csv, header"}
