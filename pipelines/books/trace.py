"""The events behind invoice lines: read from the lake once more, as they were known to what stated the line.

What a line is made of is computed in SQL (``dbt_project/models/proof``); showing it to ``pipelines.cli``.
"""

import re
import shutil
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.books.knowledge import Knowledge
from pipelines.books.recompute import recompute, scratch_folder
from pipelines.errors import ConfigurationError, MeterhouseError
from pipelines.home import Home
from pipelines.ledger import open_ledger
from pipelines.progress import Step, Steps
from pipelines.warehouse.measure import open_tables
from pipelines.warehouse.scope import Scope

_MODELS = ("line_proofs", "line_windows", "line_events")

_WANTED = """
    select lines.invoice_line_id, lines.customer_id, lines.line_type = 'adjustment', issued.closing_number
    from invoice_lines as lines
    inner join invoices on lines.invoice_id = invoices.invoice_id
    left join stg_ledger__issued_lines as issued on lines.invoice_line_id = issued.invoice_line_id
    where
        case $by
            when 'line' then lines.invoice_line_id = $value
            when 'invoice' then lines.invoice_id = $value or invoices.invoice_number = $value
            else strftime(invoices.period_end - interval 1 day, '%Y-%m') = $value
        end
    order by all
"""
# An adjustment is the difference of two statements about one line; what was rated is not asked again.
_STATEMENTS = """
    create table line_statements as
    select
        lines.invoice_line_id, lines.invoice_id, lines.customer_id, lines.subscription_id, lines.plan_id,
        lines.line_type, lines.meter_id, lines.description, lines.currency, lines.adjusts_line_id,
        lines.adjusts_invoice_id, lines.quantity, lines.amount, lines.amount_minor,
        lines.restated_quantity - lines.quantity as stated_quantity,
        lines.restated_amount_minor - lines.amount_minor as stated_amount_minor,
        lines.restated_quantity, lines.restated_amount_minor, lines.causes, lines.plan_version,
        lines.period_start, lines.period_end, lines.service_start, lines.service_end
    from {warehouse}.invoice_lines as lines
    where lines.invoice_line_id in (select unnest($lines))
"""
_TABLE = """
    create view traced_events as
    select
        proofs.invoice_line_id, proofs.invoice_id, proofs.customer_id, proofs.subscription_id,
        proofs.line_type, proofs.meter_id, proofs.period_start, proofs.period_end, proofs.service_start,
        proofs.service_end, proofs.rule, statements.causes, proofs.usage_quantity, proofs.quantity,
        proofs.amount_minor, proofs.currency, windows.window_start, windows.window_end,
        windows.quantity as window_quantity, windows.included_quantity, windows.overage_quantity,
        events.event_id, events.revision, events.occurred_at, events.usage_date, events.batch_id,
        events.source_file, events.source_row, events.part, events.series, events.reading,
        events.contribution, events.window_contribution
    from line_proofs as proofs
    left join line_statements as statements on proofs.invoice_line_id = statements.invoice_line_id
    left join line_windows as windows on proofs.invoice_line_id = windows.invoice_line_id
    left join line_events as events
        on windows.invoice_line_id = events.invoice_line_id and windows.window_start = events.window_start
    order by
        proofs.period_start, proofs.invoice_id, proofs.invoice_line_id, windows.window_start,
        events.occurred_at, events.event_id
"""


@dataclass(frozen=True)
class Selection:
    """Which lines: ``by`` is line, invoice (id or number) or month (of the cycle's last day, ``2026-03``)."""

    by: str
    value: str

    @classmethod
    def of(cls, **given: str | None) -> Self:
        """The one that is given.

        :raises ConfigurationError: none is, or several are, or the month is none.
        """
        chosen = [(by, value) for by, value in given.items() if value is not None]
        if len(chosen) != 1:
            raise ConfigurationError(
                "it is not clear which lines are meant",
                where="trace",
                remedy="name a line, or --invoice ID, or --month YYYY-MM",
            )
        [(by, value)] = chosen
        if by == "month" and not re.fullmatch(r"\d{4}-(0[1-9]|1[0-2])", value):
            raise ConfigurationError(
                f"{value!r} is not a month", where="--month", remedy="write e.g. 2026-03"
            )
        return cls(by, value)


@contextmanager
def trace_lines(home: Home, selection: Selection, steps: Steps) -> Iterator[duckdb.DuckDBPyConnection]:
    """The lines and all that is behind them; the caller holds the home's lock.

    Lines that were issued are computed from what their closing knew, others from what the last good warehouse
    was built from; each once for all lines that share it.

    :returns: a connection with ``line_proofs``, ``line_windows``, ``line_events`` (see the dbt project),
        ``line_statements`` (one row per adjustment line: what was stated, what is, and why) and
        ``traced_events`` (all of it as one table: a row per line, window and event; at least one per line).
    :raises ConfigurationError: there is no such line.
    :raises MeterhouseError: the lake lacks what it was computed from.
    """
    wanted = _wanted(home, selection)
    by_closing: dict[int | None, list[_Line]] = defaultdict(list)
    for line in wanted:
        if not line.is_adjustment:
            by_closing[line.closing_number].append(line)
    if not by_closing:
        by_closing[None] = []  # gives the tables, without rows
    files = []
    with steps.step("Computing the lines from their events") as step, open_ledger(home) as ledger:
        for done, (closing_number, lines) in enumerate(by_closing.items()):
            _tell(step, done, len(by_closing), closing_number)
            knowledge = (
                Knowledge.of_warehouse(home)
                if closing_number is None
                else Knowledge.of_closing(ledger, closing_number)
            )
            files.append(_compute(home, knowledge, lines, closing_number))
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        warehouse = home.warehouse_file.stem  # which its views call it by
        connection.execute(f"attach '{_quoted(home.warehouse_file)}' as {warehouse} (read_only)")
        adjustments = [line.line_id for line in wanted if line.is_adjustment]
        statements = _STATEMENTS.format(warehouse=warehouse)
        connection.execute(statements, {"lines": adjustments})
        _unite(connection, files)
        connection.execute(_TABLE)
        _need_all(connection, wanted)
        yield connection
    for file in files:
        shutil.rmtree(file.parent)


@dataclass(frozen=True)
class _Line:
    line_id: str
    customer_id: str
    is_adjustment: bool
    closing_number: int | None


def _wanted(home: Home, selection: Selection) -> list[_Line]:
    if not home.warehouse_file.exists():
        raise MeterhouseError(
            "there is no warehouse yet", where=str(home.root), remedy="run `meterhouse run`"
        )
    with open_tables(home.warehouse_file) as tables:
        rows = tables.execute(_WANTED, {"by": selection.by, "value": selection.value}).fetchall()
    if not rows:
        what = "in the month" if selection.by == "month" else f"with the {selection.by} id"
        raise ConfigurationError(
            f"there is no line {what} {selection.value}",
            where=str(home.warehouse_file),
            remedy="the marts invoices and invoice_lines list what there is, as of the last `meterhouse run`",
        )
    return [_Line(*row) for row in rows]


def _compute(home: Home, knowledge: Knowledge, lines: Sequence[_Line], closing_number: int | None) -> Path:
    folder = scratch_folder(home, f"trace-{closing_number or 'current'}")
    asked = folder.with_name(f"{folder.name}-lines.parquet")
    asked.parent.mkdir(parents=True, exist_ok=True)
    line_ids = pa.array([line.line_id for line in lines], pa.string())
    pq.write_table(pa.table({"invoice_line_id": line_ids}), asked)
    return recompute(
        home,
        knowledge,
        customers={line.customer_id for line in lines},
        models=_MODELS,
        folder=folder,
        scope=Scope(traced_lines_file=asked),
    )


def _tell(step: Step, done: int, total: int, closing_number: int | None) -> None:
    known = "as known now" if closing_number is None else f"as known to closing {closing_number}"
    step.update(done, total, known)


def _unite(connection: duckdb.DuckDBPyConnection, files: Sequence[Path]) -> None:
    """One table of each model over all warehouses; adjustments have their proof in their two statements."""
    for number, file in enumerate(files):
        connection.execute(f"attach '{_quoted(file)}' as computed_{number} (read_only)")
    for model in _MODELS:
        parts = [f"select * from computed_{number}.{model}" for number in range(len(files))]
        if model == "line_proofs":
            parts.append("select *, description as rule, 0 as event_count from line_statements")
        connection.execute(f"create view {model} as {' union all by name '.join(parts)}")


def _need_all(connection: duckdb.DuckDBPyConnection, wanted: Sequence[_Line]) -> None:
    found = {
        line_id for (line_id,) in connection.execute("select invoice_line_id from line_proofs").fetchall()
    }
    if lost := [line for line in wanted if line.line_id not in found]:
        raise MeterhouseError(
            f"{len(lost)} of {len(wanted)} lines cannot be reproduced, {lost[0].line_id} among them",
            where="line_proofs",
            remedy="of an issued line `meterhouse rebuild` shows what differs; `meterhouse run --full`"
            " computes others with the models of today",
        )


def _quoted(path: Path) -> str:
    return str(path).replace("'", "''")
