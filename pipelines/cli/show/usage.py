"""What ``meterhouse usage`` and ``meterhouse export`` print and write.

Options and their help belong to ``pipelines.cli``; reading, and writing files, to ``pipelines.serving``.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Final, TextIO, cast

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pipelines.cli.show.output import need_format, write_json
from pipelines.errors import ConfigurationError
from pipelines.figures import minor_as_text, plain_text
from pipelines.serving.export import STANDARD_OUTPUT, Export, Format, export_rows
from pipelines.serving.usage import Row, Usage, Value, read_usage
from pipelines.settings import Settings
from pipelines.tables import write_csv_rows

CSV_COLUMNS: Final = (
    "section",
    "customer_id",
    "subscription_id",
    "plan_id",
    "meter_id",
    "unit",
    "period_start",
    "period_end",
    "quantity",
    "included_quantity",
    "used_ratio",
    "overage_quantity",
    "overage_amount",
    "currency",
    "projected_quantity",
    "low_quantity",
    "high_quantity",
    "projected_overage_quantity",
    "projected_amount",
    "exhausted_on",
    "kind",
    "severity",
    "triggered_on",
    "message",
)
"""One row per meter and cycle (section current, with its projection, or history), then one per alert: what it
observed stands under quantity, its limit under included_quantity."""
_MOST_ALERTS = 10
_STYLES = {"critical": "red", "warning": "yellow"}


def show_usage(
    settings: Settings, customer_id: str, output: TextIO, output_format: str = "table", periods: int = 12
) -> None:
    """Write what a customer has used. Decimals of JSON and CSV are texts, exact; days are ISO dates.

    :param output_format: table, json or csv.
    :param periods: how many cycles that are over the history holds.
    :raises ConfigurationError: another format, or no such customer.
    :raises MeterhouseError: nothing has been published.
    """
    need_format(output_format)
    _WRITERS[output_format](read_usage(settings.home, customer_id, periods), output)


def write_export(settings: Settings, export: Export, output: TextIO) -> str:
    """Write rows of the published file; standard output takes CSV. What was written, in words.

    :raises ConfigurationError: no such customer or table, or the file is already there.
    :raises MeterhouseError: nothing has been published, or the file cannot be written.
    """
    written = export_rows(settings.home, export, output)
    rows = "1 row" if written.rows == 1 else f"{written.rows:,} rows"
    where = "" if export.file == STANDARD_OUTPUT else f" into {export.file}"
    told = f"Wrote {rows} of {export.table}{where}."
    if not written.rows and written.first_day and written.last_day:
        told += f" There are some from {written.first_day} to {written.last_day}."
    return told


def describe_export(
    customer_id: str | None,
    table: str,
    period: tuple[str | None, str | None, str | None],
    file: Path,
    output_format: str | None = None,
    *,
    may_overwrite: bool = False,
    is_raw: bool = False,
) -> Export:
    """What the options of ``meterhouse export`` ask for.

    :param period: --month, --from and --to.
    :param is_raw: texts of CSV as they are, also where a spreadsheet takes them for formulas.
    :raises ConfigurationError: no period or two of them, no days, or a format that the file cannot have.
    """
    first_day, last_day = _period(*period)
    chosen = output_format or file.suffix.lstrip(".").lower()
    if output_format is None and chosen != "parquet":
        chosen = "csv"
    if chosen not in {"csv", "parquet"}:
        raise ConfigurationError(
            f"{chosen!r} is not a format", where="--format", remedy="write csv or parquet"
        )
    if chosen == "parquet" and file == STANDARD_OUTPUT:
        raise ConfigurationError(
            "Parquet cannot go to standard output", where="--output", remedy="name a file, e.g. usage.parquet"
        )
    return Export(
        table, first_day, last_day, file, cast("Format", chosen), customer_id, may_overwrite, is_raw
    )


def _period(month: str | None, first: str | None, last: str | None) -> tuple[date, date]:
    is_range = first is not None and last is not None
    if is_range == (month is not None) or (first is None) != (last is None):
        raise ConfigurationError(
            "one period is needed", where="export", remedy="write --month 2026-03, or --from and --to"
        )
    if month is not None:
        begin = _day(f"{month}-01", "--month", "write e.g. 2026-03", named=month)
        return begin, (begin + timedelta(days=31)).replace(day=1) - timedelta(days=1)
    begin = _day(first or "", "--from", "write e.g. 2026-03-01")
    end = _day(last or "", "--to", "write e.g. 2026-03-31")
    if end < begin:
        raise ConfigurationError(
            f"{end} is before {begin}", where="--to", remedy="write the last day, included"
        )
    return begin, end


def _day(text: str, option: str, remedy: str, named: str | None = None) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ConfigurationError(
            f"{named or text!r} is not in the calendar", where=option, remedy=remedy
        ) from None


def _write_table(usage: Usage, output: TextIO) -> None:
    console = Console(file=output, highlight=False)
    customer = usage.customer
    name = f"{customer['name']} ({customer['customer_id']})" if customer["name"] else customer["customer_id"]
    as_of = f"{customer['as_of']:%Y-%m-%d %H:%M} UTC"
    console.print(f"{name}, as of {as_of}, days in {customer['timezone']}", markup=False, style="bold")
    if customer["inactive_from"]:
        console.print(f"Not served from {customer['inactive_from']} on.", markup=False)
    sections = usage.sections
    if not sections["current"]:
        console.print("No cycle is open.")
    projections = {_key(row): row for row in sections["projection"]}
    for cycle, rows in _by_cycle(sections["current"]).items():
        console.print(_current_table(cycle, rows, projections))
    for line in (*_invoice_lines(sections["invoices"]), *_budget_lines(sections["budgets"])):
        console.print(line, markup=False, soft_wrap=True)
    for quota in sections["quota"]:
        action = str(quota["recommended_action"]).replace("_", " ")
        console.print(f"Recommended action: {action}", markup=False)
    if len(sections["other_plans"]) > 1:
        console.print(_plans_table(sections["other_plans"]))
    if sections["history"]:
        console.print(_history_table(sections["history"]))
    console.print(*_alert_lines(sections["alerts"], str(customer["customer_id"])), sep="\n", soft_wrap=True)


def _current_table(cycle: str, rows: Sequence[Row], projections: dict[tuple[Value, ...], Row]) -> Table:
    names = (
        "Meter",
        "Used",
        "Included",
        "",
        "Overage",
        "Amount",
        "By its end",
        "between",
        "Amount then",
        "Passed on",
    )
    table = _table(f"\nNow: {cycle}", names, left={"Meter", "Passed on"})
    for row in rows:
        ahead = projections[_key(row)]
        table.add_row(
            _meter(row),
            _number(row["quantity"]),
            _included(row),
            _percent(row["used_ratio"]),
            _number(row["overage_quantity"]),
            _money(row["overage_amount"], row["currency"]),
            _number(ahead["about_quantity"]),
            f"{_number(ahead['about_low_quantity'])}-{_number(ahead['about_high_quantity'])}",
            _minor(ahead["projected_minor"], row["currency"]),
            _number(ahead["exhausted_on"]),
        )
    return table


def _invoice_lines(rows: Sequence[Row]) -> Iterator[str]:
    for row in rows:
        currency = str(row["currency"])
        so_far, projected, low, high = (
            "unknown" if row[name] is None else minor_as_text(cast("int", row[name]), currency)
            for name in ("total_minor", "projected_total_minor", "low_total_minor", "high_total_minor")
        )
        yield (
            f"Invoice from {row['period_start']}: {so_far} {currency} so far,"
            f" {projected} {currency} by the end of the cycle ({low}-{high})"
        )


def _budget_lines(rows: Sequence[Row]) -> Iterator[str]:
    for row in rows:
        measure = str(row["measure"]).replace("_", " ")
        ahead = "; it will be exceeded" if row["is_exceeded"] else ""
        yield (
            f"Budget of {measure} per {row['period']}: {_money(row['amount'], row['currency'])},"
            f" so far {_number(row['observed_amount'], 'unknown')},"
            f" projected {_minor(row['projected_minor'], row['currency'])}{ahead}"
        )


def _plans_table(rows: Sequence[Row]) -> Table:
    table = _table(
        "\nThe usage so far on other plans",
        ("Plan", "Cycle from", "Total", ""),
        left={"Plan", "Cycle from", ""},
    )
    for row in rows:
        notes = ["its plan"] if row["is_current"] else []
        notes += [] if row["is_feasible"] else ["does not cover this usage"]
        total = "unknown"
        if row["total_minor"] is not None:
            total = (
                f"{minor_as_text(cast('int', row['total_minor']), str(row['currency']))} {row['currency']}"
            )
        table.add_row(Text(str(row["plan"])), _number(row["period_start"]), total, ", ".join(notes))
    return table


def _history_table(rows: Sequence[Row]) -> Table:
    names = ("Cycle from", "Plan", "Meter", "Used", "Included", "", "Overage", "Amount")
    table = _table("\nCycles that are over", names, left={"Cycle from", "Plan", "Meter"})
    last = None
    for row in rows:
        cycle = (row["subscription_id"], row["period_start"])
        is_new, last = cycle != last, cycle
        table.add_row(
            _number(row["period_start"]) if is_new else "",
            Text(str(row["plan_id"])) if is_new else "",
            _meter(row),
            _number(row["quantity"]),
            _number(row["included_quantity"], "unlimited"),
            _percent(row["used_ratio"]),
            _number(row["overage_quantity"]),
            _money(row["overage_amount"], row["currency"]),
        )
    return table


def _alert_lines(rows: Sequence[Row], customer_id: str) -> Iterator[Text]:
    if not rows:
        yield Text("No alerts in these cycles.")
        return
    yield Text(f"\nAlerts in these cycles: {len(rows):,}")
    for row in rows[:_MOST_ALERTS]:
        severity = str(row["severity"])
        yield Text.assemble(
            f"  {row['triggered_on']} ", (severity, _STYLES.get(severity, "")), f" {row['message']}"
        )
    if len(rows) > _MOST_ALERTS:
        yield Text(f"  All of them: meterhouse alerts --customer {customer_id}")


def _table(title: str, names: Sequence[str], left: set[str]) -> Table:
    table = Table(title=title, title_justify="left", title_style="", box=box.SIMPLE_HEAD)
    for name in names:
        table.add_column(name, justify="left" if name in left else "right", overflow="fold")
    return table


def _by_cycle(rows: Sequence[Row]) -> dict[str, list[Row]]:
    cycles: defaultdict[str, list[Row]] = defaultdict(list)
    for row in rows:
        last_day = cast("date", row["period_end"]) - timedelta(days=1)
        cycle = f"cycle {row['period_start']} to {last_day}"
        cycles[f"plan {row['plan_id']}, {cycle}, subscription {row['subscription_id']}"].append(row)
    return cycles


def _key(row: Row) -> tuple[Value, ...]:
    return row["subscription_id"], row["meter_id"], row["period_start"]


def _included(row: Row) -> str:
    if row["included_quantity"] is None:
        return "unlimited"
    per = {"day": " a day", "calendar_month": " a month"}.get(str(row["reset"]), "")
    return f"{_number(row['included_quantity'])}{per}{' (hard)' if row['limit'] == 'hard' else ''}"


def _meter(row: Row) -> Text:
    return Text(f"{row['meter']} ({row['unit']})")


def _number(value: Value, absent: str = "") -> str:
    if isinstance(value, Decimal):
        whole, point, rest = plain_text(value).partition(".")
        return f"{int(whole):,}{point}{rest}" if whole not in {"-0", "0"} else f"{whole}{point}{rest}"
    return absent if value is None else str(value)


def _minor(minor: Value, currency: Value) -> str:
    return "unknown" if minor is None else f"{minor_as_text(cast('int', minor), str(currency))} {currency}"


def _money(value: Value, currency: Value) -> str:
    return "" if value is None else f"{_number(value)} {currency}"


def _percent(ratio: Value) -> str:
    return f"{ratio:.1%}" if isinstance(ratio, Decimal) else ""


def _write_json(usage: Usage, output: TextIO) -> None:
    quota = next(iter(usage.sections["quota"]), None)
    sections: dict[str, object] = {
        name: [_record(row) for row in rows] for name, rows in usage.sections.items()
    }
    sections |= {"customer": _record(usage.customer), "quota": _record(quota) if quota else None}
    write_json(sections, output)


def _record(row: Row) -> dict[str, str | int | bool | None]:
    return {name: value if isinstance(value, int) else _text(value) for name, value in row.items()}


def _write_csv(usage: Usage, output: TextIO) -> None:
    sections = usage.sections
    projections = {_key(row): row for row in sections["projection"]}
    shared = {"customer_id": usage.customer["customer_id"]}
    rows = [
        *({**shared, **row, **projections[_key(row)], "section": "current"} for row in sections["current"]),
        *({**shared, **row, "section": "history"} for row in sections["history"]),
        *(
            {
                **shared,
                **row,
                "quantity": row["observed"],
                "included_quantity": row["limit_value"],
                "section": "alert",
            }
            for row in sections["alerts"]
        ),
    ]
    write_csv_rows(output, CSV_COLUMNS, ([_text(row.get(name)) for name in CSV_COLUMNS] for row in rows))


def _text(value: Value) -> str | None:
    if isinstance(value, Decimal):
        return plain_text(value)
    if isinstance(value, datetime):
        return value.isoformat(timespec="seconds")
    if isinstance(value, date):
        return value.isoformat()
    return value if value is None else str(value)


_WRITERS: Final[dict[str, Callable[[Usage, TextIO], None]]] = {
    "table": _write_table,
    "json": _write_json,
    "csv": _write_csv,
}
