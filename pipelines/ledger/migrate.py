"""Brings a ledger to the newest revision, in one transaction. What the revisions do does not belong here."""

import sqlite3
from contextlib import closing

import sqlalchemy as sa
from filelock import FileLock

from pipelines.home import Home
from pipelines.ledger.connect import WAIT_SECONDS, WRITES, Address, LedgerError
from pipelines.ledger.schema import HEAD_REVISION


def migrate(engine: sa.Engine, address: Address, home: Home) -> bool:
    """Run what is pending; whether anything was. Two at once: the second waits and finds nothing to do.

    :raises LedgerError: the ledger was written by a newer version.
    """
    if address.is_postgresql:
        if _revision(engine) == HEAD_REVISION:
            return False
        return _upgrade(engine, address)
    home.ledger.mkdir(parents=True, exist_ok=True)
    # Turning the write-ahead log on needs the file alone and does not wait for that by itself.
    with FileLock(home.ledger / ".migration.lock"):
        with closing(sqlite3.connect(str(address.url.database), timeout=WAIT_SECONDS)) as connection:
            connection.execute("pragma journal_mode = wal")
        if _revision(engine) == HEAD_REVISION:
            return False
        return _upgrade(engine, address)


def is_current(engine: sa.Engine) -> bool:
    """Whether the ledger is at the newest revision."""
    return _revision(engine) == HEAD_REVISION


def _revision(engine: sa.Engine) -> str | None:
    with engine.connect() as connection:
        if not sa.inspect(connection).has_table("alembic_version"):
            return None
        row = connection.execute(sa.text("select version_num from alembic_version")).first()
        return None if row is None else str(row[0])


def _upgrade(engine: sa.Engine, address: Address) -> bool:
    # Alembic takes a while to import, and most commands find nothing to migrate.
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", "pipelines.ledger:migrations")
    with engine.connect().execution_options(**{WRITES: True}) as connection, connection.begin():
        before = _current(connection)
        known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
        if before is not None and before not in known:
            raise LedgerError(
                f"the ledger is at revision {before}, which this version of Meterhouse does not know",
                where=str(address),
                remedy="use the version that wrote it, or a newer one",
            )
        config.attributes["connection"] = connection
        try:
            command.upgrade(config, "head")
        except CommandError as error:
            raise LedgerError(
                f"the migration failed: {address.redact(str(error))}",
                where=str(address),
                remedy="nothing was changed",
            ) from None
        return _current(connection) != before


def _current(connection: sa.Connection) -> str | None:
    from alembic.runtime.migration import MigrationContext

    return MigrationContext.configure(connection).get_current_revision()
