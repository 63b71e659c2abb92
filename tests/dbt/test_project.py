"""The dbt project keeps its promises: data goes one way, every column is described, every grain is tested."""

from pathlib import Path
from typing import Any

import pytest

# A layer may read itself and what stands to its left.
LAYERS = {"source": 0, "staging": 1, "intermediate": 2, "marts": 3, "actions": 4, "proof": 5}


def layer(node: dict[str, Any]) -> str:
    return "source" if node["resource_type"] == "source" else node["fqn"][1]


def models(manifest: dict[str, Any]) -> list[dict[str, Any]]:
    found = [node for node in manifest["nodes"].values() if node["resource_type"] == "model"]
    assert len(found) > 20, "the manifest holds the project's models"
    return found


def test_data_goes_one_way(manifest: dict[str, Any]) -> None:
    everything = manifest["nodes"] | manifest["sources"]
    backwards = [
        f"{node['name']} ({layer(node)}) reads {everything[parent]['name']} ({layer(everything[parent])})"
        for node in models(manifest)
        for parent in node["depends_on"]["nodes"]
        if LAYERS[layer(everything[parent])] > LAYERS[layer(node)]
    ]
    assert not backwards


def test_only_staging_reads_sources_of_documents(manifest: dict[str, Any]) -> None:
    readers = {
        node["name"]
        for node in models(manifest)
        for parent in node["depends_on"]["nodes"]
        if parent.startswith(("source.meterhouse.catalog", "source.meterhouse.accounts"))
        and layer(node) != "staging"
    }
    assert not readers


def test_names_say_the_layer(manifest: dict[str, Any]) -> None:
    for node in models(manifest):
        prefix = {"staging": "stg_", "intermediate": "int_"}.get(layer(node), "")
        assert node["name"].startswith(prefix), node["name"]
        if not prefix:
            assert not node["name"].startswith(("stg_", "int_")), node["name"]


def test_every_model_states_its_grain(manifest: dict[str, Any]) -> None:
    silent = [node["name"] for node in models(manifest) if not node["description"].startswith("One row per ")]
    assert not silent


def test_every_column_that_is_listed_is_described(manifest: dict[str, Any]) -> None:
    silent = [
        f"{node['name']}.{column}"
        for node in models(manifest)
        for column, entry in node["columns"].items()
        if not entry["description"].strip()
    ]
    assert not silent


# Its columns are the catalog's meters, which no file of the project can name.
WITHOUT_CONTRACT = {"daily_snapshot"}


def test_marts_enforce_a_contract_with_every_type(manifest: dict[str, Any]) -> None:
    for node in models(manifest):
        if layer(node) in ("marts", "actions"):
            assert node["config"]["contract"]["enforced"] == (node["name"] not in WITHOUT_CONTRACT), node[
                "name"
            ]
            assert all(column["data_type"] for column in node["columns"].values()), node["name"]


@pytest.mark.parametrize("kinds", [("unique", "unique_grain")])
def test_every_key_is_tested(manifest: dict[str, Any], kinds: tuple[str, ...]) -> None:
    tested = {
        node["attached_node"]
        for node in manifest["nodes"].values()
        if node["resource_type"] == "test" and (node.get("test_metadata") or {}).get("name") in kinds
    }
    untested = [node["name"] for node in models(manifest) if node["unique_id"] not in tested]
    assert not [name for name in untested if not name.startswith("int_")]


def test_what_is_computed_on_demand_is_no_part_of_a_build(manifest: dict[str, Any]) -> None:
    on_demand = {node["name"] for node in models(manifest) if "on_demand" in node["tags"]}
    assert on_demand == {node["name"] for node in models(manifest) if layer(node) == "proof"}
    assert {"line_proofs", "line_windows", "line_events"} <= on_demand


def test_contract_marts_exist(manifest: dict[str, Any]) -> None:
    promised = {
        "customers", "plans", "meters", "subscriptions", "daily_usage", "monthly_usage", "overages", "invoice_lines",
        "invoices", "credit_notes", "credit_note_lines", "cost_per_request", "unbilled_usage", "ingest_batches", "rejected_events", "plan_comparisons", "customer_margins",
        "usage_projections", "budget_alerts", "stripe_invoice_items", "tie_out", "daily_snapshot", "recommendations",
    }  # fmt: skip
    assert promised <= {node["name"] for node in models(manifest) if layer(node) in ("marts", "actions")}


def test_models_lie_with_their_source_and_are_described_beside_their_sql(manifest: dict[str, Any]) -> None:
    for node in models(manifest):
        folder = Path(node["original_file_path"]).parent
        if layer(node) == "staging":
            assert node["name"].startswith(f"stg_{folder.name}__"), node["name"]
        assert Path(node["patch_path"].split("://")[1]).parent == folder, node["name"]
