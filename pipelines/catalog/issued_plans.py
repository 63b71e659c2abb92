"""Plan versions that issued invoices or corrections used must stay as they were (contract section 5, rule 9).

What else a catalog must fulfil is judged by ``pipelines.catalog``, without looking at what was issued.
"""

from collections.abc import Container, Iterator, Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

import duckdb
import pyarrow.parquet as pq

from pipelines.catalog.configuration import Configuration
from pipelines.catalog.tables import Table, catalog_tables
from pipelines.errors import ConfigurationError, Fault
from pipelines.figures import plain_text
from pipelines.files import matching
from pipelines.home import Home
from pipelines.lake.places import catalog_folder, export_folder

_FILE = "catalog/plans.yml"
_TABLES = ("plans", "charges", "charge_tiers")
# The order in which charges are written is no term.
_NO_TERMS = {"position"}

Version = tuple[str, date]
Facts = dict[tuple[str, ...], Any]


def need_issued_plans(home: Home, configuration: Configuration) -> None:
    """Compare every plan version that an issued invoice or a correction of it used with what it was then.

    :raises ConfigurationError: one was changed or removed; every one that was is named.
    """
    faults = list(changed_plans(home, configuration))
    if faults:
        raise ConfigurationError(
            "a plan version that issued invoices used is not what it was; nothing was changed",
            faults,
            where=str(home.root),
            remedy="correct plans.yml and run the command again",
        )


def changed_plans(home: Home, configuration: Configuration) -> Iterator[Fault]:
    """One fault per plan version that issued invoices used and that is another now."""
    used = _used_versions(home)
    if not used:
        return
    tables = catalog_tables(configuration.catalog, configuration.sources)
    compared = {}
    for version in {catalog_version for *_, catalog_version, _ in used}:
        kept = _kept_tables(home, version)
        # A column that the catalog has only got since then says nothing about what was issued.
        compared[version] = _facts(kept), _facts(tables, {table.name: dict(table.columns) for table in kept})
    told = set()
    for plan_id, effective_from, catalog_version, invoice_number in used:
        if (plan_id, effective_from) in told:
            continue
        then, now = compared[catalog_version]
        was, current = then.get((plan_id, effective_from), {}), now.get((plan_id, effective_from), {})
        if was == current:
            continue
        told.add((plan_id, effective_from))
        yield Fault(
            _FILE,
            f"plans (id {plan_id}, effective_from {effective_from})",
            f"{_difference(was, current)}, and invoice {invoice_number} was issued or corrected with it",
            "put it back as it was, and write new terms as a version with a later effective_from",
        )


def _used_versions(home: Home) -> list[tuple[str, date, str, str]]:
    """Plan, version, catalog version, and the first invoice that was issued or corrected with these."""
    folder = export_folder(home)
    if not matching(folder / "closings", "[0-9]*.parquet"):
        return []
    query = """
        select plan_id, plan_version, catalog_version, min(invoice_number)
        from read_parquet($periods) as periods join read_parquet($invoices) using (invoice_id)
        join read_parquet($closings) as closings on periods.closing_number = closings.closing_number
        group by all order by plan_id, plan_version, min(invoice_number)
    """
    tables = {"periods": "issued_periods", "invoices": "issued_invoices", "closings": "closings"}
    files = {
        name: [str(file) for file in matching(folder / table, "[0-9]*.parquet")]
        for name, table in tables.items()
    }
    with duckdb.connect() as connection:
        return connection.execute(query, files).fetchall()


def _kept_tables(home: Home, catalog_version: str) -> list[Table]:
    """The tables that say what plan versions are, as the lake has them of a catalog version."""
    tables = []
    for name in _TABLES:
        found = pq.read_table(catalog_folder(home, catalog_version) / f"{name}.parquet")
        columns = tuple((column, "") for column in found.column_names)
        tables.append(Table(name, columns, tuple(tuple(row.values()) for row in found.to_pylist())))
    return tables


def _facts(tables: Sequence[Table], only: Mapping[str, Container[str]] | None = None) -> dict[Version, Facts]:
    """What every plan version says, each fact by its path: ("price",), ("charges", "calls", "included").

    :param only: tables and columns that are looked at; None: all that say something about plans.
    """
    facts: dict[Version, Facts] = {}
    for table in tables:
        if table.name not in _TABLES:
            continue
        columns = [name for name, _ in table.columns]
        for values in table.rows:
            row: dict[str, Any] = dict(zip(columns, values, strict=True))
            plan = facts.setdefault((row.pop("plan_id"), row.pop("effective_from")), {})
            path: tuple[str, ...] = ()
            if table.name != "plans":
                path = ("charges", str(row.pop("meter_id")))
            if table.name == "charge_tiers":
                path = (*path, "tiers", str(row.pop("tier_number")))
            known = {name for name in row if only is None or name in only[table.name]} - _NO_TERMS
            plan |= {(*path, name): row[name] for name in known}
    return facts


def _difference(was: Facts, now: Facts) -> str:
    if not now:
        return "the version is gone"
    path = min(path for path in was.keys() | now.keys() if was.get(path) != now.get(path))
    return f"{'.'.join(path)} was {_text(was.get(path))} and is {_text(now.get(path))}"


def _text(value: object) -> str:
    if isinstance(value, Decimal):
        return plain_text(value)
    return "nothing" if value is None else str(value)
