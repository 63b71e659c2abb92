"""The asset of issued documents: what a closing adds to the ledger."""

from datetime import date

import dagster as dg

from pipelines.assets.lake import failing
from pipelines.assets.serving import PUBLISHED
from pipelines.errors import ConfigurationError
from pipelines.session import Session

ISSUED = dg.AssetKey(["ledger", "issued_documents"])


class CloseConfig(dg.Config):
    """What a run of the job ``close`` is told.

    :param through: the last day of cycles that are closed, YYYY-MM-DD; empty: that of the month before.
    :param by: who closes; empty: whoever runs this process.
    :param expect: the hash of the documents that may be issued, as a dry run tells it; empty: any.
    :param corrections_from: what the corrections of an issued invoice must come to; smaller ones wait.
    """

    through: str = ""
    by: str = ""
    expect: str = ""
    corrections_from: str = "0"


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
    from pipelines.books.command import closer, hash_to_expect, last_day, least_correction, month_before

    session: Session = context.resources.session
    with failing(session):
        through = _day(config.through) if config.through else last_day(month_before(session.as_of))
        outcome = close_books(
            session,
            through,
            corrections_from=least_correction(config.corrections_from),
            expected_hash=hash_to_expect(config.expect or None),
            closed_by=closer(config.by or None),
        )
    for warning in session.warnings:
        context.log.warning(warning)
    closing = outcome.closing
    if session.published:
        rows = {f"rows {name}": count for name, count in session.published.row_counts.items()}
        context.log_event(dg.AssetMaterialization(PUBLISHED, metadata=rows))
    return dg.MaterializeResult(
        metadata={
            "through": through.isoformat(),
            "hash": outcome.plan.documents.hash(),
            "closing": closing.closing_number if closing else "nothing to issue",
            **({"closed_by": closing.closed_by} if closing else {}),
            "invoices": len(outcome.invoice_numbers),
            "credit_notes": len(outcome.credit_note_numbers),
        }
        | {f"total {row['currency']}": row["invoiced_words"] for row in outcome.plan.totals}
    )


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ConfigurationError(
            f"{text!r} is not a date", where="through", remedy="write e.g. 2026-03-31"
        ) from None
