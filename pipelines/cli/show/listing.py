"""What a closing would issue, document by document, with what it puts right and why: table, JSON, CSV.

The figures and words are SQL's (``int_due_documents``, ``int_due_corrections``); totals and what to look at
besides belong to ``command``.
"""

import json
import textwrap
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, TextIO

from rich.console import Console

from pipelines.books.closing import ClosingOutcome
from pipelines.cli.show.output import FORMATS, exact_cell, write_json
from pipelines.errors import ConfigurationError, any_of
from pipelines.figures import plain_text
from pipelines.ledger.books import Row
from pipelines.tables import write_csv_rows

COLUMNS: Final = (
    "kind",
    "number",
    "customer_id",
    "period_start",
    "period_end",
    "amount",
    "amount_minor",
    "currency",
    "line_count",
    "corrects_invoice",
    "waits_for",
    "description",
    "reason",
    "causes",
    "document_id",
    "line_id",
    "content_hash",
)
"""Of CSV: a row per document (invoice, credit_note), after it its adjustments or credits; then what waits."""
_WAITS: Final = {
    "invoice": "Wait for an invoice whose cycle is still open",
    "amount": "Wait until more comes together, less than {} by invoice",
}
_LEAST_WIDTH = 40


def need_listing(output_format: str | None, file: Path | None, *, is_dry_run: bool) -> str:
    """The format of the list; said before anything is computed.

    :param output_format: None: as the file's name ends, table without one.
    :raises ConfigurationError: it is none, does not fit the file, or no dry run is asked for.
    """
    if not is_dry_run and (output_format is not None or file is not None):
        raise ConfigurationError(
            "only a dry run lists documents",
            where="--format" if output_format is not None else "--output",
            remedy="add --dry-run; what is issued is in the marts invoices, invoice_lines and credit_notes",
        )
    chosen = output_format or (file.suffix.lstrip(".").lower() if file else "table")
    allowed = FORMATS if file is None else FORMATS[1:]
    if chosen not in allowed:
        raise ConfigurationError(
            f"{chosen!r} is not a format" + (" of a file" if file else ""),
            where="--format" if output_format is not None else "--output",
            remedy=f"write {any_of(allowed)}",
        )
    if file is not None and not file.parent.is_dir():
        raise ConfigurationError(
            f"there is no folder {file.parent}", where="--output", remedy="make it, or choose another"
        )
    return chosen


def save_listing(
    outcome: ClosingOutcome, build_warnings: Sequence[str], file: Path, output_format: str
) -> None:
    """Write the list to a file, in place of one that is there.

    :param output_format: json or csv.
    """
    aside = file.with_name(f".{file.name}.tmp")
    with aside.open("w", encoding="utf-8", newline="") as output:
        write_listing(outcome, build_warnings, output, output_format)
    aside.replace(file)


def write_listing(
    outcome: ClosingOutcome, build_warnings: Sequence[str], output: TextIO, output_format: str
) -> None:
    """Write the list as json or csv. Amounts and days are texts, exact; what is given back is negative."""
    if output_format == "json":
        write_json(_as_object(outcome, build_warnings), output)
        return
    rows = ([row.get(name) for name in COLUMNS] for row in _as_rows(outcome))
    write_csv_rows(output, COLUMNS, (map(exact_cell, row) for row in rows))


def print_listing(outcome: ClosingOutcome, console: Console) -> None:
    """The documents in the order of their numbers, each with its hash and corrections; then what waits."""
    width = max(console.width, _LEAST_WIDTH)
    lines: list[str] = []
    for document, corrections in _documents(outcome):
        count = document["line_count"]
        head = f"{document['number']}  {document['customer_id']}, {_cycle(document)}"
        head += f", {count:,} line" + ("" if count == 1 else "s")
        lines += _entry(head, document, width, 0)
        lines += [f"  {document['content_hash']}"]
        for correction in corrections:
            lines += _entry(correction["description"], correction, width, 4)
            lines += _wrapped(f"{correction['reason']} ({correction['cause_text']})", width, 6)
    for kind, waiting in _waiting(outcome).items():
        heading = _WAITS[kind].format(plain_text(outcome.plan.terms.corrections_from))
        lines += ["", f"{heading}:"]
        for correction in waiting:
            about = f"{correction['invoice_number']}, {correction['customer_id']}: "
            lines += _entry(about + correction["description"], correction, width, 2)
            lines += _wrapped(f"{correction['reason']} ({correction['cause_text']})", width, 6)
    if lines:
        console.print("\n".join([*lines, ""]), markup=False, soft_wrap=True)


def _documents(outcome: ClosingOutcome) -> Iterator[tuple[dict[str, Any], Sequence[Row]]]:
    """Every document with the number that it would get now, and its corrections in the order of its lines."""
    numbers = (*outcome.invoice_numbers, *outcome.credit_note_numbers)
    corrections: dict[str, list[Row]] = defaultdict(list)
    for correction in outcome.plan.corrections:
        corrections[correction["document_id"]].append(correction)
    for number, document in zip(numbers, outcome.plan.listed, strict=True):
        yield {"number": number, **document}, corrections[document["document_id"]]


def _waiting(outcome: ClosingOutcome) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = defaultdict(list)
    for correction in outcome.plan.corrections:
        if correction["waits_for"]:
            found[correction["waits_for"]].append(correction)
    return found


def _as_object(outcome: ClosingOutcome, build_warnings: Sequence[str]) -> dict[str, Any]:
    plan = outcome.plan

    def told(correction: Row) -> dict[str, Any]:
        causes = json.loads(correction["causes"]) if correction["causes"] else None
        return {**correction, "causes": causes}

    return {
        "through": plan.terms.through,
        "as_of": plan.terms.as_of,
        "corrections_from": plan.terms.corrections_from,
        "hash": plan.documents.hash(),
        "documents": [
            {**document, "corrections": [told(correction) for correction in corrections]}
            for document, corrections in _documents(outcome)
        ],
        "waiting": [told(correction) for waiting in _waiting(outcome).values() for correction in waiting],
        "totals": plan.totals,
        "warnings": plan.warnings,
        "checks": build_warnings,
    }


def _as_rows(outcome: ClosingOutcome) -> Iterator[dict[str, Any]]:
    for document, corrections in _documents(outcome):
        yield {name: document[name] for name in COLUMNS if name in document}
        for correction in corrections:
            yield _correction_row(correction) | {"number": document["number"]}
    for waiting in _waiting(outcome).values():
        yield from map(_correction_row, waiting)


def _correction_row(correction: Row) -> dict[str, Any]:
    row = {name: correction[name] for name in COLUMNS if name in correction}
    return row | {"corrects_invoice": correction["invoice_number"], "causes": correction["cause_text"]}


def _cycle(row: Row) -> str:
    return f"{row['period_start']} to {row['period_end'] - timedelta(days=1)}"


def _entry(text: str, row: Row, width: int, indent: int) -> list[str]:
    """Text on the left, as many lines as it needs, and the amount on the right of the first."""
    amount = f"{row['amount_text']} {row['currency']}"
    room = max(width - len(amount) - 2, _LEAST_WIDTH // 2)
    first, *more = _wrapped(text, room, indent)
    return [f"{first:{room}}  {amount}", *more]


def _wrapped(text: str, width: int, indent: int) -> list[str]:
    margin = " " * indent
    return textwrap.wrap(
        text, width, initial_indent=margin, subsequent_indent=f"{margin}  ", break_on_hyphens=False
    ) or [""]
