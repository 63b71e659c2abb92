"""What Stripe is told and says, in Dagster: assets that only show it, and the work of jobs that talk to it.

Whoever asks for all assets must not send anything, so the assets cannot be executed. The jobs do not hold
the home: sending may take an hour, and writes nothing of the warehouse. One of them talks to Stripe at a time
(``service.alone``). What is sent, and how, does not belong here.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import dagster as dg
from pydantic import Field

from pipelines.errors import ConfigurationError
from pipelines.ledger import Ledger, open_ledger
from pipelines.ledger.totals import sent_invoices, sent_totals
from pipelines.orchestration.assets.books import ISSUED, amounts
from pipelines.payments import service
from pipelines.payments.reconcile import Reconciliation
from pipelines.payments.sender import SendReport
from pipelines.payments.settings import KEY_VARIABLE
from pipelines.settings import Settings

SENT = dg.AssetKey(["stripe", "sent"])
RECONCILED = dg.AssetKey(["stripe", "reconciled"])

payment_assets: Sequence[dg.AssetSpec] = [
    dg.AssetSpec(
        SENT,
        deps=[ISSUED],
        group_name="payments",
        description="What was issued, at Stripe, each document and line exactly once."
        " Only the job `send` and the command of that name send any.",
    ),
    dg.AssetSpec(
        RECONCILED,
        deps=[SENT],
        group_name="payments",
        description="The ledger compared with what Stripe holds; payment states and links come back with it.",
    ),
]


class SendConfig(dg.Config):
    """What a run of the job ``send`` is told."""

    confirm: bool = Field(description="true: send to Stripe whatever was issued and is not there yet.")


def send_op(settings: Settings) -> dg.OpDefinition:
    """Sending, over one home."""

    @dg.op(out=dg.Out(dg.Nothing), description="Send what was issued to Stripe, each document exactly once.")
    def send_outbox(context: dg.OpExecutionContext, config: SendConfig) -> Iterator[dg.AssetMaterialization]:
        if not config.confirm:
            raise ConfigurationError(
                "it is false; nothing was sent", where="confirm", remedy="set it to true to send"
            )
        report = service.send_outbox(settings)
        if report is None:
            raise ConfigurationError(
                "it is not set; nothing was sent",
                where=KEY_VARIABLE,
                remedy="set it to a test key (sk_test_...) and start the interface again",
            )
        if report.has_sent:
            try:
                with open_ledger(settings.home) as ledger:
                    shown = sent_materialization(ledger, report)
            except Exception as error:
                context.log.warning(f"What was sent is done, but not in this history: {error}")
            else:
                # Logged instead, it would be lost with a failure.
                yield shown
        service.fail_if_open(report)

    return send_outbox


def reconcile_op(settings: Settings) -> dg.OpDefinition:
    """Comparing, over one home; it changes nothing at Stripe."""

    @dg.op(out=dg.Out(dg.Nothing), description="Compare the ledger with what Stripe holds.")
    def compare_with_stripe() -> Iterator[dg.AssetMaterialization]:
        found = service.reconcile_ledger(settings)
        yield reconciled_materialization(found)
        service.fail_if_different(found)

    return compare_with_stripe


def sent_materialization(ledger: Ledger, report: SendReport) -> dg.AssetMaterialization:
    """What one sending brought to Stripe: how much, of which invoices, and what it did not."""
    metadata: dict[str, Any] = {
        "account": report.account or "",
        **report.counts,
        "failed": sum(state in {"FAILED", "SENDING"} for state, _, _ in report.troubles),
        "waiting_for_review": sum(state == "NEEDS_REVIEW" for state, _, _ in report.troubles),
        **amounts(sent_totals(ledger, report.sender)),
        "documents": sent_invoices(ledger, report.sender),
    }
    return dg.AssetMaterialization(SENT, metadata=metadata)


def reconciled_materialization(found: Reconciliation) -> dg.AssetMaterialization:
    """What one comparison looked at, and how much of it differs."""
    return dg.AssetMaterialization(
        RECONCILED,
        metadata={
            "account": found.account,
            "objects_compared": found.seen,
            "differences": sum(one.is_blocking for one in found.differences),
        },
    )
