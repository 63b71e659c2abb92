"""What one build is told: its clock and versions, and what part of lake and ledger it knows.

What it makes of that is SQL's; how it reaches dbt belongs to ``pipelines.warehouse.builds``.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Scope:
    """What part of lake and ledger a build knows; by itself all of it.

    :param batches_file: Parquet, batch_id: the batches that exist.
    :param customers_file: Parquet, customer_id: the customers that it is about.
    :param closing_number: the last closing whose documents exist; 0: none of them.
    :param pinned_folder: lines and faults rated with the terms that issued invoices pinned, in Parquet.
    :param close_through: the last day of cycles, where it is computed what a closing issues.
    :param corrections_from: what an invoice's corrections must come to for it to issue them, 0 or more.
    :param traced_lines_file: Parquet, invoice_line_id: the lines whose events are asked for.
    """

    batches_file: Path | None = None
    customers_file: Path | None = None
    closing_number: int | None = None
    pinned_folder: Path | None = None
    close_through: date | None = None
    corrections_from: Decimal = Decimal(0)
    traced_lines_file: Path | None = None

    def variables(self) -> dict[str, str]:
        """The settings that tell dbt; an empty text stands for all."""
        told = {
            "known_batches": self.batches_file,
            "customers": self.customers_file,
            "known_closing": self.closing_number,
            "pinned": self.pinned_folder,
            "close_through": self.close_through,
            "corrections_from": format(self.corrections_from, "f"),
            "traced_lines": self.traced_lines_file,
        }
        return {name: "" if value is None else str(value) for name, value in told.items()}


@dataclass(frozen=True)
class BuildSettings:
    """What one build is told; reaches SQL as variables of dbt.

    ``rebuild``: {"days": [...]} or {"months": [...]} that a person wants computed again, or {}.
    """

    as_of: datetime
    build_id: str
    catalog_version: str
    accounts_version: str
    prices_version: str
    code_version: str
    rebuild: Mapping[str, Any] = field(default_factory=dict)
    scope: Scope = field(default_factory=Scope)
