"""A home whose books close: rows in, documents out, without ingest, validation and publishing. No tests here."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pyarrow.parquet as pq
from parsed import give_parsed
from rating_lake import RatingHome

from pipelines.books.knowledge import Knowledge
from pipelines.books.pins import rate_pinned_periods
from pipelines.books.plan import CLOSING_MODELS, ClosingPlan, read_plan
from pipelines.home import Home
from pipelines.ledger import open_ledger
from pipelines.ledger.books import Closing, Terms, all_closings, issue
from pipelines.warehouse.scope import Scope

_BUILT = "+int_due_totals +int_due_warnings +int_due_documents +int_due_corrections +int_due_periods"


@dataclass
class BooksHome(RatingHome):
    """A rating home with a ledger of its own."""

    def __post_init__(self) -> None:
        super().__post_init__()
        give_parsed(self.root)

    def plan(self, through: str, corrections_from: str = "0") -> ClosingPlan:
        """What a closing would issue."""
        home, last_day, least = Home(self.root), date.fromisoformat(through), Decimal(corrections_from)
        prices = self.versions.get("prices", "")
        told = Scope(close_through=last_day, corrections_from=least).variables()
        told["prices_version"] = prices
        self.build(select=_BUILT, told=told)
        as_of = datetime.fromisoformat(self.as_of)
        versions = (self.versions["catalog"], self.versions["accounts"], prices)
        pinned = rate_pinned_periods(home, Knowledge(as_of, *versions), self.warehouse_file)
        if pinned:
            self.builds -= 1
            told |= {"pinned": str(pinned)}
            self.build(select=" ".join(CLOSING_MODELS), told=told)
        with open_ledger(home, "") as ledger:
            known = len(all_closings(ledger))
        terms = Terms(last_day, as_of, *versions, "tests", corrections_from=least)
        return read_plan(self.warehouse_file, terms, known)

    def close(self, through: str, corrections_from: str = "0") -> Closing | None:
        """Issue what there is to issue."""
        return self.issue(self.plan(through, corrections_from))

    def issue(self, plan: ClosingPlan) -> Closing | None:
        """Issue what the plan has."""
        if not plan.documents:
            return None
        with open_ledger(Home(self.root), "") as ledger:
            return issue(
                ledger,
                plan.terms,
                plan.documents,
                plan.batch_ids,
                known_closing=plan.known_closing,
                closed_at=plan.terms.as_of,
                closed_by="tests",
            )

    def documents_of(self, closing: Closing | None) -> dict[str, list[dict[str, Any]]]:
        """Lines of invoices and of credit notes that a closing issued, as the lake has them."""
        if closing is None:
            return {"lines": [], "credits": []}
        notes = {row["credit_note_id"]: row for row in self.exported("credit_notes", closing.closing_number)}
        return {
            "lines": self.exported("issued_lines", closing.closing_number),
            "credits": [
                notes[row["credit_note_id"]] | row
                for row in self.exported("credit_note_lines", closing.closing_number)
            ],
        }

    def exported(self, table: str, closing_number: int) -> list[dict[str, Any]]:
        """The rows of a ledger table that a closing brought, lines as people read them."""
        rows = pq.read_table(self.root / f"lake/ledger/{table}/{closing_number}.parquet").to_pylist()
        return sorted(rows, key=lambda row: row.get("line_number", 0))

    def net_by_line(self) -> Mapping[str, int]:
        """What was billed for each rated line in the end: issued plus adjusted less credited; 0 left out."""
        self.build(select="+int_billed_lines +invoices +invoice_lines")
        return {
            row["rated_line_id"]: row["billed_minor"]
            for row in self.query("select * from int_billed_lines where billed_minor != 0")
        }
