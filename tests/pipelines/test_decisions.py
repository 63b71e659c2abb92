"""Decisions are cited by ids that exist, and links between pages, also to headings, lead somewhere."""

import re
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
ID = re.compile(r"(?<![\w-])D-[a-z]+(?:-[a-z0-9]+)+")
PAGES = sorted(
    page.relative_to(ROOT).as_posix()
    for page in (*ROOT.glob("*.md"), *DOCS.rglob("*.md"))
    if "_build" not in page.parts
)


def decisions() -> dict[str, str]:
    """Text by id."""
    parts = re.split(r"^### (.+)\n", (ROOT / "DECISIONS.md").read_text(), flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


def citing_files() -> list[Path]:
    folders = ("pipelines", "models", "dbt_project", "tests", "docs", "benchmarks")
    files = [file for name in folders for file in (ROOT / name).rglob("*") if "_build" not in file.parts]
    code = [
        file
        for file in files
        if file.suffix in {".py", ".sql", ".yml", ".md", ".c"} and file != Path(__file__)
    ]
    return [*code, *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "Makefile"))]


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub and MyST make them."""
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    found: Counter[str] = Counter()
    names = set()
    for heading in re.findall(r"^#{1,6} (.+)$", text, flags=re.MULTILINE):
        name = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        names.add(f"{name}-{found[name]}" if found[name] else name)
        found[name] += 1
    return names


def test_ids_are_unique_and_each_says_why_and_where_the_rule_is():
    headings = re.findall(r"^### (.+)$", (ROOT / "DECISIONS.md").read_text(), flags=re.MULTILINE)
    assert [name for name, count in Counter(headings).items() if count > 1] == []
    assert [name for name in headings if not ID.fullmatch(name)] == []
    lacking = [name for name, text in decisions().items() if "*Why:*" not in text or "](docs/" not in text]
    assert lacking == []


def test_what_is_cited_exists():
    ids = set(decisions())
    strange = {
        f"{file.relative_to(ROOT)}: {cited}"
        for file in citing_files()
        for cited in ID.findall(file.read_text(encoding="utf-8"))
        if cited not in ids
    }
    assert strange == set()


def test_code_that_relies_on_decisions_cites_them():
    cited = {
        name
        for file in citing_files()
        if file.suffix in {".py", ".sql"} and "tests" not in file.relative_to(ROOT).parts[0]
        for name in ID.findall(file.read_text(encoding="utf-8"))
    }
    assert len(cited) >= 15


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str):
    file = ROOT / page
    text = re.sub(r"^```.*?^```|`[^`\n]*`", "", file.read_text(), flags=re.MULTILINE | re.DOTALL)
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        place, _, anchor = link.partition("#")
        target = (file.parent / place).resolve() if place else file
        # Pages of marts are made from the models; the site's build looks at links to them.
        if "://" in link or target.parent == DOCS / "marts":
            continue
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []
