"""Calling dbt: preparing its manifest, building all models and tests, and telling what failed.

dbt runs in this process: that saves the seconds of a second interpreter, and its events arrive as objects.
What the models compute belongs to ``dbt_project/``; turning events into
assets to ``pipelines.orchestration``.
"""

import json
import shutil
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb

from pipelines import interruption
from pipelines.errors import MeterhouseError
from pipelines.files import matching
from pipelines.home import Home
from pipelines.lake.commits import last_commit
from pipelines.lake.places import files_besides_commits
from pipelines.warehouse import project
from pipelines.warehouse.aside import building_file
from pipelines.warehouse.measure import name_rows, open_tables
from pipelines.warehouse.outcome import FAILED, BuildResult, Event, Trouble, trouble_of
from pipelines.warehouse.project import (
    ON_DEMAND,
    Manifest,
    attach_singular_tests,
    code_version,
    target_dir,
)
from pipelines.warehouse.scope import BuildSettings


def load_manifest(home: Home) -> Manifest:
    """dbt's description of the project; parsed once per state of its files and kept in the home's cache.

    :raises MeterhouseError: the project does not parse.
    """
    kept = target_dir(home) / f"manifest-{code_version()}.json"
    if not kept.exists():
        _parse(home, kept)
    manifest: dict[str, Any] = json.loads(kept.read_text(encoding="utf-8"))
    attach_singular_tests(manifest)
    return manifest


def build(
    home: Home,
    settings: BuildSettings,
    manifest: Manifest,
    on_progress: Callable[[int, int, str], None] | None = None,
    select: Sequence[str] = (),
) -> BuildResult:
    """Build every model into the building file and run every test, in the order of their dependencies.

    A failing test keeps what depends on its model from being built; nothing else is skipped.

    :param select: in dbt's words, what alone is built and tested; by default everything.
    :param on_progress: called with nodes done, nodes in total and the node just finished.
    :raises MeterhouseError: dbt could not start building at all.
    """
    from dbt_common.events.functions import msg_to_dict

    total = sum(
        node["resource_type"] in {"model", "test", "seed"} and node["fqn"][1] != "proof"
        for node in manifest["nodes"].values()
    )
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

    outcome = _invoke(
        [
            "build",
            "--no-write-json",
            "--exclude-resource-type=unit_test",
            "--exclude",
            ON_DEMAND,
            *(["--select", *select] if select else []),
        ],
        target_dir(home),
        _told(home, settings),
        [receive],
        load_parsed(home),
    )
    if outcome.result is None:
        raise MeterhouseError(
            f"dbt could not build: {outcome.exception}",
            where=str(target_dir(home) / "dbt.log"),
            remedy=_ASK_CHECK,
        )
    failures, warnings = [], []
    for result in outcome.result.results:
        status = str(result.status)
        if status in FAILED:
            failures.append(trouble_of(result, target_dir(home)))
        elif status == "warn":
            warnings.append(trouble_of(result, target_dir(home)))
    return BuildResult(
        events,
        [_with_found(home, failure) for failure in failures],
        [_with_found(home, warning) for warning in warnings],
    )


def rebuild_models(home: Home, settings: BuildSettings, models: Sequence[str]) -> None:
    """Build just these models again, in the building file; no tests.

    :raises MeterhouseError: one failed.
    """
    command = ["run", "--no-write-json", "--select", *models]
    outcome = _invoke(command, target_dir(home), _told(home, settings), parsed=load_parsed(home))
    _need_success(outcome, target_dir(home), building_file(home))


def run_models(
    home: Home,
    settings: BuildSettings,
    models: Sequence[str],
    warehouse_file: Path,
    *,
    with_parents: bool = True,
) -> None:
    """Build these models, and all that they read, into a warehouse of their own; no tests.

    :param warehouse_file: named like the home's own warehouse, since views name their database.
    :param with_parents: False: only these, reading what an earlier call built.
    :raises MeterhouseError: a model failed.
    """
    folder = warehouse_file.parent / "dbt"
    told = {**_told(home, settings), "warehouse_file": str(warehouse_file)}
    select = [f"+{model}" if with_parents else model for model in models]
    # Another place of the warehouse would make dbt parse everything again; it gets what was parsed.
    parsed = load_parsed(home)
    outcome = _invoke(["run", "--no-write-json", "--select", *select], folder, told, parsed=parsed)
    _need_success(outcome, folder, warehouse_file)


def _need_success(outcome: Any, folder: Path, warehouse_file: Path) -> None:  # noqa: ANN401
    results = outcome.result.results if outcome.result is not None else []
    failures = [trouble_of(result, folder) for result in results if str(result.status) in FAILED]
    if failures or not results:
        raise MeterhouseError(
            "\n  ".join(["the computation failed", *map(str, failures or [outcome.exception])]),
            where=str(warehouse_file),
            remedy="nothing was changed; " + _ASK_CHECK,
        )


def write_docs(home: Home) -> Path:
    """dbt's page of the models and their lineage, from the parsed project alone.

    It reads no warehouse and holds no lock: all but the finished page is written aside, so that a run at
    the same time neither waits for it nor sees half of anything (D-docs-no-home).

    :raises MeterhouseError: the project does not parse, or dbt could not write the page.
    """
    page = target_dir(home) / "static_index.html"
    page.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=page.parent, prefix="docs-") as folder:
        aside = Home(Path(folder))
        parsed, own = f"manifest-{code_version()}.json", target_dir(aside)
        own.mkdir(parents=True)
        with suppress(FileNotFoundError):
            shutil.copy(_parsed(target_dir(home) / parsed), own)
            shutil.copy(target_dir(home) / parsed, own)
        project_as_parsed = load_parsed(aside)
        shutil.copy(own / parsed, own / "manifest.json")
        told = {"warehouse_file": str(building_file(aside))}
        command = ["docs", "generate", "--static", "--no-compile", "--empty-catalog"]
        outcome = _invoke(command, own, told, parsed=project_as_parsed)
        if not outcome.success:
            raise MeterhouseError(
                f"dbt could not write its documentation: {outcome.exception}",
                where=str(page),
                remedy="run it again; if it fails again, report this",
            )
        _name_types(own)
        (own / page.name).replace(page)
    return page


def _name_types(folder: Path) -> None:
    """Put the types that models promise into dbt's page, which takes them from a warehouse otherwise."""
    page, catalog = folder / "static_index.html", folder / "catalog.json"
    empty = catalog.read_text(encoding="utf-8")
    filled = json.loads(empty)
    nodes = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))["nodes"]
    for name, node in nodes.items():
        if types := {
            column: told["data_type"] for column, told in node["columns"].items() if told["data_type"]
        }:
            place = {"type": "table", "schema": node["schema"], "name": node["name"]}
            columns = {
                column: {"name": column, "type": kind, "index": index, "comment": None}
                for index, (column, kind) in enumerate(types.items(), 1)
            }
            filled["nodes"][name] = {"unique_id": name, "metadata": place, "columns": columns, "stats": {}}
    text = page.read_text(encoding="utf-8").replace(empty, json.dumps(filled))
    page.write_text(text, encoding="utf-8")


_ASK_CHECK = "run `meterhouse check`; if it finds nothing, the log file has dbt's own words"


def _parse(home: Home, kept: Path) -> None:
    target_dir(home).mkdir(parents=True, exist_ok=True)
    outcome = _invoke(["parse"], target_dir(home), {"warehouse_file": str(building_file(home))})
    if not outcome.success:
        raise MeterhouseError(
            f"the dbt project does not parse: {outcome.exception}",
            where=str(project.PROJECT_DIR),
            remedy="fix the file it names; `dbt parse` shows it again",
        )
    for outdated in matching(target_dir(home), "manifest-*"):
        outdated.unlink(missing_ok=True)
    # The second is dbt's own form of it; the first is looked for, so it is written last.
    for written, place in (("partial_parse.msgpack", _parsed(kept)), ("manifest.json", kept)):
        temporary = place.with_suffix(".tmp")
        temporary.write_bytes((target_dir(home) / written).read_bytes())
        temporary.replace(place)


def _parsed(kept: Path) -> Path:
    return kept.with_suffix(".msgpack")


def load_parsed(home: Home) -> Any:  # noqa: ANN401
    """The parsed project in dbt's own form; dbt that is given it looks at none of the project's files."""
    from dbt.contracts.graph.manifest import Manifest as ParsedManifest
    from dbt.parser.manifest import extended_mashumuro_decoder

    kept = target_dir(home) / f"manifest-{code_version()}.json"
    if not (kept.exists() and _parsed(kept).exists()):
        _parse(home, kept)
    parsed: Any = ParsedManifest.from_msgpack(_parsed(kept).read_bytes(), decoder=extended_mashumuro_decoder)
    # What macros read as `graph`.
    parsed.build_flat_graph()
    return parsed


def _told(home: Home, settings: BuildSettings) -> dict[str, Any]:
    """What macros read as ``var(...)``: of this invocation alone, whatever else this process builds."""
    return {
        "home": str(home.root),
        "warehouse_file": str(building_file(home)),
        "as_of": settings.as_of.isoformat(),
        "build_id": settings.build_id,
        "catalog_version": settings.catalog_version,
        "accounts_version": settings.accounts_version,
        "prices_version": settings.prices_version,
        "code_version": settings.code_version,
        "lake_head": str(last_commit(home) or ""),
        "lake_files": files_besides_commits(home, settings.prices_version),
        "rebuild": settings.rebuild,
        **settings.scope.variables(),
    }


_one_dbt = threading.RLock()
"""dbt keeps one adapter, with its connections and flags, for a whole process."""


def _invoke(
    command: Sequence[str],
    folder: Path,
    told: Mapping[str, Any],
    callbacks: Sequence[Callable[[Any], None]] = (),
    parsed: Any = None,  # noqa: ANN401
) -> Any:  # noqa: ANN401
    """Run dbt in this process, one command at a time; it writes into the folder.

    :param told: dbt's variables.
    :param parsed: what ``load_parsed`` gives.
    """
    from dbt.adapters.duckdb.connections import DuckDBConnectionManager
    from dbt.cli.main import dbtRunner

    where = [f"--project-dir={project.PROJECT_DIR}", f"--profiles-dir={project.PROJECT_DIR}"]
    kept = [f"--target-path={folder}", f"--log-path={folder}"]
    quiet = ["--log-level=none", "--log-level-file=warn", "--no-print", "--no-use-colors"]
    no_calls = ["--no-send-anonymous-usage-stats", "--no-version-check"]
    variables = ["--vars", json.dumps(told)]
    with _one_dbt:
        try:
            runner = dbtRunner(manifest=parsed, callbacks=list(callbacks))
            outcome = runner.invoke([*quiet, *no_calls, *command, *where, *kept, *variables])
        finally:
            # dbt keeps the file open for the life of the process otherwise.
            DuckDBConnectionManager.close_all_connections()  # type: ignore[no-untyped-call]
    # dbt makes an outcome of a signal, too.
    interruption.check()
    return outcome


def _with_found(home: Home, trouble: Trouble) -> Trouble:
    if trouble.is_test and trouble.sql_file is not None:
        with suppress(duckdb.Error, OSError, MeterhouseError), open_tables(building_file(home)) as tables:
            return replace(trouble, found=name_rows(tables, trouble.sql_file.read_text(encoding="utf-8")))
    return trouble
