"""Assets of the warehouse: every dbt model, with its tests as checks and layers as groups.

A build is always whole: dbt builds all models aside, incrementally, and promotes them together. A run that
selects only some of the models (a person rebuilding one day of one mart) still builds, audits and publishes
everything that the day touches; what it selects only decides which partition is asked for.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import dagster as dg
import duckdb
from dagster_dbt import DagsterDbtTranslator, DagsterDbtTranslatorSettings
from dagster_dbt.asset_utils import build_dbt_specs
from dagster_dbt.core.dbt_cli_event import DbtCoreCliEventMessage

from pipelines.errors import MeterhouseError
from pipelines.ingest import ensure_lake
from pipelines.lake.commits import read_lake
from pipelines.lake.documents import commit_documents
from pipelines.orchestration.assets.books import unrecorded_closings
from pipelines.orchestration.assets.lake import failing
from pipelines.orchestration.assets.serving import PUBLISHED, publish_marts
from pipelines.orchestration.partitions import selected_partitions
from pipelines.session import Session
from pipelines.warehouse import aside, builds
from pipelines.warehouse.measure import Grain, changed_partitions, grain_of, measure, open_tables
from pipelines.warehouse.outcome import BuildResult
from pipelines.warehouse.project import ON_DEMAND, Manifest, models_in

Partitions = Mapping[Grain, dg.PartitionsDefinition[str]]


class Translator(DagsterDbtTranslator):
    """Sources are the lake's assets; marts are partitioned by the days or months in them."""

    def __init__(self, partitions: Partitions) -> None:
        super().__init__(DagsterDbtTranslatorSettings(enable_duplicate_source_asset_keys=True))
        self._partitions = partitions

    def get_asset_key(self, dbt_resource_props: Mapping[str, Any]) -> dg.AssetKey:
        """A model's name; for sources the asset of the lake that holds them."""
        if dbt_resource_props["resource_type"] != "source":
            return dg.AssetKey(dbt_resource_props["name"])
        source, name = dbt_resource_props["source_name"], dbt_resource_props["name"]
        return dg.AssetKey(["lake", name if source == "lake" else source])

    def get_group_name(self, dbt_resource_props: Mapping[str, Any]) -> str | None:
        """The layer; for sources the lake."""
        return "lake" if dbt_resource_props["resource_type"] == "source" else dbt_resource_props["fqn"][1]

    def get_partitions_def(
        self, dbt_resource_props: Mapping[str, Any]
    ) -> dg.PartitionsDefinition[str] | None:
        """By the mart's own columns, so that a new mart needs no entry anywhere."""
        grain = model_grain(dbt_resource_props)
        return self._partitions[grain] if grain else None


def model_grain(model: Mapping[str, Any]) -> Grain | None:
    """The partitions of a model; only marts have some: what people look at is rebuilt by day or month."""
    if model["resource_type"] != "model" or model["fqn"][1] != "marts":
        return None
    return grain_of(list(model["columns"]))


def warehouse_asset(manifest: Manifest, partitions: Partitions) -> dg.AssetsDefinition:
    """One definition for all dbt models and tests."""
    translator = Translator(partitions)
    specs, check_specs = build_dbt_specs(
        translator=translator,
        manifest=manifest,
        select="fqn:*",
        exclude=ON_DEMAND,
        selector="",
        io_manager_key=None,
        project=None,
    )

    @dg.multi_asset(
        name="warehouse",
        specs=specs,
        check_specs=check_specs,
        can_subset=True,
        backfill_policy=dg.BackfillPolicy.single_run(),
        required_resource_keys={"session"},
    )
    def warehouse(context: dg.AssetExecutionContext) -> Iterator[Any]:
        session: Session = context.resources.session
        with failing(session):
            result = _build(context, session, manifest)
            yield from _asset_events(context, session, result, manifest, translator)
            if not result.failures:
                aside.promote_build(session.settings.home)
                _remember_lake(session)
                context.log.info(f"Promoted to {session.settings.home.warehouse_file}.")
            else:
                _fail(session, result)
        if PUBLISHED not in context.job_def.asset_layer.selected_asset_keys:
            with failing(session):
                metadata = publish_marts(session, manifest)
            context.log_event(dg.AssetMaterialization(PUBLISHED, metadata=metadata))

    return warehouse


def _build(context: dg.AssetExecutionContext, session: Session, manifest: Manifest) -> BuildResult:
    home = session.settings.home
    session.adopt()
    settings = session.dbt_settings(_rebuild(context, manifest))
    _export_ledger(context, session)
    commit_documents(ensure_lake(home))
    # Tables that other models made may not fit these; everything in them can be computed again.
    from_nothing = session.starts_over or aside.built_with(home) != settings.code_version
    aside.begin_build(home, from_nothing=from_nothing)
    with session.steps.step("Building and checking the warehouse") as step:
        try:
            result = builds.build(home, settings, manifest, on_progress=step.update)
        except MeterhouseError:
            aside.keep_failed_build(home)
            raise
    session.warnings += map(str, result.warnings)
    return result


def _export_ledger(context: dg.AssetExecutionContext, session: Session) -> None:
    """What the ledger says now, for dbt; the last export serves where the ledger is out of reach.

    Closings that could not be recorded when they were made are, now.
    """
    from pipelines.ledger import LedgerError, open_ledger
    from pipelines.ledger.lake_heads import need_recorded_head

    home = session.settings.home
    try:
        need_recorded_head(home, read_lake(home))
        with open_ledger(home) as ledger:
            for file in ledger.damaged_exports() if session.starts_over else ():
                session.warnings.append(f"{file} was not what the ledger says; it is written again")
                file.unlink()
            ledger.export()
            for event in unrecorded_closings(context.instance, ledger):
                context.log_event(event)
    except LedgerError as error:
        session.warnings.append(f"the ledger is out of reach, its last export is used: {error}")


def _remember_lake(session: Session) -> None:
    """In the ledger, which commit the warehouse was built from; out of reach, it learns of the next build."""
    from pipelines.ledger import LedgerError, open_ledger
    from pipelines.ledger.lake_heads import record_head

    home = session.settings.home
    try:
        with open_ledger(home) as ledger:
            record_head(ledger, read_lake(home))
    except LedgerError as error:
        session.warnings.append(f"the ledger is out of reach and does not know of this build: {error}")


def _rebuild(context: dg.AssetExecutionContext, manifest: Manifest) -> dict[str, Any]:
    if not context.has_partition_key and not context.has_partition_key_range:
        return {}
    grains = {model["name"]: model_grain(model) for model in models_in(manifest)}
    [grain] = {grain for key in context.selected_asset_keys if (grain := grains.get(key.path[-1]))}
    return selected_partitions(context, grain)


def _fail(session: Session, result: BuildResult) -> None:
    kept = aside.keep_failed_build(session.settings.home)
    checks = sum(trouble.is_test for trouble in result.failures)
    models = len(result.failures) - checks
    counts = [
        f"{count} {word}{'s' if count > 1 else ''}"
        for count, word in ((checks, "blocking check"), (models, "model"))
        if count
    ]
    raise MeterhouseError(
        "\n  ".join([f"{' and '.join(counts)} failed; nothing was published", *map(str, result.failures)]),
        where=str(kept),
        remedy="open this file with duckdb and run the SQL named above against it; "
        "the warehouse and the published file are as before",
    )


def _asset_events(
    context: dg.AssetExecutionContext,
    session: Session,
    result: BuildResult,
    manifest: Manifest,
    translator: Translator,
) -> Iterator[Any]:
    """What dbt did in Dagster's words. Of a failed build only the checks count; its models are not kept."""
    models = {dg.AssetKey(model["name"]): model for model in models_in(manifest)}
    found = {trouble.name: trouble.found for trouble in (*result.warnings, *result.failures) if trouble.found}
    with open_tables(aside.building_file(session.settings.home)) as tables:
        for raw in result.events:
            message = DbtCoreCliEventMessage(raw_event=raw, event_history_metadata={})
            for event in message.to_default_asset_events(manifest, translator, context):
                if isinstance(event, dg.AssetCheckResult):
                    yield _with_metadata(event, found)
                elif isinstance(event, dg.Output) and not result.failures:
                    key = dg.AssetKey(event.output_name)
                    measures = measure(tables, key.path[-1])
                    metadata: dict[str, Any] = {
                        **event.metadata,
                        "dagster/row_count": measures.rows,
                        **measures.totals,
                    }
                    if key in context.selected_asset_keys:
                        yield dg.Output(None, output_name=event.output_name, metadata=metadata)
                    else:
                        for other in _built_besides(tables, key, models[key], metadata, translator):
                            context.log_event(other)


def _with_metadata(event: dg.AssetCheckResult, found: Mapping[str, str]) -> dg.AssetCheckResult:
    if event.check_name is None or event.check_name not in found:
        return event
    return dg.AssetCheckResult(
        passed=event.passed,
        asset_key=event.asset_key,
        check_name=event.check_name,
        metadata={**(event.metadata or {}), "found": found[event.check_name]},
        severity=event.severity,
    )


def _built_besides(
    tables: duckdb.DuckDBPyConnection,
    key: dg.AssetKey,
    model: Mapping[str, Any],
    metadata: dict[str, Any],
    translator: Translator,
) -> Iterator[dg.AssetMaterialization]:
    """A model that was built though not selected; a partitioned one by the partitions that were touched."""
    grain, partitions = model_grain(model), translator.get_partitions_def(model)
    if grain is None or partitions is None:
        yield dg.AssetMaterialization(key, metadata=metadata)
        return
    known = set(partitions.get_partition_keys())
    for partition, rows in changed_partitions(tables, key.path[-1], grain).items():
        if partition in known:
            yield dg.AssetMaterialization(
                key, partition=partition, metadata={"partition_rows": rows, **metadata}
            )
