"""Documents into files, many at once; a file that says something else is never overwritten silently.

What they say belongs to ``queries`` and ``compose``.
"""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from pipelines import interruption
from pipelines.documents.compose import compose_credit_note, compose_invoice
from pipelines.documents.facts import CreditNote, Documents, Invoice
from pipelines.documents.queries import read_document, read_month
from pipelines.documents.render import render_html, render_pdf
from pipelines.documents.tables import render_csv
from pipelines.errors import ConfigurationError, MeterhouseError, any_of
from pipelines.files import make_shared_folder, share
from pipelines.home import Home
from pipelines.progress import Quiet, Steps

FORMATS = ("pdf", "html", "csv")
_BATCH = 200


@dataclass
class WrittenDocuments:
    """Files by what became of them: written, there already with the same content, or with other content."""

    files: list[Path] = field(default_factory=list)
    unchanged: list[Path] = field(default_factory=list)
    kept: list[Path] = field(default_factory=list)


def write_invoices(
    home: Home,
    output: Path,
    *,
    document: str | None = None,
    month: date | None = None,
    formats: Sequence[str] = ("pdf",),
    with_drafts: bool = False,
    replace: bool = False,
    steps: Steps | None = None,
) -> WrittenDocuments:
    """Documents of one number or id, or of a month: its invoices and the credit notes issued in it.

    :param month: its first day; invoices belong to the month of their cycle's last day.
    :param with_drafts: with a month, also invoices that are not issued.
    :param replace: overwrite files that hold other content.
    :raises ConfigurationError: not one of document and month, an unknown format or document, or nothing was
        issued in the month.
    :raises MeterhouseError: files with other content were kept.
    """
    for name in formats:
        if name not in FORMATS:
            raise ConfigurationError(
                f"{name!r} is not a format", where="--format", remedy=f"write {any_of(FORMATS)}"
            )
    steps = steps or Quiet()
    file = home.published_file
    with steps.step("Reading invoices"):
        if document is not None and month is None:
            documents = read_document(file, document)
        elif month is not None and document is None:
            documents = read_month(file, month, with_drafts=with_drafts)
        else:
            raise ConfigurationError(
                "name either a document or a month",
                where="meterhouse invoice",
                remedy="write e.g. `meterhouse invoice INV-000001` or `meterhouse invoice --month 2026-03`",
            )
    if month is not None and not documents.invoices and not documents.credit_notes:
        raise ConfigurationError(
            f"nothing was issued for {month:%Y-%m}",
            where=str(file),
            remedy=f"issue it (`meterhouse close {month:%Y-%m}`), or add --with-drafts to see it before",
        )
    with steps.step("Writing documents") as step:
        return write_documents(
            documents,
            list(dict.fromkeys(formats)),
            output,
            home.cache / "fonts",
            replace=replace,
            on_progress=step.update,
        )


def write_documents(
    found: Documents,
    formats: Sequence[str],
    output: Path,
    fonts: Path,
    *,
    replace: bool = False,
    on_progress: Callable[[int, int], None] | None = None,
) -> WrittenDocuments:
    """A file per document and format, named by the document's number: INV-000001.pdf.

    :param fonts: a folder for the PDF fonts that may be deleted at any moment.
    :param replace: files with other content are overwritten.
    :raises MeterhouseError: some files hold other content and were kept; the rest is written.
    """
    interruption.expect("files written so far are whole and the others as before; run it again for the rest")
    make_shared_folder(output)
    documents: list[Invoice | CreditNote] = [*found.invoices, *found.credit_notes]
    written, done = WrittenDocuments(), 0

    def make(document: Invoice | CreditNote) -> list[tuple[Path, bytes]]:
        return _render(document, formats, output, fonts)

    with ThreadPoolExecutor(max_workers=os.cpu_count()) as threads:
        # In batches, so that what is rendered and not yet written stays little.
        for first in range(0, len(documents), _BATCH):
            for made in threads.map(make, documents[first : first + _BATCH]):
                for file, content in made:
                    _put(file, content, written, replace=replace)
                done += 1
                if on_progress:
                    on_progress(done, len(documents))
    if written.kept:
        named = ", ".join(file.name for file in written.kept[:5])
        raise MeterhouseError(
            f"{_counted(len(written.kept))} other content; kept: {named}",
            where=str(output),
            remedy="write into another folder, or add --replace; usage, status or credit notes changed since",
        )
    return written


def _counted(files: int) -> str:
    return "1 file holds" if files == 1 else f"{files:,} files hold"


def _render(
    document: Invoice | CreditNote, formats: Sequence[str], output: Path, fonts: Path
) -> list[tuple[Path, bytes]]:
    composed = (
        compose_credit_note(document) if isinstance(document, CreditNote) else compose_invoice(document)
    )
    made = []
    for name in formats:
        if name == "pdf":
            content = render_pdf(composed, fonts)
        elif name == "html":
            content = render_html(composed)
        else:
            content = render_csv(document)
        made.append((output / f"{composed.file_name}.{name}", content))
    return made


def _put(file: Path, content: bytes, written: WrittenDocuments, *, replace: bool) -> None:
    if file.exists():
        if file.read_bytes() == content:
            written.unchanged.append(file)
            return
        if not replace:
            written.kept.append(file)
            return
    aside = file.with_name(f".{file.name}.tmp")
    try:
        aside.write_bytes(content)
        share(aside)
        with interruption.held():
            aside.replace(file)
            written.files.append(file)
    finally:
        aside.unlink(missing_ok=True)
