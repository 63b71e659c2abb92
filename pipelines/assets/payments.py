"""Assets of what Stripe is told and says: operations sent, and the comparison with the ledger.

They do not hold the home: sending may take an hour, and writes nothing of the warehouse. One of them talks
to Stripe at a time (``commands.alone``). What is sent, and how, does not belong here.
"""

from typing import Any

import dagster as dg

from pipelines.assets.books import ISSUED
from pipelines.payments import commands
from pipelines.payments.settings import KEY_VARIABLE, load_stripe_settings
from pipelines.settings import Settings

SENT = dg.AssetKey(["stripe", "sent"])
RECONCILED = dg.AssetKey(["stripe", "reconciled"])


def payment_assets(settings: Settings) -> list[dg.AssetsDefinition]:
    """What is sent and what is compared, over one home."""

    @dg.asset(
        key=SENT,
        deps=[ISSUED],
        group_name="payments",
        description="What was issued, at Stripe, each document and line exactly once. Nothing without a key.",
    )
    def sent() -> dg.MaterializeResult[None]:
        report = commands.send_outbox(settings)
        if report is None:
            return dg.MaterializeResult(metadata={"skipped": f"{KEY_VARIABLE} is not set"})
        commands.fail_if_open(report)
        metadata: dict[str, Any] = {
            "account": report.account or "",
            **report.counts,
            "waiting_for_review": sum(state == "NEEDS_REVIEW" for state, _, _ in report.troubles),
        }
        return dg.MaterializeResult(metadata=metadata)

    @dg.asset(
        key=RECONCILED,
        deps=[SENT],
        group_name="payments",
        description="The ledger compared with what Stripe holds; payment states and links come back with it.",
    )
    def reconciled() -> dg.MaterializeResult[None]:
        if load_stripe_settings() is None:
            return dg.MaterializeResult(metadata={"skipped": f"{KEY_VARIABLE} is not set"})
        found = commands.reconcile_ledger(settings)
        commands.fail_if_different(found)
        return dg.MaterializeResult(metadata={"account": found.account, "objects_compared": found.seen})

    return [sent, reconciled]
