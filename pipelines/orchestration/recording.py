"""Showing in Dagster's history what the command line did without a run of Dagster's own.

The history is for looking at: done stays done, shown or not (D-run-history-is-not-the-run). What it shows of
an asset belongs to ``pipelines.orchestration.assets``.
"""

import threading
from collections.abc import Callable, Iterable
from importlib import import_module
from typing import TYPE_CHECKING

from pipelines.home import Home
from pipelines.orchestration.instance import instance_dir

if TYPE_CHECKING:
    import dagster as dg

    from pipelines.payments.reconcile import Reconciliation
    from pipelines.payments.sender import SendReport
    from pipelines.session import Session

LONGEST_SECONDS = 10.0
"""A history that another process holds is waited for no longer."""


def record_closing(session: "Session") -> str | None:
    """Show the closings that the history lacks and, if the session published, that; as ``record``."""

    def describe(instance: "dg.DagsterInstance") -> Iterable["dg.AssetMaterialization"]:
        from pipelines.ledger import open_ledger
        from pipelines.orchestration.assets.books import published_by, unrecorded_closings

        with open_ledger(session.settings.home) as ledger:
            return [*unrecorded_closings(instance, ledger), *published_by(session)]

    return record(session.settings.home, describe)


def record_sending(home: Home, report: "SendReport") -> str | None:
    """Show what one sending brought to Stripe, if anything; as ``record``."""

    def describe(_: "dg.DagsterInstance") -> Iterable["dg.AssetMaterialization"]:
        from pipelines.ledger import open_ledger
        from pipelines.orchestration.assets.payments import sent_materialization

        with open_ledger(home) as ledger:
            return [sent_materialization(ledger, report)]

    return record(home, describe) if report.has_sent else None


def record_reconciliation(home: Home, found: "Reconciliation") -> str | None:
    """Show one comparison with Stripe; as ``record``."""

    def describe(_: "dg.DagsterInstance") -> Iterable["dg.AssetMaterialization"]:
        from pipelines.orchestration.assets.payments import reconciled_materialization

        return [reconciled_materialization(found)]

    return record(home, describe)


def record(
    home: Home, describe: Callable[["dg.DagsterInstance"], Iterable["dg.AssetMaterialization"]]
) -> str | None:
    """Add to the history of a home what is done. Never raises, and takes a few seconds at most.

    :returns: a warning for people; None: the history has it.
    """
    reasons: list[str] = []

    def write() -> None:
        try:
            _write(home, describe)
        except Exception as error:
            reasons.append(_reason(error))

    try:
        # Takes seconds on a busy machine, and waits for nobody.
        import_module("pipelines.orchestration.assets.payments")
        # Dagster waits minutes for a locked file and cannot be told how long; the process ends without it.
        thread = threading.Thread(target=write, name="history", daemon=True)
        thread.start()
        thread.join(LONGEST_SECONDS)
        if thread.is_alive():
            reasons.append(f"no answer within {LONGEST_SECONDS:g} s; another process may hold it")
    except KeyboardInterrupt:
        # There is nothing left to stop.
        reasons.append("interrupted")
    except Exception as error:
        reasons.append(_reason(error))
    if not reasons:
        return None
    return (
        "what was done is done, but `meterhouse ui` does not show it yet: the history in"
        f" {home.root / '.dagster'} could not be written: {reasons[-1]}"
    )


def _write(
    home: Home, describe: Callable[["dg.DagsterInstance"], Iterable["dg.AssetMaterialization"]]
) -> None:
    import dagster as dg

    with dg.DagsterInstance.from_config(str(instance_dir(home))) as instance:
        for event in describe(instance):
            instance.report_runless_asset_event(event)


def _reason(error: Exception) -> str:
    """In one line; of a database's error what it says itself, without the statement."""
    return " ".join(str(getattr(error, "orig", None) or error).split())
