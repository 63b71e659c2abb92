"""Issued documents in Dagster: an asset that only shows them, and the work of the job that issues them.

Whoever asks for all assets must not close books, so the asset cannot be executed. What is issued does not
belong here.
"""

from collections.abc import Sequence
from datetime import date
from typing import Any

import dagster as dg
from pydantic import Field

from pipelines.documents.text import plain_money_text
from pipelines.errors import ConfigurationError
from pipelines.ledger import Ledger, open_ledger
from pipelines.ledger.books import Closing, all_closings, numbers_of
from pipelines.ledger.totals import Total, issued_totals
from pipelines.orchestration.assets.lake import failing
from pipelines.orchestration.assets.serving import PUBLISHED
from pipelines.session import Session

ISSUED = dg.AssetKey(["ledger", "issued_documents"])

issued_documents = dg.AssetSpec(
    ISSUED,
    deps=[dg.AssetKey("invoices"), dg.AssetKey("invoice_lines")],
    group_name="books",
    description="Invoices and credit notes, numbered and unchangeable, with the closings that issued them."
    " Only the job `close` and the command of that name issue any.",
)


class CloseConfig(dg.Config):
    """What a run of the job ``close`` is told."""

    through: str = Field(
        description="A month, e.g. 2026-03, or a day, e.g. 2026-03-31: cycles that end by then are closed."
    )
    by: str = Field(default="", description="Who closes; empty: whoever runs this process.")
    expect: str = Field(
        default="", description="The hash of the documents that may be issued, from a dry run; empty: any."
    )
    corrections_from: str = Field(
        default="0", description="What the corrections of an issued invoice must come to; smaller ones wait."
    )


@dg.op(
    required_resource_keys={"session"},
    out=dg.Out(dg.Nothing),
    description="Issue the invoices and corrections of every cycle that ended by a day; safe to repeat.",
)
def close_books(context: dg.OpExecutionContext, config: CloseConfig) -> None:
    """What cannot be closed fails the run and says why; nothing is issued then."""
    from pipelines.books import closing
    from pipelines.books.arguments import closer, hash_to_expect, least_correction

    session: Session = context.resources.session
    with failing(session):
        outcome = closing.close_books(
            session,
            _day(config.through),
            corrections_from=least_correction(config.corrections_from),
            expected_hash=hash_to_expect(config.expect or None),
            closed_by=closer(config.by or None),
        )
    for warning in session.warnings:
        context.log.warning(warning)
    if outcome.closing is None:
        context.log.info(f"Nothing to issue through {outcome.plan.terms.through}.")
    try:
        with open_ledger(session.settings.home) as ledger:
            done = unrecorded_closings(context.instance, ledger)
        for event in [*done, *published_by(session)]:
            context.log_event(event)
    except Exception as error:
        context.log.warning(f"What was closed is done, but not in this history: {error}")


def unrecorded_closings(instance: dg.DagsterInstance, ledger: Ledger) -> list[dg.AssetMaterialization]:
    """Closings that a history does not show yet: also those that were cut off before they could say so."""
    last = instance.get_latest_materialization_event(ISSUED)
    event = last.asset_materialization if last else None
    shown = event.metadata.get("closing") if event else None
    number = shown.value if shown else None
    return [
        _materialization(ledger, closing)
        for closing in all_closings(ledger)
        if not isinstance(number, int) or closing.closing_number > number
    ]


def published_by(session: Session) -> list[dg.AssetMaterialization]:
    """The published file, if the session replaced it."""
    if session.published is None:
        return []
    rows = {f"rows {name}": count for name, count in session.published.row_counts.items()}
    return [dg.AssetMaterialization(PUBLISHED, metadata=rows)]


def amounts(totals: Sequence[Total]) -> dict[str, Any]:
    """Sums by kind and currency for people: {"invoice USD": "31.50"}."""
    return {
        f"{total.kind} {total.currency}": plain_money_text(total.amount_minor, total.minor_units)
        for total in totals
    }


def _materialization(ledger: Ledger, closing: Closing) -> dg.AssetMaterialization:
    invoices, notes = numbers_of(ledger, closing.closing_number)
    metadata: dict[str, Any] = {
        "closing": closing.closing_number,
        "through": closing.through.isoformat(),
        "closed_at": dg.MetadataValue.timestamp(closing.closed_at),
        "closed_by": closing.closed_by or "not known",
        "invoices": len(invoices),
        "credit_notes": len(notes),
        **amounts(issued_totals(ledger, closing.closing_number)),
        "documents": [*invoices, *notes],
    }
    return dg.AssetMaterialization(ISSUED, metadata=metadata)


def _day(text: str) -> date:
    """The last day of a month, or the day itself.

    :raises ConfigurationError: it is neither.
    """
    from pipelines.times import last_day

    try:
        return date.fromisoformat(text)
    except ValueError:
        pass
    try:
        return last_day(text)
    except ConfigurationError:
        raise ConfigurationError(
            f"{text!r} is neither a month nor a day",
            where="through",
            remedy="write e.g. 2026-03 or 2026-03-31",
        ) from None
