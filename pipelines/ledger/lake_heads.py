"""Which commits of the lake something was built or issued from, so that a lake whose end is missing is found.

Reading and making commits does not belong here.
"""

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from pipelines.home import Home
from pipelines.lake.commits import Head, Lake, LakeError, need_head
from pipelines.lake.places import commit_file
from pipelines.ledger.connect import describe_failure, find_address, make_engine
from pipelines.ledger.schema import lake_heads
from pipelines.ledger.store import Ledger


def record_head(ledger: Ledger, lake: Lake) -> None:
    """Remember the last commit. A lake is known by the hash of its first one."""
    if lake.head is None or lake.lake_id is None:
        return
    key = {"lake_id": lake.lake_id, "commit_number": lake.head.number}
    with ledger.writing() as connection:
        known = sa.select(lake_heads.c.commit_sha256).filter_by(**key)
        if connection.scalar(known) is None:
            connection.execute(sa.insert(lake_heads).values(**key, commit_sha256=lake.head.sha256))


def need_recorded_head(home: Home, lake: Lake) -> None:
    """The lake has what the home's ledger remembers of it. The ledger is only read; it may lack the table.

    :raises LakeError: commits are missing, or it is another lake than the one of the home's own ledger.
    :raises LedgerError: the ledger is out of reach.
    """
    address = find_address(home, None)
    if not address.is_postgresql and not (home.ledger / "ledger.sqlite").exists():
        return
    engine = make_engine(address)
    try:
        with engine.connect() as connection:
            if not sa.inspect(connection).has_table(lake_heads.name):
                return
            rows = connection.execute(sa.select(lake_heads).order_by(lake_heads.c.commit_number)).all()
    except SQLAlchemyError as error:
        raise describe_failure(address, error) from None
    finally:
        engine.dispose()
    own = [row for row in rows if row.lake_id == lake.lake_id]
    # A ledger on a server may be shared by several homes; one in the home is of this lake alone.
    if rows and not own and not address.is_postgresql:
        raise LakeError(
            "commit 1 is missing, or not the one that the ledger knows",
            where=str(commit_file(home, 1)),
            remedy="this is not the lake that the ledger belongs to: restore both from one backup",
        )
    if own:
        need_head(lake, Head(own[-1].commit_number, own[-1].commit_sha256), "the ledger")
