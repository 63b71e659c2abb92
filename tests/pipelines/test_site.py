"""The documentation site builds offline without a warning, and its pages say what code and models say."""

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
import typer
from conftest import Cli
from parsed import give_parsed

from pipelines.cli import _commands
from pipelines.home import Home
from pipelines.lock import hold_home
from pipelines.warehouse.project import PUBLISHED_LAYERS, models_in

ROOT = Path(__file__).parents[2]


class Page(HTMLParser):
    """What a page links to, what it loads, and the anchors it has."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.assets: list[str] = []
        self.anchors: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if given.get("id"):
            self.anchors.add(str(given["id"]))
        if tag == "a" and given.get("href"):
            self.links.append(str(given["href"]))
        elif tag in {"img", "script", "link", "source", "iframe"}:
            self.assets += [str(given[name]) for name in ("src", "href", "data-src") if given.get(name)]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    give_parsed(folder)
    built = subprocess.run(
        [sys.executable, "-m", "docs", str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert (built.returncode, built.stderr) == (0, "")
    return Path(built.stdout.strip()).parent


@pytest.mark.slow
def test_every_link_leads_to_a_page_and_nothing_is_loaded_from_elsewhere(site: Path):
    pages = {file: Page(file.read_text()) for file in site.rglob("*.html") if file.name != "lineage.html"}
    broken, outside = [], []
    for file, page in pages.items():
        outside += [f"{file.name}: {asset}" for asset in page.assets if re.match(r"(?:\w+:)?//", asset)]
        for link in [*page.links, *page.assets]:
            place, _, anchor = link.partition("#")
            if re.match(r"\w+:", link):
                continue
            target = (file.parent / unquote(place.partition("?")[0])).resolve() if place else file
            known = pages.get(target)
            if not target.exists() or (known and anchor and unquote(anchor) not in known.anchors):
                broken.append(f"{file.relative_to(site)}: {link}")
    assert broken == []
    assert outside == []
    styles = "".join(file.read_text() for file in site.rglob("*.css"))
    assert re.findall(r"url\(['\"]?(?:https?:)?//[^)]*|@import[^;]*", styles) == []
    assert (site / "searchindex.js").stat().st_size > 10_000


@pytest.mark.slow
def test_every_mart_has_a_page_with_its_columns_and_lineage(site: Path, manifest: dict[str, Any]):
    lineage = (site / "lineage.html").read_text()
    for model in models_in(manifest, PUBLISHED_LAYERS):
        page = (site / "marts" / f"{model['name']}.html").read_text()
        assert [column for column in model["columns"] if f">{column}<" not in page] == []
        assert f"#!/model/{model['unique_id']}" in page
        assert f'"{model["unique_id"]}"' in lineage


def test_commands_and_options_are_documented():
    text = (ROOT / "docs" / "commands.md").read_text()
    sections = dict(re.findall(r"^### ([\w-]+)\n(.*?)(?=^#{2,3} |\Z)", text, flags=re.MULTILINE | re.DOTALL))
    commands = _commands().commands
    assert set(sections) == set(commands)
    shared = {"--home", "--as-of", "--debug", "--help"}
    lacking = {
        f"{name} {option}"
        for name, command in commands.items()
        for parameter in command.get_params(typer.Context(command))
        for option in parameter.opts
        if option.startswith("--") and option not in shared and option not in sections[name]
    }
    assert lacking == set()
    assert shared <= set(re.findall(r"--[\w-]+", text))


def test_variables_of_the_environment_are_documented():
    text = (ROOT / "docs" / "environment.md").read_text()
    code = "".join(
        file.read_text() for file in (ROOT / "pipelines").rglob("*.py") if "warehouse" not in file.parts
    )
    named = set(re.findall(r"_VARIABLE = \"((?:METERHOUSE|STRIPE)_\w+)\"", code))
    assert len(named) > 5
    assert {name for name in named if f"`{name}`" not in text} == set()
    shipped = (ROOT / "models" / "catalog.py").read_text()
    told = set(re.findall(r"^\| `(\w+)`", text, flags=re.MULTILINE))
    assert {name for name in told if name not in code + shipped} == set()


def test_the_models_page_needs_no_run_and_waits_for_nobody(cli: Cli, tmp_path: Path):
    home = tmp_path / "home"
    assert cli("init", "--product", "coachos", "--home", home).returncode == 0
    with hold_home(Home(home), "a run that takes hours"):
        result = cli("docs", "--home", home, timeout=60)
    assert result.returncode == 0, result.stderr
    page = Path(result.stdout.strip())
    assert page == home / ".cache" / "dbt" / "static_index.html"
    assert '"name": "total_minor", "type": "bigint"' in page.read_text()
    assert [path.name for path in page.parent.iterdir() if path.name.startswith("docs-")] == []
    assert list((home / "warehouse").iterdir()) == []
