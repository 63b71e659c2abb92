"""The map and the recipes of CONTRIBUTING.md name files that exist, and the map names every part."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
_ENDINGS = (".py", ".sql", ".yml", ".md", ".toml", ".lock")
_PATH = re.compile(r"[\w.-]+(?:/[\w.-]+)*/?")


def named(text: str) -> list[str]:
    """Everything in backticks."""
    return re.findall(r"`([^`\n]+)`", text)


def paths(text: str) -> list[str]:
    """What of it is a path: with a slash or the ending of a file."""
    return [
        name for name in named(text) if _PATH.fullmatch(name) and ("/" in name or name.endswith(_ENDINGS))
    ]


def found(name: str, folders: list[Path]) -> Path | None:
    """The file or folder of this name in the first of the folders that has it; modules go without an ending."""
    return next(
        (path for folder in folders for path in (folder / name, folder / f"{name}.py") if path.exists()), None
    )


def places(cell: str) -> tuple[list[Path], list[str]]:
    """Where a row of the map is: the first name from the root, others beside or below it; and those that are nowhere."""
    there: list[Path] = []
    lost = []
    for name in named(cell):
        around = [*([there[0].parent, there[0]] if there else []), ROOT]
        path = found(name, around)
        if path is None:
            lost.append(name)
        else:
            there.append(path)
    return there, lost


def rows(page: str) -> Iterator[tuple[str, str]]:
    """The rows of the map: the place, and what is said of it."""
    for line in page.splitlines():
        if line.startswith("| `"):
            place, said = line.removeprefix("| ").split(" | ", 1)
            yield place, said


def recipes(page: str) -> Iterator[str]:
    """Steps, each with the lines that go on; a path may be below the folder that its recipe names first."""
    for section in re.split(r"^###? ", page, flags=re.MULTILINE):
        yield "\n".join(line for line in section.splitlines() if not line.startswith("|"))


def nowhere(page: str) -> list[str]:
    """Paths of the page that do not exist."""
    lost = []
    for place, said in rows(page):
        there, lost_places = places(place)
        around = [ROOT, ROOT / "pipelines", *there, *(path.parent for path in there)]
        lost += lost_places + [name for name in paths(said) if found(name, around) is None]
    for section in recipes(page):
        around = [ROOT]
        for name in paths(section):
            path = found(name, around)
            if path is None:
                lost.append(name)
            elif name.startswith(("pipelines/", "dbt_project/")):
                around = [ROOT, path if path.is_dir() else path.parent]
    return lost


def test_every_path_exists():
    assert nowhere(PAGE) == []
    assert len(paths(PAGE)) > 80


@pytest.mark.parametrize(
    ("line", "lost"),
    [
        ("| `pipelines/cli/` | `app.py`, `show/` | |", []),
        ("| `pipelines/cli/` | `apps.py` | |", ["apps.py"]),
        ("| `pipelines/lakes/` | commits | |", ["pipelines/lakes/"]),
        ("| `tests/dbt` `books` `none` | tests | |", ["none"]),
        ("1. `pipelines/ingest/formats/`: `reader.py`, `readers.py`, `READERS`.", ["readers.py"]),
        ("1. `reader.py` without its folder, `models/catalog.py`.", ["reader.py"]),
    ],
)
def test_a_path_that_does_not_exist_is_found(line: str, lost: list[str]):
    assert nowhere(line) == lost


@pytest.mark.parametrize(
    "folder", [".", "pipelines", "tests", "dbt_project/models", "dbt_project/models/intermediate"]
)
def test_the_map_names_every_part(folder: str):
    known = {path.resolve() for place, _ in rows(PAGE) for path in places(place)[0]}
    around = {parent for path in known for parent in path.parents}
    parts = {
        path
        for path in (ROOT / folder).resolve().iterdir()
        if path.is_dir() and not path.name.startswith((".", "_")) and not path.name.endswith(".egg-info")
    }
    if folder == "pipelines":
        parts |= {path for path in (ROOT / folder).glob("*.py") if path.name != "__init__.py"}
    assert sorted(path.name for path in parts - known - around) == []
