"""The one place where everything is put together for Dagster. What an asset does belongs elsewhere."""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from pipelines.orchestration.assets import lake
from pipelines.orchestration.assets.alerts import notifications_are_delivered, raised_alerts
from pipelines.orchestration.assets.books import issued_documents
from pipelines.orchestration.assets.payments import payment_assets
from pipelines.orchestration.assets.serving import exposures, published_asset
from pipelines.orchestration.assets.warehouse import warehouse_asset
from pipelines.orchestration.jobs import automation_for
from pipelines.orchestration.partitions import partitions_for
from pipelines.orchestration.run_session import session_resource
from pipelines.session import Session
from pipelines.settings import Settings, load_settings
from pipelines.warehouse import builds
from pipelines.warehouse.project import Manifest


def build_definitions(
    settings: Settings | None = None,
    *,
    session: Session | None = None,
    manifest: Manifest | None = None,
    resources: Mapping[str, Any] | None = None,
) -> dg.Definitions:
    """All assets, checks, jobs, schedules and sensors over one home.

    :param settings: the home and clock; by default those of the environment.
    :param session: what the run shares; by default every run makes its own.
    :param manifest: dbt's manifest; by default that of the project, from the home's cache.
    :param resources: replaces resources by name, for tests.
    """
    settings = settings or (session.settings if session else load_settings())
    manifest = manifest or builds.load_manifest(settings.home)
    partitions = partitions_for(settings.home)
    automation = automation_for(settings, manifest)
    return dg.Definitions(
        assets=[
            *(asset for asset in lake.assets if not isinstance(asset, dg.AssetChecksDefinition)),
            warehouse_asset(manifest, partitions),
            published_asset(manifest),
            raised_alerts,
            issued_documents,
            *payment_assets,
            *exposures(manifest),
        ],
        asset_checks=[
            *(asset for asset in lake.assets if isinstance(asset, dg.AssetChecksDefinition)),
            notifications_are_delivered,
        ],
        jobs=automation.jobs,
        schedules=automation.schedules,
        sensors=automation.sensors,
        resources={"session": session_resource(settings, session), **(resources or {})},
        # Steps are short and share one DuckDB file: a process for each would cost more than the work.
        executor=dg.in_process_executor,
    )
