"""The tie-out as people, programs and spreadsheets read it. Finding it belongs to ``pipelines.payments``."""

from typing import Final, TextIO

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pipelines.cli.show.output import exact_cell, need_format, write_json
from pipelines.figures import minor_as_text
from pipelines.payments.tie_out import SUMS, TieOut
from pipelines.tables import write_csv_rows

_REMAINDERS: Final = {
    "usage_remainder_minor": "usage and what was billed",
    "item_remainder_minor": "lines and items",
    "credit_remainder_minor": "credit notes and Stripe's",
    "payment_remainder_minor": "total and payment",
}


def write_tie_out(tie_out: TieOut, output: TextIO, output_format: str) -> None:
    """Write it: for people, or all of it as json or csv, amounts in minor units.

    :raises ConfigurationError: another format.
    """
    need_format(output_format)
    if output_format == "table":
        _print(tie_out, Console(file=output, highlight=False))
    elif output_format == "json":
        told = {name: value for name, value in vars(tie_out).items() if name != "columns"}
        write_json(told, output)
    else:
        rows = ([row[name] for name in tie_out.columns] for row in tie_out.invoices)
        cells = (map(exact_cell, row) for row in rows)
        write_csv_rows(output, tie_out.columns, cells)


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
    for name, what in SUMS.items():
        sums.add_row(what, *(minor_as_text(row[name], row["currency"]) for row in tie_out.totals))
    console.print(sums)
    count = len(tie_out.unexplained)
    words = f"{count:,} not explained" if count else "all explained from usage to payment"
    console.print(f"{len(tie_out.invoices):,} issued invoices, {words}, {told}.", markup=False)
