"""Builds the documentation site, offline and without a home: ``python -m docs [FOLDER]``.

The pages are copied beside those that are made from the models, and Sphinx builds the copy.
"""

import re
import shutil
import sys
from pathlib import Path

from docs.marts_pages import write_pages
from pipelines.files import keep_private
from pipelines.home import Home
from pipelines.warehouse.builds import load_manifest, write_docs

PAGES = Path(__file__).parent
ROOT = PAGES.parent


def build_site(folder: Path) -> Path:
    """Build everything into the folder.

    :returns: the front page.
    :raises SystemExit: Sphinx warned of something, and said what.
    """
    from sphinx.cmd.build import build_main

    # What dbt parsed is kept, as in a home; so the next build takes seconds.
    cache, source, html = Home(folder), folder / "source", folder / "html"
    copy_pages(source)
    write_pages(load_manifest(cache), source / "marts")
    failed = build_main(["-c", str(PAGES), "-b", "html", "-q", "-W", "--keep-going", str(source), str(html)])
    if failed:
        raise SystemExit(failed)
    shutil.copy(write_docs(cache), html / "lineage.html")
    return html / "index.html"


def copy_pages(source: Path) -> None:
    """Put the pages, and with them the decisions and the changelog, where Sphinx reads them."""
    shutil.rmtree(source, ignore_errors=True)
    shutil.copytree(PAGES, source, ignore=shutil.ignore_patterns("_build", "__pycache__", "*.py"))
    for page in source.rglob("*.md"):
        # What lies above docs/ in the repository lies beside its pages here.
        text = re.sub(r"\]\(\.\./((?:\.\./)?)(DECISIONS|CHANGELOG)\.md", _beside, page.read_text("utf-8"))
        page.write_text(text, "utf-8")
    for name in ("DECISIONS", "CHANGELOG"):
        text = (ROOT / f"{name}.md").read_text("utf-8").replace("](docs/", "](")
        (source / f"{name.lower()}.md").write_text(text, "utf-8")


def _beside(link: re.Match[str]) -> str:
    return f"]({link[1]}{link[2].lower()}.md"


if __name__ == "__main__":
    keep_private()
    print(build_site(Path(sys.argv[1] if len(sys.argv) > 1 else PAGES / "_build").resolve()))
