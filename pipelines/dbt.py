"""Calling dbt: preparing its manifest, building all models and tests, and telling what failed.

dbt runs in this process: that saves the seconds of a second interpreter, and its events arrive as objects.
What the models compute belongs to ``dbt_project/``; turning events into assets to ``pipelines/assets``.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pipelines.build import building_file
from pipelines.errors import MeterhouseError
from pipelines.home import Home

PROJECT_DIR = Path(__file__).resolve().parents[1] / "dbt_project"
LAYERS = ("staging", "intermediate", "marts", "actions")
PUBLISHED_LAYERS = ("marts", "actions")

Manifest = Mapping[str, Any]
Event = dict[str, Any]


@dataclass(frozen=True)
class BuildSettings:
    """What one build is told; reaches SQL as environment variables.

    ``rebuild``: {"days": [...]} or {"months": [...]} that a person wants computed again, or {}.
    """

    as_of: datetime
    build_id: str
    catalog_version: str
    accounts_version: str
    prices_version: str
    code_version: str
    rebuild: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Trouble:
    """A model or test that did not pass: its name, what dbt says, and the file with the SQL that ran."""

    name: str
    is_test: bool
    message: str
    sql_file: Path | None

    def __str__(self) -> str:
        kind = "check" if self.is_test else "model"
        return f"{kind} {self.name}: {self.message}" + (
            f"\n    SQL: {self.sql_file}" if self.sql_file else ""
        )


@dataclass(frozen=True)
class BuildResult:
    """Events of every finished node in order, what failed and what warned."""

    events: Sequence[Event]
    failures: Sequence[Trouble]
    warnings: Sequence[Trouble]


def code_version() -> str:
    """A hash of what decides what dbt builds: the project's files and the versions of what runs them."""
    digest = hashlib.sha256()
    for package in ("meterhouse", "dbt-core", "dbt-duckdb", "duckdb"):
        digest.update(f"{package}=={version(package)}\n".encode())
    for file in sorted(PROJECT_DIR.rglob("*")):
        inside = file.relative_to(PROJECT_DIR)
        if file.suffix in {".sql", ".yml", ".md", ".csv"} and inside.parts[0] not in {"target", "logs"}:
            digest.update(f"{inside.as_posix()}\n".encode())
            digest.update(file.read_bytes())
    return digest.hexdigest()[:32]


def load_manifest(home: Home) -> Manifest:
    """dbt's description of the project; parsed once per state of its files and kept in the home's cache.

    :raises MeterhouseError: the project does not parse.
    """
    kept = target_dir(home) / f"manifest-{code_version()}.json"
    if not kept.exists():
        _parse(home, kept)
    manifest: dict[str, Any] = json.loads(kept.read_text(encoding="utf-8"))
    _attach_singular_tests(manifest)
    return manifest


def target_dir(home: Home) -> Path:
    """Where dbt writes compiled SQL, its log and what makes the next parse quick."""
    return home.cache / "dbt"


def models_in(manifest: Manifest, layers: Sequence[str] = LAYERS) -> list[Mapping[str, Any]]:
    """The project's models of these layers, by name."""
    models = (node for node in manifest["nodes"].values() if node["resource_type"] == "model")
    return sorted(
        (model for model in models if model["fqn"][1] in layers), key=lambda model: str(model["name"])
    )


def build(
    home: Home,
    settings: BuildSettings,
    manifest: Manifest,
    on_progress: Callable[[int, int, str], None] | None = None,
) -> BuildResult:
    """Build every model into the building file and run every test, in the order of their dependencies.

    A failing test keeps what depends on its model from being built; nothing else is skipped.

    :param on_progress: called with nodes done, nodes in total and the node just finished.
    :raises MeterhouseError: dbt could not start building at all.
    """
    from dbt_common.events.functions import msg_to_dict

    total = sum(node["resource_type"] in {"model", "test", "seed"} for node in manifest["nodes"].values())
    events: list[Event] = []
    done = 0

    def receive(message: Any) -> None:  # noqa: ANN401
        nonlocal done
        if message.info.name in {"LogModelResult", "LogTestResult", "LogSeedResult"}:
            events.append(msg_to_dict(message))
        elif message.info.name == "NodeFinished":
            done += 1
            if on_progress:
                on_progress(done, total, message.data.node_info.node_name)

    with _environment(_variables(home, settings)):
        outcome = _invoke(["build", "--exclude-resource-type=unit_test"], home, [receive])
    if outcome.result is None:
        raise MeterhouseError(
            f"dbt could not build: {outcome.exception}",
            where=str(target_dir(home) / "dbt.log"),
            remedy=_ASK_CHECK,
        )
    failures, warnings = [], []
    for result in outcome.result.results:
        status = str(result.status)
        if status in {"error", "fail", "runtime error"}:
            failures.append(_trouble(result, home))
        elif status == "warn":
            warnings.append(_trouble(result, home))
    return BuildResult(events, failures, warnings)


def write_docs(home: Home, settings: BuildSettings) -> Path:
    """dbt's documentation of the last good warehouse as one web page.

    :raises MeterhouseError: dbt could not write it.
    """
    variables = {**_variables(home, settings), "METERHOUSE_WAREHOUSE_FILE": str(home.warehouse_file)}
    with _environment(variables):
        outcome = _invoke(["docs", "generate", "--static"], home, [])
    if not outcome.success:
        raise MeterhouseError(
            f"dbt could not write its documentation: {outcome.exception}",
            where=str(target_dir(home) / "dbt.log"),
            remedy="run `meterhouse run` first; it must end without errors",
        )
    return target_dir(home) / "static_index.html"


_ASK_CHECK = "run `meterhouse check`; if it finds nothing, the log file has dbt's own words"


def _parse(home: Home, kept: Path) -> None:
    target_dir(home).mkdir(parents=True, exist_ok=True)
    with _environment({"METERHOUSE_WAREHOUSE_FILE": str(building_file(home))}):
        outcome = _invoke(["parse"], home, [])
    if not outcome.success:
        raise MeterhouseError(
            f"the dbt project does not parse: {outcome.exception}",
            where=str(PROJECT_DIR),
            remedy="mend the file it names; `dbt parse` shows it again",
        )
    for outdated in target_dir(home).glob("manifest-*.json"):
        outdated.unlink(missing_ok=True)
    temporary = kept.with_suffix(".tmp")
    temporary.write_bytes((target_dir(home) / "manifest.json").read_bytes())
    temporary.replace(kept)


def _attach_singular_tests(manifest: dict[str, Any]) -> None:
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


def _variables(home: Home, settings: BuildSettings) -> dict[str, str]:
    return {
        "METERHOUSE_HOME": str(home.root),
        "METERHOUSE_WAREHOUSE_FILE": str(building_file(home)),
        "METERHOUSE_AS_OF": settings.as_of.isoformat(),
        "METERHOUSE_BUILD_ID": settings.build_id,
        "METERHOUSE_CATALOG_VERSION": settings.catalog_version,
        "METERHOUSE_ACCOUNTS_VERSION": settings.accounts_version,
        "METERHOUSE_PRICES_VERSION": settings.prices_version,
        "METERHOUSE_CODE_VERSION": settings.code_version,
        "METERHOUSE_REBUILD": json.dumps(settings.rebuild),
    }


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _invoke(command: Sequence[str], home: Home, callbacks: Sequence[Callable[[Any], None]]) -> Any:  # noqa: ANN401
    from dbt.adapters.duckdb.connections import DuckDBConnectionManager
    from dbt.cli.main import dbtRunner

    where = [f"--project-dir={PROJECT_DIR}", f"--profiles-dir={PROJECT_DIR}"]
    kept = [f"--target-path={target_dir(home)}", f"--log-path={target_dir(home)}"]
    quiet = ["--log-level=none", "--log-level-file=info", "--no-print", "--no-use-colors"]
    no_calls = ["--no-send-anonymous-usage-stats", "--no-version-check"]
    try:
        return dbtRunner(callbacks=list(callbacks)).invoke([*quiet, *no_calls, *command, *where, *kept])
    finally:
        # dbt keeps the file open for the life of the process otherwise.
        DuckDBConnectionManager.close_all_connections()  # type: ignore[no-untyped-call]


def _trouble(result: Any, home: Home) -> Trouble:  # noqa: ANN401
    node = result.node
    compiled = Path(node.compiled_path) if getattr(node, "compiled_path", None) else None
    if compiled and not compiled.is_absolute():
        compiled = target_dir(home) / compiled
    return Trouble(
        name=node.name,
        is_test=node.resource_type == "test",
        message=" ".join((result.message or "failed").split()),
        sql_file=compiled,
    )
