"""The pages of the published tables, made from what dbt knows of the models.

How pages look belongs to Sphinx.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.warehouse.project import PUBLISHED_LAYERS, Manifest, models_in

Node = Mapping[str, Any]

SUBJECTS = {
    "entities": "Customers, plans, meters",
    "usage": "Usage",
    "billing": "Billing",
    "costs": "Cost and margin",
    "payments": "Payments",
    "actions": "Alerts, projections, advice",
}


@dataclass(frozen=True)
class Models:
    """What dbt parsed, asked by model."""

    manifest: Manifest

    @property
    def published(self) -> list[Node]:
        """The models that the published file holds."""
        return models_in(self.manifest, PUBLISHED_LAYERS)

    def tests_of(self, model: Node) -> list[Node]:
        """The tests that say what the model's rows are."""
        return [
            node
            for node in self.manifest["nodes"].values()
            if node.get("attached_node") == model["unique_id"]
        ]

    def checks_over(self, model: Node) -> list[Node]:
        """The hand-written tests that read the model, by name."""
        found = (
            node
            for node in self.manifest["nodes"].values()
            if node["resource_type"] == "test"
            and not node.get("attached_node")
            and model["unique_id"] in node["depends_on"]["nodes"]
        )
        return sorted(found, key=lambda node: str(node["name"]))

    def read_by(self, model: Node) -> list[Node]:
        """The models that read it, by name."""
        readers = (
            node
            for node in self.manifest["nodes"].values()
            if node["resource_type"] == "model" and model["unique_id"] in node["depends_on"]["nodes"]
        )
        return sorted(readers, key=lambda node: str(node["name"]))

    def people_of(self, model: Node) -> list[Node]:
        """Who opens it, as the project's exposures say."""
        exposures = self.manifest["exposures"].values()
        return [node for node in exposures if model["unique_id"] in node["depends_on"]["nodes"]]


def write_pages(manifest: Manifest, folder: Path) -> None:
    """Write a page per published table, and one that lists them by subject."""
    models = Models(manifest)
    folder.mkdir(parents=True)
    for model in models.published:
        (folder / f"{model['name']}.md").write_text("\n".join(_page(models, model)) + "\n", "utf-8")
    (folder / "index.md").write_text("\n".join(_list_of_tables(models)) + "\n", "utf-8")


def _list_of_tables(models: Models) -> Iterator[str]:
    yield "# All tables\n"
    yield "Each with its grain, its columns, what it is held to, what it reads and who reads it."
    yield 'The page <a href="../lineage.html">Lineage</a>, which dbt writes, draws how they come about.\n'
    for subject, title in SUBJECTS.items():
        tables = [model for model in models.published if _subject(model) == subject]
        yield f"## {title}\n"
        yield "| table | what a row is |\n|---|---|"
        for model in tables:
            grain = _cell(_first_sentence(model["description"]))
            yield f"| [{model['name']}]({model['name']}.md) | {grain} |"
        yield f"\n```{{toctree}}\n:hidden:\n:caption: {title}\n"
        yield from (str(model["name"]) for model in tables)
        yield "```\n"


def _page(models: Models, model: Node) -> Iterator[str]:
    name, tests = model["name"], models.tests_of(model)
    yield f"# {name}\n"
    yield _text(model["description"]) + "\n"
    if keys := list(_keys(tests)):
        yield "**Key**, tested in every build: " + "; ".join(keys) + ".\n"
    yield "## Columns\n"
    yield "| column | type | what it is |\n|---|---|---|"
    held = _held(tests)
    for column in model["columns"].values():
        said = " ".join([_cell(column["description"]), *held.get(column["name"], ())])
        yield f"| `{column['name']}` | {column['data_type']} | {said} |"
    yield ""
    if checks := models.checks_over(model):
        yield "## Checks\n"
        for check in checks:
            ends = "warns" if check["config"]["severity"].lower() == "warn" else "stops publishing"
            yield f"- `{check['name']}` ({ends}). {_text(_comment(check['raw_code']))}"
        yield ""
    yield "## Where it comes from, where it goes\n"
    yield "- It reads " + _listed(models, (parent.rsplit(".", 1)[-1] for parent in _parents(model))) + "."
    yield "- Models that read it: " + _listed(models, (node["name"] for node in models.read_by(model))) + "."
    people = [f"{node['label']} ({node['owner']['name']})" for node in models.people_of(model)]
    yield "- Who opens it: " + (", ".join(people) or "nobody by name") + "."
    place = f"../lineage.html#!/model/{model['unique_id']}"
    yield f'- <a href="{place}">Its lineage and SQL</a>, as dbt shows them.'


def _parents(model: Node) -> list[str]:
    return sorted(str(parent) for parent in model["depends_on"]["nodes"])


def _subject(model: Node) -> str:
    folder = str(model["fqn"][2])
    return folder if folder in SUBJECTS else str(model["fqn"][1])


def _keys(tests: Iterable[Node]) -> Iterator[str]:
    for test in tests:
        of, given = test["test_metadata"]["name"], test["test_metadata"]["kwargs"]
        if of in {"unique_grain", "unique"}:
            columns = list(given.get("columns") or [given["column_name"]])
            where = test["config"].get("where")
            yield _names(columns) + (f" (where `{where}`)" if where else "")


def _held(tests: Iterable[Node]) -> dict[str, list[str]]:
    """What columns are held to, in words."""
    held: dict[str, list[str]] = {}
    for test in tests:
        of, given = test["test_metadata"]["name"], test["test_metadata"]["kwargs"]
        if of == "accepted_values":
            said = "One of " + ", ".join(f"`{value}`" for value in given["values"]) + "."
        elif of == "relationships":
            [table] = re.findall(r"'(\w+)'", given["to"])
            said = f"Refers to `{table}.{given['field']}`."
        else:
            for column in given.get("required") or (given.get("columns", ()) if of == "required" else ()):
                held.setdefault(column, []).append("Never null.")
            continue
        held.setdefault(given["column_name"], []).append(said)
    return held


def _listed(models: Models, names: Iterable[str]) -> str:
    published = {model["name"] for model in models.published}
    links = [f"[{name}]({name}.md)" if name in published else f"`{name}`" for name in names]
    return ", ".join(links) or "nothing"


def _names(columns: Iterable[str]) -> str:
    return ", ".join(f"`{column}`" for column in columns)


def _comment(sql: str) -> str:
    """What a hand-written test says at its top."""
    block = re.search(r"\{#-?(.*?)-?#\}", sql, re.DOTALL)
    lines = re.match(r"(?:--.*\n?)+", sql)
    if lines:
        return " ".join(line.removeprefix("--").strip() for line in lines[0].splitlines())
    return " ".join(block[1].split()) if block else ""


def _first_sentence(text: str) -> str:
    return re.split(r"(?<=\.)\s", text.strip(), maxsplit=1)[0]


def _cell(text: str) -> str:
    return _text(text).replace("|", "\\|")


def _text(text: str) -> str:
    """Words as they are; what Markdown would take for marks is escaped, but not within backticks."""
    parts = " ".join(text.split()).split("`")
    plain = [
        re.sub(r"([\\*_<\[\]{}])", r"\\\1", part) if i % 2 == 0 else part for i, part in enumerate(parts)
    ]
    return "`".join(plain)
