"""The tie-out as it was last published: from usage to payment by invoice, without asking Stripe.

Figures are the mart's own (``tie_out``), their sums SQL's. Comparing with Stripe does not belong here.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import duckdb

from pipelines.errors import MeterhouseError
from pipelines.home import Home
from pipelines.ledger import open_ledger
from pipelines.ledger.books import all_closings
from pipelines.serving.readers import open_published

SUMS: Final = {
    "total_minor": "Issued",
    "unsent_minor": "of it not sent",
    "credit_minor": "Credit notes",
    "unsent_credit_minor": "of them not sent",
    "paid_minor": "Paid",
    "open_minor": "Open at Stripe",
    "waiting_minor": "Corrections that wait",
    "unexplained_minor": "Unexplained",
}
_ROWS = "select * from tie_out order by period_end, customer_id, currency, invoice_number"
_TOTALS = f"""
    select
        currency, count(*) as invoice_count,
        {", ".join(f"cast(coalesce(sum({name}), 0) as bigint) as {name}" for name in SUMS)}
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
    with open_published(home.published_file) as tables:
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
