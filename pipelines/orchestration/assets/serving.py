"""Assets of what people read: the published file, and who reads it (dbt's exposures)."""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from pipelines.orchestration.assets.lake import failing
from pipelines.serving.publish import publish_build
from pipelines.session import Session
from pipelines.warehouse.measure import measure, open_tables
from pipelines.warehouse.project import PUBLISHED_LAYERS, Manifest, models_in

PUBLISHED = dg.AssetKey(["serving", "meterhouse"])


def published_asset(manifest: Manifest) -> dg.AssetsDefinition:
    """The published file, from every mart and action."""

    @dg.asset(
        key=PUBLISHED,
        deps=[dg.AssetKey(model["name"]) for model in models_in(manifest, PUBLISHED_LAYERS)],
        group_name="serving",
        kinds={"duckdb"},
        description="serving/meterhouse.duckdb: what people and BI tools open, read-only.",
        required_resource_keys={"session"},
    )
    def published(context: dg.AssetExecutionContext) -> dg.MaterializeResult[None]:
        session: Session = context.resources.session
        with failing(session):
            metadata = publish_marts(session, manifest)
        return dg.MaterializeResult(metadata=metadata)

    return published


def publish_marts(session: Session, manifest: Manifest) -> dict[str, Any]:
    """Publish what the session built; metadata: rows by table, money totals, and how fresh it is."""
    published_at = session.settings.now()
    with session.steps.step("Publishing"):
        published = publish_build(session.settings.home, session.dbt_settings({}), manifest, published_at)
    session.published = published
    metadata: dict[str, Any] = {f"rows {name}": rows for name, rows in published.row_counts.items()}
    with open_tables(published.file) as tables:
        if "invoices" in published.row_counts:
            metadata |= {
                f"invoices {name}": total for name, total in measure(tables, "invoices").totals.items()
            }
    return {
        **metadata,
        "path": dg.MetadataValue.path(published.file),
        "published_at": dg.MetadataValue.timestamp(published_at),
        "as_of": dg.MetadataValue.timestamp(session.as_of),
    }


def exposures(manifest: Mapping[str, Any]) -> list[dg.AssetSpec]:
    """Who reads the published file, at the end of the lineage."""
    return [
        dg.AssetSpec(
            dg.AssetKey(["exposures", exposure["name"]]),
            deps=[PUBLISHED],
            group_name="exposures",
            description=exposure["description"],
            metadata={"owner": exposure["owner"].get("name") or exposure["owner"].get("email") or ""},
        )
        for exposure in manifest["exposures"].values()
    ]
