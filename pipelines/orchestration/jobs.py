"""The jobs over a home. What starts them is in ``schedules`` and ``sensors``, what they do in ``assets/``."""

from collections.abc import Sequence
from dataclasses import dataclass

import dagster as dg

from pipelines.orchestration.assets.alerts import RAISED
from pipelines.orchestration.assets.books import close_books
from pipelines.orchestration.assets.lake import ACCOUNTS, BATCHES, CATALOG, EVENTS, PRICES, REJECTS
from pipelines.orchestration.assets.payments import reconcile_op, send_op
from pipelines.orchestration.assets.serving import PUBLISHED
from pipelines.orchestration.assets.warehouse import model_grain
from pipelines.orchestration.instance import CLOSE_JOB, MAIN_JOB, SEND_JOB
from pipelines.orchestration.schedules import Job, closing_schedule, payment_schedules, upkeep_schedules
from pipelines.orchestration.sensors import sensors_for
from pipelines.settings import Settings
from pipelines.warehouse.measure import Grain
from pipelines.warehouse.project import Manifest, models_in


@dataclass(frozen=True)
class Automation:
    """All jobs and what starts them."""

    jobs: Sequence[Job]
    schedules: Sequence[dg.ScheduleDefinition]
    sensors: Sequence[dg.SensorDefinition]


def automation_for(settings: Settings, manifest: Manifest) -> Automation:
    """The jobs over a home, hourly, daily and monthly schedules, and sensors for new files and failures.

    What keeps the home current is on as soon as the daemon runs. What issues or sends documents is off until
    a person switches it on, or the environment does (``starts_every_schedule``).

    :raises ConfigurationError: a setting of the schedules is none.
    """
    models = {dg.AssetKey(model["name"]): model_grain(model) for model in models_in(manifest)}

    def models_of(grain: Grain | None) -> list[dg.AssetKey]:
        return [key for key, of in models.items() if of == grain]

    # Checks of partitioned marts run in every build, whichever models the job selects.
    checks = dg.AssetSelection.checks_for_assets(*models, RAISED)
    lake = [CATALOG, ACCOUNTS, EVENTS, REJECTS, BATCHES, PRICES]
    main = dg.define_asset_job(
        MAIN_JOB,
        dg.AssetSelection.assets(*lake, *models_of(None), PUBLISHED, RAISED)
        | dg.AssetSelection.all_asset_checks(),
        description="Read new files, rebuild what they touch, check, publish.",
    )
    rebuild_day = dg.define_asset_job(
        "rebuild_day",
        dg.AssetSelection.assets(*models_of("day"), PUBLISHED, RAISED) | checks,
        description="Compute chosen local days of usage again from the lake, then check, publish and alert.",
    )
    rebuild_month = dg.define_asset_job(
        "rebuild_month",
        dg.AssetSelection.assets(*models_of("month"), PUBLISHED, RAISED) | checks,
        description="Compute the cycles that end in chosen months again, then check, publish and alert.",
    )

    @dg.job(
        name=CLOSE_JOB,
        description="Issue the invoices and corrections of cycles that ended by the day that is given.",
    )
    def close() -> None:
        close_books()

    payment_jobs, by_the_clock = payments(settings)
    return Automation(
        [main, rebuild_day, rebuild_month, close, *payment_jobs],
        [*upkeep_schedules(main, rebuild_day, rebuild_month), closing_schedule(close), *by_the_clock],
        sensors_for(settings, main),
    )


def payments(settings: Settings) -> tuple[list[Job], list[dg.ScheduleDefinition]]:
    """The jobs that talk to Stripe, and when they do so by themselves."""
    send_outbox, compare_with_stripe = send_op(settings), reconcile_op(settings)

    @dg.job(name=SEND_JOB, description="Send what was issued to Stripe, and again what did not get there.")
    def send() -> None:
        send_outbox()

    @dg.job(
        name="reconcile",
        description="Compare the ledger with Stripe; payments and links come back with it.",
    )
    def reconcile() -> None:
        compare_with_stripe()

    sends = {"ops": {send_outbox.name: {"config": {"confirm": True}}}}
    return [send, reconcile], payment_schedules(send, reconcile, sends)
