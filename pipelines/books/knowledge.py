"""What was known when something was computed: batches, versions of documents, the books, the clock.

The same knowledge gives the same lines, whenever and wherever it is computed
(D-proof-recorded-use). Computing does not belong here.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Self

import duckdb

from pipelines.catalog.uses import recorded_uses, versions_at
from pipelines.errors import ConfigurationError, MeterhouseError
from pipelines.home import Home
from pipelines.lake.commits import read_lake
from pipelines.lake.places import versions_folder
from pipelines.ledger.books import all_closings, known_batches
from pipelines.warehouse.measure import open_tables

if TYPE_CHECKING:
    from pipelines.ledger import Ledger
    from pipelines.session import Session


@dataclass(frozen=True)
class Knowledge:
    """All that rating depends on.

    :param as_of: the clock, an instant in UTC.
    :param batches: ids of the batches known; None: all that the lake has.
    :param closing_number: the last closing whose documents are known; 0: none, None: all.
    :param code_version: the models that computed with it first; None: those of today.
    """

    as_of: datetime
    catalog_version: str
    accounts_version: str
    prices_version: str
    batches: frozenset[str] | None = field(default=None, repr=False)
    closing_number: int | None = None
    code_version: str | None = None

    @classmethod
    def current(cls, session: "Session") -> Self:
        """What the session's home knows now. Its documents are validated, and kept if they are new."""
        session.adopt()
        settings = session.dbt_settings({})
        return cls(
            as_of=settings.as_of,
            catalog_version=settings.catalog_version,
            accounts_version=settings.accounts_version,
            prices_version=settings.prices_version,
            code_version=settings.code_version,
        )

    @classmethod
    def of_closing(cls, ledger: "Ledger", closing_number: int) -> Self:
        """What a closing knew when it was made: the batches up to it, its versions, the closings before it.

        :raises MeterhouseError: there is no such closing.
        """
        closing = next((one for one in all_closings(ledger) if one.closing_number == closing_number), None)
        if closing is None:
            raise MeterhouseError(
                f"there is no closing {closing_number}",
                where=str(ledger),
                remedy="the ledger's table closings lists them",
            )
        return cls(
            as_of=closing.as_of,
            catalog_version=closing.catalog_version,
            accounts_version=closing.accounts_version,
            prices_version=closing.prices_version,
            batches=frozenset(known_batches(ledger, closing_number)),
            closing_number=closing_number - 1,
            code_version=closing.code_version,
        )

    @classmethod
    def of_warehouse(cls, home: Home) -> Self:
        """What the last good warehouse was built from, and so what was published.

        :raises MeterhouseError: there is none.
        """
        if not home.warehouse_file.exists():
            raise MeterhouseError(
                "there is no warehouse yet", where=str(home.root), remedy="run `meterhouse run`"
            )
        try:
            with open_tables(home.warehouse_file) as tables:
                as_of, catalog_version, accounts_version, prices_version, built_by = tables.execute(
                    "select as_of, catalog_version, accounts_version, price_list_version, code_version"
                    " from int_build_scope"
                ).fetchall()[0]
                batches = tables.execute("select batch_id from stg_lake__batches").fetchall()
        except duckdb.BinderException:
            raise MeterhouseError(
                "another version of Meterhouse built the warehouse",
                where=str(home.warehouse_file),
                remedy="run `meterhouse run`",
            ) from None
        return cls(
            as_of=as_of.astimezone(UTC),
            catalog_version=catalog_version,
            accounts_version=accounts_version,
            prices_version=prices_version,
            batches=frozenset(batch_id for (batch_id,) in batches),
            code_version=built_by,
        )

    @classmethod
    def at(cls, home: Home, ledger: "Ledger", instant: datetime) -> Self:
        """What the home knew at an instant of the clock that its runs went by.

        :raises ConfigurationError: it knew nothing, or it is not recorded which documents it used.
        """
        versions = versions_at(home, instant)
        if versions is None:
            raise _nothing_known(home, instant)
        before = [one.closing_number for one in all_closings(ledger) if one.as_of <= instant]
        return cls(
            as_of=instant,
            catalog_version=versions.catalog_version,
            accounts_version=versions.accounts_version,
            prices_version=versions.prices_version,
            batches=frozenset(_batches_known_at(home, instant)),
            closing_number=max(before, default=0),
        )


def _batches_known_at(home: Home, instant: datetime) -> Iterable[str]:
    batches = read_lake(home).batches
    return (batch_id for batch_id, batch in batches.items() if batch["ingested_at"] <= instant)


def _nothing_known(home: Home, instant: datetime) -> ConfigurationError:
    begins = min((use.used_from for use in recorded_uses(home)), default=None)
    if begins is None:
        return ConfigurationError(
            "it is not recorded which catalog and accounts were in use",
            where=str(versions_folder(home)),
            remedy="the next `meterhouse run` begins that history",
        )
    return ConfigurationError(
        f"which catalog and accounts were in use at {instant.astimezone(UTC).isoformat()} is not recorded:"
        f" the history begins at {begins.isoformat()}",
        where=str(versions_folder(home)),
        remedy="choose an instant from then on",
    )
