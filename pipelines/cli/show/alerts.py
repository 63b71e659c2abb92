"""What ``meterhouse alerts`` does: show the ledger's alerts, and mark them as read.

Options and their help belong to ``pipelines.cli``; raising alerts to ``pipelines.notify.alerts``.
"""

from collections.abc import Callable, Sequence
from typing import Final, TextIO

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pipelines.cli.show.output import exact_cell, need_format, write_json
from pipelines.ledger import RaisedAlert, open_ledger
from pipelines.serving.readers import need_customer, open_published
from pipelines.settings import Settings, login_name
from pipelines.tables import write_csv_rows

ALL: Final = "all"
"""In place of ids: every alert."""
_STYLES = {"critical": "red", "warning": "yellow"}
_FIELDS = (
    "alert_id",
    "customer_id",
    "kind",
    "meter_id",
    "threshold",
    "observed",
    "limit_value",
    "severity",
    "period_start",
    "triggered_on",
    "message",
)


def show_alerts(
    settings: Settings,
    output: TextIO,
    output_format: str = "table",
    customer_id: str | None = None,
    *,
    is_unread_only: bool = False,
) -> None:
    """Write the alerts, newest day first. Numbers and instants of JSON and CSV are texts, exact.

    :param output_format: table, json or csv.
    :raises ConfigurationError: another format, or a customer that neither alerts nor accounts know.
    """
    need_format(output_format)
    with open_ledger(settings.home) as ledger:
        alerts = ledger.alerts(customer_id, is_unread_only)
    if customer_id is not None and not alerts and settings.home.published_file.exists():
        with open_published(settings.home.published_file) as tables:
            need_customer(tables, customer_id)
    _WRITERS[output_format](alerts, output)


def mark_alerts_read(settings: Settings, alert_ids: Sequence[str]) -> int:
    """Mark alerts as read; how many were unread until now.

    :param alert_ids: ids, or the word all.
    :raises ConfigurationError: an id that the ledger does not have; nothing is marked.
    """
    wanted = None if list(alert_ids) == [ALL] else alert_ids
    with open_ledger(settings.home) as ledger:
        return len(ledger.mark_read(wanted, settings.now(), login_name()))


def _write_table(alerts: Sequence[RaisedAlert], output: TextIO) -> None:
    console = Console(file=output, highlight=False)
    if not alerts:
        console.print("No alerts.")
        return
    table = Table(box=box.SIMPLE_HEAD)
    for name in ("Day", "Severity", "Customer", "Read", "What, and its id"):
        table.add_column(name, overflow="fold", no_wrap=name in {"Day", "Severity", "Read"})
    for raised in alerts:
        alert = raised.alert
        table.add_row(
            alert.triggered_on.isoformat(),
            Text(alert.severity, style=_STYLES.get(alert.severity, "")),
            Text(alert.customer_id),
            "no" if raised.read_at is None else raised.read_at.date().isoformat(),
            # Under the words, an id stays in one piece on a narrow terminal too.
            Text.assemble(alert.message, "\n", (alert.alert_id, "dim")),
        )
    console.print(table)
    unread = sum(raised.read_at is None for raised in alerts)
    alert_word = "alert" if len(alerts) == 1 else "alerts"
    console.print(f"{len(alerts):,} {alert_word}, {unread:,} unread.")


def _write_json(alerts: Sequence[RaisedAlert], output: TextIO) -> None:
    write_json([_record(raised) for raised in alerts], output)


def _write_csv(alerts: Sequence[RaisedAlert], output: TextIO) -> None:
    rows = (
        [str(value).lower() if isinstance(value, bool) else value for value in _record(raised).values()]
        for raised in alerts
    )
    write_csv_rows(output, [*_FIELDS, "raised_at", "is_read", "read_at", "read_by"], rows)


def _record(raised: RaisedAlert) -> dict[str, str | bool | None]:
    record: dict[str, str | bool | None] = {name: exact_cell(getattr(raised.alert, name)) for name in _FIELDS}
    return record | {
        "raised_at": exact_cell(raised.raised_at),
        "is_read": raised.read_at is not None,
        "read_at": exact_cell(raised.read_at),
        "read_by": raised.read_by,
    }


_WRITERS: Final[dict[str, Callable[[Sequence[RaisedAlert], TextIO], None]]] = {
    "table": _write_table,
    "json": _write_json,
    "csv": _write_csv,
}
