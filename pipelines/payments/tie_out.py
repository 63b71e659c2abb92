"""The tie-out as it was last published: from usage to payment by invoice, without asking Stripe.

Figures are the mart's own (``tie_out``), their sums SQL's. Comparing with Stripe does not belong here.
"""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, Final, TextIO

import duckdb
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pipelines.errors import ConfigurationError, MeterhouseError
from pipelines.figures import minor_as_text
from pipelines.home import Home
from pipelines.ledger import open_ledger
from pipelines.ledger.books import all_closings
from pipelines.serving.readers import open_published
from pipelines.tables import write_csv_rows

FORMATS: Final = ("table", "json", "csv")
_SUMS: Final = {
    "total_minor": "Issued",
    "unsent_minor": "of it not sent",
    "credit_minor": "Credit notes",
    "unsent_credit_minor": "of them not sent",
    "paid_minor": "Paid",
    "open_minor": "Open at Stripe",
    "waiting_minor": "Corrections that wait",
    "unexplained_minor": "Unexplained",
}
_REMAINDERS: Final = {
    "usage_remainder_minor": "usage and what was billed",
    "item_remainder_minor": "lines and items",
    "credit_remainder_minor": "credit notes and Stripe's",
    "payment_remainder_minor": "total and payment",
}
_ROWS = "select * from tie_out order by period_end, customer_id, currency, invoice_number"
_TOTALS = f"""
    select
        currency, count(*) as invoice_count,
        {", ".join(f"cast(coalesce(sum({name}), 0) as bigint) as {name}" for name in _SUMS)}
    from tie_out
    group by currency
    order by currency
"""
Row = Mapping[str, Any]


@dataclass(frozen=True)
class TieOut:
    """What the published file says.

    :param as_of: the clock of what is published.
    :param columns: of the mart ``tie_out``.
    :param invoices: its rows, in the order of their cycles.
    :param totals: their sums in minor units, by currency.
    """

    as_of: datetime
    published_at: datetime
    columns: Sequence[str]
    invoices: Sequence[Row]
    totals: Sequence[Row]

    @property
    def unexplained(self) -> Sequence[Row]:
        """Invoices with a remainder, or with disagreements that the last reconciliation found."""
        return [row for row in self.invoices if row["unexplained_minor"] or row["difference_count"]]


def read_tie_out(home: Home, environment: Mapping[str, str] = os.environ) -> TieOut:
    """The tie-out of all that was issued.

    :raises MeterhouseError: nothing is published, or not the last closing.
    """
    with open_ledger(home, environment=environment) as ledger:
        issued = len(all_closings(ledger))
    with open_published(home) as tables:
        [(published_at, as_of)] = tables.execute(
            "select published_at, as_of from meterhouse_publication"
        ).fetchall()
        [(shown,)] = tables.execute("select count(*) from closings").fetchall()
        columns, invoices = _read(tables, _ROWS)
        _, totals = _read(tables, _TOTALS)
    if shown < issued:
        raise MeterhouseError(
            f"closing {issued} is issued, but not published",
            where=str(home.published_file),
            remedy="`meterhouse run` publishes it",
        )
    return TieOut(as_of.astimezone(UTC), published_at.astimezone(UTC), columns, invoices, totals)


def _read(tables: duckdb.DuckDBPyConnection, query: str) -> tuple[list[str], list[Row]]:
    cursor = tables.execute(query)
    names = [column[0] for column in cursor.description or []]
    return names, [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def need_format(output_format: str) -> None:
    """Say so before anything is read.

    :raises ConfigurationError: it is no format.
    """
    if output_format not in FORMATS:
        raise ConfigurationError(
            f"{output_format!r} is not a format", where="--format", remedy=f"write {', '.join(FORMATS)}"
        )


def write_tie_out(tie_out: TieOut, output: TextIO, output_format: str) -> None:
    """Write it: for people, or all of it as json or csv, amounts in minor units.

    :raises ConfigurationError: another format.
    """
    need_format(output_format)
    if output_format == "table":
        _print(tie_out, Console(file=output, highlight=False))
    elif output_format == "json":
        told = {name: value for name, value in vars(tie_out).items() if name != "columns"}
        json.dump(told, output, ensure_ascii=False, indent=2, default=_text)
        output.write("\n")
    else:
        rows = ([row[name] for name in tie_out.columns] for row in tie_out.invoices)
        cells = ((None if value is None else _text(value) for value in row) for row in rows)
        write_csv_rows(output, tie_out.columns, cells)


def fail_if_unexplained(tie_out: TieOut) -> None:
    """A remainder is a failed step, as a disagreement with Stripe is.

    :raises MeterhouseError: there is one.
    """
    if count := len(tie_out.unexplained):
        raise MeterhouseError(
            f"{count:,} of {len(tie_out.invoices):,} invoices are not explained from usage to payment",
            where="tie_out",
            remedy="`meterhouse trace --invoice` and `meterhouse rebuild` say what was billed and why;"
            " `meterhouse reconcile` what Stripe has of it",
        )


def _print(tie_out: TieOut, console: Console) -> None:
    published_at = tie_out.published_at.isoformat(timespec="seconds")
    told = f"as of {tie_out.as_of.isoformat()}, published {published_at}"
    if not tie_out.invoices:
        console.print(f"Nothing is issued yet, {told}.")
        return
    table = Table(box=box.SIMPLE_HEAD)
    for name in ("Invoice", "Customer", "Status", "Total", "Waiting", "Unexplained"):
        is_amount = name in {"Total", "Waiting", "Unexplained"}
        table.add_column(
            name, justify="right" if is_amount else "left", no_wrap=name != "Customer", overflow="fold"
        )
    for row in tie_out.invoices:
        amounts = [
            minor_as_text(row[name], row["currency"]) for name in ("waiting_minor", "unexplained_minor")
        ]
        total = f"{minor_as_text(row['total_minor'], row['currency'])} {row['currency']}"
        cells = (row["invoice_number"], row["customer_id"], row["status"], total, *amounts)
        style = "red" if row["unexplained_minor"] or row["difference_count"] else ""
        table.add_row(*(Text(cell, style=style) for cell in cells))
    console.print(table)
    for row in tie_out.unexplained:
        reasons = [
            f"{minor_as_text(row[name], row['currency'])} {row['currency']} between {what}"
            for name, what in _REMAINDERS.items()
            if row[name]
        ]
        if row["difference_count"]:
            reasons.append(f"{row['difference_count']:,} disagreements at the last `meterhouse reconcile`")
        console.print(Text(f"{row['invoice_number']}: {'; '.join(reasons)}", style="red"))
    sums = Table(box=box.SIMPLE_HEAD)
    sums.add_column("")
    for row in tie_out.totals:
        sums.add_column(row["currency"], justify="right", no_wrap=True)
    for name, what in _SUMS.items():
        sums.add_row(what, *(minor_as_text(row[name], row["currency"]) for row in tie_out.totals))
    console.print(sums)
    count = len(tie_out.unexplained)
    words = f"{count:,} not explained" if count else "all explained from usage to payment"
    console.print(f"{len(tie_out.invoices):,} issued invoices, {words}, {told}.", markup=False)


def _text(value: object) -> str:
    return value.isoformat() if isinstance(value, date | datetime) else str(value)
