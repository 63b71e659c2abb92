"""What ``meterhouse recommendations`` and ``meterhouse dismiss`` do: show what is advised, and say no to it.

What is advised is decided in SQL (``recommendations``), what was decided about it is in the ledger; neither
belongs here, nor do options and their help (``pipelines.cli``).
"""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TextIO

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pipelines.cli.show.output import exact_cell, need_format, write_json
from pipelines.errors import ConfigurationError
from pipelines.home import Home
from pipelines.ledger import open_ledger
from pipelines.serving.readers import need_customer, open_published
from pipelines.settings import Settings
from pipelines.tables import write_csv_rows

Recommendation = Mapping[str, Any]
"""A row of ``recommendations`` by column; status and decided_at are what the ledger says now."""

_FIELDS = (
    "recommendation_id",
    "customer_id",
    "subscription_id",
    "meter_id",
    "type",
    "rule",
    "priority",
    "title",
    "description",
    "impact",
    "implementation",
    "evidence",
    "potential_savings",
    "currency",
    "status",
    "decided_at",
    "as_of",
)
_STYLES = {"HIGH": "red", "MEDIUM": "yellow"}
_ORDER = {"HIGH": 0, "MEDIUM": 1, "LOW": 2}


def show_recommendations(
    settings: Settings,
    output: TextIO,
    output_format: str = "table",
    customer_id: str | None = None,
    *,
    is_open_only: bool = True,
) -> None:
    """Write the published recommendations, the most urgent first. Numbers of JSON and CSV are texts, exact.

    :param output_format: table, json or csv.
    :param is_open_only: leave out what was dismissed or accepted.
    :raises ConfigurationError: another format, or no such customer.
    :raises MeterhouseError: nothing is published yet.
    """
    need_format(output_format)
    rows = _recommendations(settings.home)
    if customer_id is not None:
        with open_published(settings.home.published_file) as tables:
            need_customer(tables, customer_id)
        rows = [row for row in rows if row["customer_id"] == customer_id]
    found = [row for row in rows if row["status"] == "open" or not is_open_only]
    _WRITERS[output_format](found, output)


def dismiss_recommendation(settings: Settings, recommendation_id: str, note: str | None = None) -> str:
    """Say no to a recommendation: the ledger remembers it at once, the marts from the next run on.

    :param note: why; kept with the decision.
    :returns: what was done, for the person who did it.
    :raises ConfigurationError: no such recommendation is published; nothing is changed.
    :raises MeterhouseError: nothing is published yet, or the ledger cannot be written.
    """
    published = {row["recommendation_id"]: row for row in _recommendations(settings.home)}
    row = published.get(recommendation_id)
    if row is None:
        raise ConfigurationError(
            f"no recommendation has the id {recommendation_id}",
            where=str(settings.home.published_file),
            remedy="`meterhouse recommendations` lists them; one whose reason is gone needs no dismissal",
        )
    with open_ledger(settings.home) as ledger:
        is_new = ledger.dismiss(recommendation_id, settings.now(), note)
    about = f"{row['title']} ({row['customer_id']})"
    return f"Dismissed: {about}." if is_new else f"This was dismissed before: {about}."


def _recommendations(home: Home) -> list[Recommendation]:
    with open_published(home.published_file) as tables:
        rows = tables.table("recommendations").select(*_FIELDS).fetchall()
    found = [dict(zip(_FIELDS, row, strict=True)) for row in rows]
    with open_ledger(home) as ledger:
        decided = {decision.recommendation_id: decision for decision in ledger.decisions()}
    for row in found:
        decision = decided.get(row["recommendation_id"])
        row["status"] = decision.decision if decision else "open"
        row["decided_at"] = decision.decided_at if decision else None
    return sorted(
        found,
        key=lambda row: (_ORDER[row["priority"]], row["customer_id"], row["type"], row["recommendation_id"]),
    )


def _write_table(rows: Sequence[Recommendation], output: TextIO) -> None:
    console = Console(file=output, highlight=False)
    if not rows:
        console.print("No recommendations.")
        return
    table = Table(box=box.SIMPLE_HEAD)
    for name in ("Priority", "Customer", "Status", "What, why, and its id"):
        table.add_column(name, overflow="fold", no_wrap=name in {"Priority", "Status"})
    for row in rows:
        table.add_row(
            Text(row["priority"], style=_STYLES.get(row["priority"], "")),
            Text(row["customer_id"]),
            row["status"],
            # Under the words, an id stays in one piece on a narrow terminal too.
            Text.assemble(
                (row["title"], "bold"),
                *(f"\n{row[part]}" for part in ("description", "impact", "implementation")),
                ("\n" + row["recommendation_id"], "dim"),
            ),
        )
    console.print(table)
    count = "1 recommendation" if len(rows) == 1 else f"{len(rows):,} recommendations"
    console.print(f"{count}, {sum(row['status'] == 'open' for row in rows):,} open.")


def _write_json(rows: Sequence[Recommendation], output: TextIO) -> None:
    records = [
        {name: exact_cell(value) for name, value in row.items()} | {"evidence": json.loads(row["evidence"])}
        for row in rows
    ]
    write_json(records, output)


def _write_csv(rows: Sequence[Recommendation], output: TextIO) -> None:
    write_csv_rows(output, _FIELDS, ([exact_cell(value) for value in row.values()] for row in rows))


_WRITERS: Final[dict[str, Callable[[Sequence[Recommendation], TextIO], None]]] = {
    "table": _write_table,
    "json": _write_json,
    "csv": _write_csv,
}
