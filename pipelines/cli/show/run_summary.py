"""What a run tells at its end: rows read, invoices by month, advice, and where the published file is."""

import os
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pipelines.figures import minor_as_text
from pipelines.ingest import IngestReport, by_reason
from pipelines.serving.publish import Published
from pipelines.session import Session
from pipelines.warehouse.measure import open_tables

_MOST_FILES = 10
_BY_MONTH = """
    select
        strftime(period_end - interval 1 day, '%Y-%m') as month,
        currency,
        count(*) as invoice_count,
        count(*) filter (status = 'draft') as draft_count,
        cast(sum(total_minor) as bigint) as total_minor
    from invoices
    group by all
    order by all
"""


def print_summary(session: Session, console: Console) -> None:
    """A screen's worth, for a person."""
    console.print(_reading(session), markup=False, highlight=False)
    if session.ingest:
        _print_rejects(session.ingest, console)
        for line in by_reason(
            (batch.source_file, batch.message or "") for batch in session.ingest.unreadable
        ):
            console.print(f"Unreadable: {line}", style="yellow", markup=False, highlight=False)
    if session.published:
        console.print(_invoices(session.published.file))
    for warning in session.warnings:
        console.print(f"Warning: {warning}", style="yellow", markup=False, highlight=False)
    if session.published:
        for line in (*_advice(session.published), *_where(session.published)):
            console.print(line, markup=False, highlight=False, soft_wrap=True)


def _reading(session: Session) -> str:
    read = session.ingest
    if read is None or not read.batches:
        return "No new files in the inbox."
    files = "1 file" if len(read.batches) == 1 else f"{len(read.batches):,} files"
    return (
        f"Read {files}: {read.rows_read:,} rows = {read.accepted_count:,} accepted"
        f" + {read.duplicate_count:,} duplicate + {read.rejected_count:,} rejected"
    )


def _print_rejects(read: IngestReport, console: Console) -> None:
    """Reasons by file, the most rejects first; of many files the first few, and all reasons of the others."""
    files = sorted(
        (batch for batch in read.batches if batch.rejected_count),
        key=lambda batch: (-batch.rejected_count, batch.source_file),
    )
    if not files:
        return
    console.print("Rejected; the table rejected_events has every record:", markup=False)
    table = Table(box=None, show_header=False, padding=(0, 0, 0, 2))
    table.add_column(overflow="fold")
    table.add_column(overflow="fold")
    for batch in files[:_MOST_FILES]:
        table.add_row(Text(batch.source_file), _counts(batch.reject_reasons))
    if others := files[_MOST_FILES:]:
        total: Counter[str] = Counter()
        for batch in others:
            total.update(dict(batch.reject_reasons))
        table.add_row(f"{len(others):,} more files", _counts(total.items()))
    console.print(table)


def _counts(reasons: Iterable[tuple[str, int]]) -> str:
    return ", ".join(
        f"{count:,} {reason}" for reason, count in sorted(reasons, key=lambda of: (-of[1], of[0]))
    )


def _invoices(file: Path) -> Table:
    table = Table(
        title="Invoices by month of the cycle's last day", title_justify="left", box=box.SIMPLE_HEAD
    )
    for name in ("Month", "Currency", "Invoices", "of which drafts", "Total"):
        table.add_column(name, justify="left" if name in {"Month", "Currency"} else "right")
    with open_tables(file) as tables:
        for month, currency, invoices, drafts, total in tables.execute(_BY_MONTH).fetchall():
            table.add_row(month, currency, f"{invoices:,}", f"{drafts:,}", minor_as_text(total, currency))
    return table


def _advice(published: Published) -> Iterator[str]:
    if not published.row_counts.get("recommendations"):
        return
    with open_tables(published.file) as tables:
        [(count,)] = tables.execute("select count(*) from recommendations where status = 'open'").fetchall()
    if count:
        words = "1 recommendation is" if count == 1 else f"{count:,} recommendations are"
        yield f"{words} open: `meterhouse recommendations` shows what to change and what it saves."


def _where(published: Published) -> Iterator[str]:
    file = _short(published.file)
    yield f"Published {len(published.row_counts)} tables: {file}"
    code = f"import duckdb; duckdb.connect('{file}', read_only=True).sql('from invoices').show()"
    yield f'Open it:  {_short(Path(sys.executable))} -c "{code}"'


def _short(path: Path) -> str:
    """As a person in this folder would write it."""
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative
