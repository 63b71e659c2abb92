"""A composed document as PDF or HTML bytes. The same document gives the same bytes.

Texts reach both as data, never as markup: as JSON to the one, escaped by the other. What a document says
does not belong here.
"""

import dataclasses
import importlib
import json
import os
import threading
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.documents.compose import Document

if TYPE_CHECKING:
    import typst
    from jinja2 import Template

TEMPLATES = Path(__file__).parent / "templates"
_FONTS = ("FiraGO_Regular", "FiraGO_Bold")
_local = threading.local()


def render_html(document: Document) -> bytes:
    """One page that needs nothing but itself: no script, no other file."""
    return _html_template().render(doc=document).encode()


def render_pdf(document: Document, fonts: Path) -> bytes:
    """A4 pages. A compiler is kept per thread; other threads may render meanwhile.

    :param fonts: a folder that may be written to; the fonts are put there once. Scripts that they lack fall
        back to those of the machine.
    """
    told = {"document": json.dumps(dataclasses.asdict(document), ensure_ascii=False)}
    pdf = _compiler(fonts).compile(format="pdf", sys_inputs=told, timestamp=0)
    assert isinstance(pdf, bytes)
    return pdf


def _compiler(fonts: Path) -> "typst.Compiler":
    import typst

    compiler: typst.Compiler | None = getattr(_local, "compiler", None)
    if compiler is None:
        _put_fonts(fonts)
        compiler = _local.compiler = typst.Compiler(
            TEMPLATES / "document.typ", root=TEMPLATES, font_paths=[fonts], sys_inputs={"document": "{}"}
        )
    return compiler


def _put_fonts(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in _FONTS:
        file = folder / f"{name}.otf"
        if not file.exists():
            aside = folder / f".{name}.{os.getpid()}.{threading.get_ident()}"
            aside.write_bytes(importlib.import_module(f"pymupdf_fonts.{name}").fontbuffer)
            aside.replace(file)


@cache
def _html_template() -> "Template":
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined)
    # Only charts, which are made of numbers alone.
    environment.filters["drawing"] = Markup
    return environment.get_template("document.html.j2")
