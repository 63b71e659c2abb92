"""What ``meterhouse close`` does and says. Options and their help do not belong here (``pipelines.cli``)."""

from collections.abc import Sequence
from typing import Final

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pipelines.books.closing import ClosingOutcome
from pipelines.books.plan import ClosingPlan
from pipelines.figures import plain_text
from pipelines.ledger.books import Row

_MOST_WARNINGS = 10
"""Of one kind."""
_WIDEST_ID = 36
_KINDS: Final = {
    "outlier": ("Invoices unlike those that the customer had before", "invoices"),
    "negative margin": ("Months that cost more than they bring", "customer_margins"),
    "unknown cost": ("Usage whose provider cost nobody knows", "unpriced_usage"),
    "unbilled usage": ("Usage that nobody pays for", "unbilled_usage"),
}
"""What a kind of warning is called, and the mart that has all of it."""


def print_outcome(
    outcome: ClosingOutcome, build_warnings: Sequence[str], console: Console, *, is_dry_run: bool
) -> None:
    """Per currency what was issued, or would be, then the numbers, then what to look at."""
    plan, closing = outcome.plan, outcome.closing
    through = plan.terms.through
    if not plan.documents:
        waits = any(row["waiting_count"] or row["small_count"] for row in plan.totals)
        console.print(
            f"Nothing to issue through {through}: every cycle that ended by then is issued"
            + ("." if waits else ", and nothing corrects it now.")
        )
    else:
        console.print(_totals(plan, is_dry_run=is_dry_run))
        _print_adjustments(plan.totals, console)
    _print_waiting(plan, console)
    for warning in build_warnings:
        console.print(f"Warning: {warning}", style="yellow", markup=False)
    if closing is not None:
        console.print(
            f"Closing {closing.closing_number} through {through} by {closing.closed_by}:"
            f" {_numbers(outcome)}.",
            markup=False,
        )
        console.print(
            "`meterhouse invoice` writes them as documents, `meterhouse send` sends them to Stripe.",
            markup=False,
        )
    if is_dry_run:
        _print_warnings(plan.warnings, console)
        console.print("Nothing was issued: this was a dry run. Without --dry-run the command issues it.")
        console.print("With --expect and this hash it issues these documents or none:")
        console.print(plan.documents.hash(), soft_wrap=True)


def _totals(plan: ClosingPlan, *, is_dry_run: bool) -> Table:
    verb = "would be issued" if is_dry_run else "issued"
    table = Table(
        box=box.SIMPLE_HEAD, title=f"Cycles through {plan.terms.through}: {verb}", title_justify="left"
    )
    table.add_column("Currency")
    for heading in ("Invoices", "Invoiced", "Credit notes", "Credited", "Net"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in plan.totals:
        table.add_row(
            row["currency"],
            f"{row['invoice_count']:,}",
            row["invoiced_text"],
            f"{row['credit_note_count']:,}",
            row["credited_text"],
            row["net_text"],
        )
    return table


def _print_adjustments(totals: Sequence[Row], console: Console) -> None:
    for row in totals:
        if row["adjustment_count"]:
            console.print(
                f"Invoiced includes {_count(row['adjustment_count'], 'adjustment')} of earlier cycles:"
                f" {row['adjusted_text']} {row['currency']}.",
                markup=False,
            )


def _print_waiting(plan: ClosingPlan, console: Console) -> None:
    for row in plan.totals:
        if row["waiting_count"]:
            console.print(
                f"Not issued yet, for an invoice whose cycle is still open:"
                f" {_count(row['waiting_count'], 'adjustment')}, {row['waiting_text']} {row['currency']}.",
                markup=False,
            )
        if row["small_count"]:
            console.print(
                f"Left waiting, corrections of less than {plain_text(plan.terms.corrections_from)}"
                f" {row['currency']} by invoice: of {_count(row['small_count'], 'invoice')},"
                f" net {row['small_text']} {row['currency']}.",
                markup=False,
            )


def _print_warnings(warnings: Sequence[Row], console: Console) -> None:
    """By kind, what concerns money first; of many the first few, and where all of them are."""
    if not warnings:
        console.print("Nothing unusual: no outliers, unbilled usage, negative margins or unknown costs.")
        return
    console.print(f"To look at before closing ({len(warnings):,}):")
    kinds = {row["kind"]: None for row in warnings}
    for kind in [
        *(kind for kind in _KINDS if kind in kinds),
        *(kind for kind in kinds if kind not in _KINDS),
    ]:
        heading, mart = _KINDS.get(kind, (kind, ""))
        found = [row for row in warnings if row["kind"] == kind]
        table = Table(box=None, show_header=False, padding=(0, 0, 0, 4))
        table.add_column(overflow="fold", max_width=_WIDEST_ID)
        table.add_column()
        for row in found[:_MOST_WARNINGS]:
            table.add_row(Text(row["customer_id"]), Text(row["message"]))
        console.print(f"  {heading} ({len(found):,})", markup=False)
        console.print(table)
        if len(found) > _MOST_WARNINGS:
            where = f"; all are in the mart {mart}" if mart else ""
            console.print(f"    … and {len(found) - _MOST_WARNINGS:,} more{where}", markup=False)


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def _numbers(outcome: ClosingOutcome) -> str:
    named = (("invoices", outcome.invoice_numbers), ("credit notes", outcome.credit_note_numbers))
    return "; ".join(
        f"{kind} {numbers[0]}" + (f" to {numbers[-1]}" if len(numbers) > 1 else "")
        for kind, numbers in named
        if numbers
    )
