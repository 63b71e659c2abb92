"""What ``meterhouse invoice`` does: read what is asked for, and write its documents.

Options and their help belong to ``pipelines.cli``.
"""

from collections.abc import Sequence
from datetime import date
from pathlib import Path

from pipelines.documents.facts import read_document, read_month
from pipelines.documents.write import FORMATS, Written, write_documents
from pipelines.errors import ConfigurationError, MeterhouseError
from pipelines.home import Home
from pipelines.progress import Quiet, Steps


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
) -> Written:
    """Documents of one number or id, or of a month: its invoices and the credit notes issued in it.

    :param month: its first day; invoices belong to the month of their cycle's last day.
    :param with_drafts: with a month, also invoices that are not issued.
    :param replace: overwrite files that hold other content.
    :raises ConfigurationError: not one of document and month, or an unknown format or document.
    :raises MeterhouseError: nothing was issued in the month, or files with other content were kept.
    """
    for name in formats:
        if name not in FORMATS:
            raise ConfigurationError(
                f"{name!r} is not a format", where="--format", remedy=f"write {', '.join(FORMATS)}"
            )
    steps = steps or Quiet()
    file = home.published_file
    with steps.step("Reading invoices"):
        if document is not None and month is None:
            published = read_document(file, document)
        elif month is not None and document is None:
            published = read_month(file, month, with_drafts=with_drafts)
        else:
            raise ConfigurationError(
                "name either a document or a month",
                where="meterhouse invoice",
                remedy="write e.g. `meterhouse invoice INV-000001` or `meterhouse invoice --month 2026-03`",
            )
    if month is not None and not published.invoices and not published.credit_notes:
        raise MeterhouseError(
            f"nothing was issued for {month:%Y-%m}",
            where=str(file),
            remedy=f"issue it (`meterhouse close {month:%Y-%m}`), or add --with-drafts to see it before",
        )
    with steps.step("Writing documents") as step:
        return write_documents(
            published,
            list(dict.fromkeys(formats)),
            output,
            home.cache / "fonts",
            replace=replace,
            on_progress=step.update,
        )
