"""The asset of issued documents: what a closing adds to the ledger."""

from datetime import date

import dagster as dg

from pipelines.assets.lake import failing
from pipelines.session import Session

ISSUED = dg.AssetKey(["ledger", "issued_documents"])


class CloseConfig(dg.Config):
    """What a run of the job ``close`` is told.

    :param through: the last day of cycles that are closed, YYYY-MM-DD; empty: that of the month before.
    """

    through: str = ""


@dg.asset(
    key=ISSUED,
    deps=[dg.AssetKey("invoices"), dg.AssetKey("invoice_lines")],
    group_name="books",
    description="Invoices and credit notes, numbered and unchangeable, with the closings that issued them.",
    required_resource_keys={"session"},
)
def issued_documents(context: dg.AssetExecutionContext, config: CloseConfig) -> dg.MaterializeResult[None]:
    """Close the books. What cannot be closed fails the run and says why; nothing is issued then."""
    from pipelines.books.closing import close_books
    from pipelines.books.command import last_day, month_before

    session: Session = context.resources.session
    with failing(session):
        through = (
            date.fromisoformat(config.through) if config.through else last_day(month_before(session.as_of))
        )
        outcome = close_books(session, through)
    closing = outcome.closing
    return dg.MaterializeResult(
        metadata={
            "through": through.isoformat(),
            "closing": closing.closing_number if closing else "nothing to issue",
            "invoices": len(outcome.invoice_numbers),
            "credit_notes": len(outcome.credit_note_numbers),
        }
        | {f"total {row['currency']}": row["invoiced_words"] for row in outcome.plan.totals}
    )
