"""The dbt project: where it is, its version, and what its manifest says. Running it does not belong here."""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pipelines.files import below
from pipelines.home import Home
from pipelines.shipped import shipped

PROJECT_DIR = shipped("dbt_project")


LAYERS = ("staging", "intermediate", "marts", "actions")


PUBLISHED_LAYERS = ("marts", "actions")


ON_DEMAND = "tag:on_demand"
"""Selects models (and their tests) that answer a question and are no part of a build."""


Manifest = Mapping[str, Any]


def code_version() -> str:
    """A hash of what decides what dbt builds (D-build-code-version): its files and what runs them."""
    digest = hashlib.sha256()
    for package in ("meterhouse", "dbt-core", "dbt-duckdb", "duckdb"):
        digest.update(f"{package}=={version(package)}\n".encode())
    for file in below(PROJECT_DIR):
        inside = file.relative_to(PROJECT_DIR)
        if file.suffix in {".sql", ".yml", ".md", ".csv"} and inside.parts[0] not in {"target", "logs"}:
            digest.update(f"{inside.as_posix()}\n".encode())
            digest.update(file.read_bytes())
    return digest.hexdigest()[:32]


def target_dir(home: Home) -> Path:
    """Where dbt writes compiled SQL, its log and what makes the next parse quick."""
    return home.cache / "dbt"


def models_in(manifest: Manifest, layers: Sequence[str] = LAYERS) -> list[Mapping[str, Any]]:
    """The project's models of these layers that have a table or view of their own, by name."""
    return [model for model in _all_models(manifest, layers) if not _is_ephemeral(model)]


def _all_models(manifest: Manifest, layers: Sequence[str] = LAYERS) -> list[Mapping[str, Any]]:
    models = (node for node in manifest["nodes"].values() if node["resource_type"] == "model")
    return sorted(
        (model for model in models if model["fqn"][1] in layers), key=lambda model: str(model["name"])
    )


def _is_ephemeral(model: Mapping[str, Any]) -> bool:
    """Whether dbt writes the model's SQL into its readers."""
    return bool(model["config"]["materialized"] == "ephemeral")


def readers_of(manifest: Manifest, models: Sequence[str], *, without: Collection[str] = ()) -> list[str]:
    """These models and all that read them, by name; none that dbt writes into its readers.

    :param without: models that are left out, and with them what reads the others only through them.
    """
    readers: dict[str, set[str]] = {}
    for node in _all_models(manifest):
        for parent in node["depends_on"]["nodes"]:
            readers.setdefault(parent.rsplit(".", 1)[-1], set()).add(node["name"])
    found, waiting = set(models), list(models)
    while waiting:
        new = readers.get(waiting.pop(), set()) - found - set(without)
        found |= new
        waiting += new
    return sorted(found & {str(model["name"]) for model in models_in(manifest)})


def attach_singular_tests(manifest: dict[str, Any]) -> None:
    """Name the model that a hand-written test over several models is about: the last in the layers' order.

    Without one Dagster would not show the test as a check.
    """
    for test in manifest["nodes"].values():
        parents = [parent for parent in test["depends_on"].get("nodes", []) if parent in manifest["nodes"]]
        if test["resource_type"] != "test" or test.get("attached_node") or not parents:
            continue
        meta = test["config"].setdefault("meta", {}).setdefault("dagster", {})
        about = max(parents, key=lambda parent: LAYERS.index(manifest["nodes"][parent]["fqn"][1]))
        meta.setdefault("ref", {"name": manifest["nodes"][about]["name"]})
