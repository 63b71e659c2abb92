"""The asset of what people are told: alerts of the warehouse, raised in the ledger and sent."""

import dagster as dg

from pipelines.errors import MeterhouseError
from pipelines.ledger import open_ledger
from pipelines.notify.alerts import raise_new_alerts
from pipelines.session import Session

RAISED = dg.AssetKey(["ledger", "alerts"])


@dg.asset(
    key=RAISED,
    deps=[dg.AssetKey("budget_alerts")],
    group_name="actions",
    description="Alerts raised, each once, and sent to the destinations of alerts.yml. Never stops a run.",
    required_resource_keys={"session"},
)
def raised_alerts(context: dg.AssetExecutionContext) -> dg.MaterializeResult[None]:
    """Raise what is new; what cannot be raised or sent is a warning and waits for the next run."""
    session: Session = context.resources.session
    with session.steps.step("Raising alerts"):
        raised = raise_new_alerts(
            session.settings.home,
            session.configuration.catalog.alerts.destinations,
            session.as_of,
            session.build_id,
        )
    if raised.failure:
        session.warnings.append(f"alerts could not be raised and wait for the next run: {raised.failure}")
    if raised.delivery.failed:
        session.warnings.append(f"{raised.delivery.failed} notifications could not be delivered")
    return dg.MaterializeResult(
        metadata={
            "new_alerts": len(raised.alerts),
            "notifications_sent": raised.delivery.sent,
            "notifications_waiting": raised.delivery.waiting,
            "notifications_failed": raised.delivery.failed,
        }
    )


@dg.asset_check(asset=RAISED, required_resource_keys={"session"})
def notifications_are_delivered(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
    """No message was given up: each reached its destination, or will be tried again."""
    session: Session = context.resources.session
    metadata: dict[str, int | str] = {}
    try:
        with open_ledger(session.settings.home) as ledger:
            states = ledger.count_notifications()
        metadata = {
            "sent": states.get("sent", 0),
            "pending": states.get("pending", 0),
            "failed": states.get("failed", 0),
        }
    except MeterhouseError as error:
        metadata = {"ledger": str(error)}
    return dg.AssetCheckResult(
        passed=metadata.get("failed") == 0, severity=dg.AssetCheckSeverity.WARN, metadata=metadata
    )
