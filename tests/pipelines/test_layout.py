"""The layout of the code: imports go down only, also those inside functions and for type checkers.

Guards against modules that need what stands above them, and against circles.
"""

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

FLOORS = (
    {"cli", "api", "definitions", "entry", "orchestration"},
    {"books", "payments", "documents", "notify", "maintenance", "simulate"},
    {"session"},
    {"serving"},
    {"catalog", "ingest", "costs", "ledger"},
    {"lake", "warehouse"},
    {
        "errors",
        "figures",
        "files",
        "home",
        "interruption",
        "lock",
        "progress",
        "settings",
        "shipped",
        "tables",
        "times",
    },
)
"""From what calls to the ground; see CONTRIBUTING.md."""
BESIDE = {
    ("entry", "cli"),
    ("cli", "api"),
    ("cli", "orchestration"),
    ("definitions", "orchestration"),
    ("books", "payments"),
    ("books", "notify"),
    ("payments", "notify"),
    ("catalog", "costs"),
    ("warehouse", "lake"),
}
"""On one floor, who may import whom; the ground is not divided."""
FLOOR_OF = {part: number for number, floor in enumerate(FLOORS) for part in floor}


def modules() -> dict[str, Path]:
    found = {}
    for package in ("pipelines", "models"):
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(path: Path, known: dict[str, Path]) -> Iterator[str]:
    """Modules of ours that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            for name in node.names:
                whole = f"{node.module}.{name.name}"
                yield whole if whole in known else node.module
        elif isinstance(node, ast.Import):
            yield from (name.name for name in node.names)


def part_of(module: str) -> str | None:
    """The folder or loose module of pipelines/ that a module belongs to."""
    names = module.split(".")
    return names[1] if names[0] == "pipelines" and len(names) > 1 else None


def faults(edges: list[tuple[str, str]]) -> list[str]:
    """Imports that go up, or to a neighbour that is none of theirs."""
    found = []
    for source, target in edges:
        here, there = part_of(source), part_of(target)
        if target.startswith("pipelines") and source.startswith("models"):
            found.append(f"{source} imports {target}: models/ hold the contracts alone")
        if here is None or there is None or here == there:
            continue
        up = FLOOR_OF[there] < FLOOR_OF[here]
        beside = FLOOR_OF[there] == FLOOR_OF[here] < len(FLOORS) - 1 and (here, there) not in BESIDE
        if up or beside:
            found.append(f"{source} imports {target}, which is {'above' if up else 'beside'} it")
    return found


@pytest.fixture(scope="module")
def edges() -> list[tuple[str, str]]:
    known = modules()
    return [
        (module, target)
        for module, path in known.items()
        for target in set(imports(path, known))
        if target in known and target != module
    ]


def calls(path: Path) -> Iterator[ast.Call]:
    return (
        node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)
    )


def listings(path: Path) -> list[str]:
    """Calls that list a folder and take one that the system will not open for an empty one."""
    return [
        f"{path.name}:{call.lineno}: {ast.unparse(call.func)}"
        for call in calls(path)
        if isinstance(call.func, ast.Attribute)
        and (
            call.func.attr in {"glob", "rglob"}
            or (ast.unparse(call.func) == "os.walk" and all(word.arg != "onerror" for word in call.keywords))
        )
    ]


def test_no_folder_that_cannot_be_opened_passes_for_empty():
    """`files.matching` and `files.below` raise what the system says; a lake would lose what lies there."""
    assert [found for path in modules().values() for found in listings(path)] == []
    assert listings(Path(__file__)), "those of the tests are found"


def test_every_part_has_its_floor():
    assert {part_of(module) for module in modules()} - {None} == set(FLOOR_OF)


def test_imports_go_down_only(edges):
    assert not faults(edges)


def test_no_modules_import_each_other_in_a_circle(edges):
    after: dict[str, set[str]] = {}
    for source, target in edges:
        # What a package offers is that of its modules; they may use each other.
        if not source.startswith(f"{target}.") and not target.startswith(f"{source}."):
            after.setdefault(source, set()).add(target)
    TopologicalSorter(after).prepare()


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("pipelines.lake.commits", "pipelines.ledger.store"),
        ("pipelines.payments.sender", "pipelines.books.closing"),
        ("pipelines.session", "pipelines.cli.app"),
        ("models.events", "pipelines.home"),
    ],
)
def test_an_import_that_goes_up_is_found(source, target):
    assert faults([(source, target)])
    assert not faults([(target, source)])
