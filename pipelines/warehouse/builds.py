"""Calling dbt: preparing its manifest, building all models and tests, and telling what failed.

dbt runs in this process: that saves the seconds of a second interpreter, and its events arrive as objects.
What the models compute belongs to ``dbt_project/``; turning events into
assets to ``pipelines.orchestration``.
"""

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb

from pipelines import interruption
from pipelines.errors import MeterhouseError
from pipelines.home import Home
from pipelines.lake.commits import last_commit
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

    with _environment(_variables(home, settings)):
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
    with _environment(_variables(home, settings)):
        command = ["run", "--no-write-json", "--select", *models]
        outcome = _invoke(command, target_dir(home), [], load_parsed(home))
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
    variables = {**_variables(home, settings), "METERHOUSE_WAREHOUSE_FILE": str(warehouse_file)}
    select = [f"+{model}" if with_parents else model for model in models]
    with _environment(variables):
        # Another place of the warehouse would make dbt parse everything again; it gets what was parsed.
        parsed = load_parsed(home)
        outcome = _invoke(["run", "--no-write-json", "--select", *select], folder, [], parsed)
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


def write_docs(home: Home, settings: BuildSettings) -> Path:
    """dbt's documentation of the last good warehouse as one web page.

    :raises MeterhouseError: dbt could not write it.
    """
    variables = {**_variables(home, settings), "METERHOUSE_WAREHOUSE_FILE": str(home.warehouse_file)}
    with _environment(variables):
        outcome = _invoke(["docs", "generate", "--static"], target_dir(home), [])
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
        outcome = _invoke(["parse"], target_dir(home), [])
    if not outcome.success:
        raise MeterhouseError(
            f"the dbt project does not parse: {outcome.exception}",
            where=str(project.PROJECT_DIR),
            remedy="mend the file it names; `dbt parse` shows it again",
        )
    for outdated in target_dir(home).glob("manifest-*"):
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
        "METERHOUSE_LAKE_HEAD": str(last_commit(home) or ""),
        "METERHOUSE_REBUILD": json.dumps(settings.rebuild),
        **settings.scope.variables(),
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


def _invoke(
    command: Sequence[str],
    folder: Path,
    callbacks: Sequence[Callable[[Any], None]],
    parsed: Any = None,  # noqa: ANN401
) -> Any:  # noqa: ANN401
    """Run dbt in this process; it writes into the folder. ``parsed``: what ``load_parsed`` gives."""
    from dbt.adapters.duckdb.connections import DuckDBConnectionManager
    from dbt.cli.main import dbtRunner

    where = [f"--project-dir={project.PROJECT_DIR}", f"--profiles-dir={project.PROJECT_DIR}"]
    kept = [f"--target-path={folder}", f"--log-path={folder}"]
    quiet = ["--log-level=none", "--log-level-file=warn", "--no-print", "--no-use-colors"]
    no_calls = ["--no-send-anonymous-usage-stats", "--no-version-check"]
    try:
        runner = dbtRunner(manifest=parsed, callbacks=list(callbacks))
        outcome = runner.invoke([*quiet, *no_calls, *command, *where, *kept])
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
