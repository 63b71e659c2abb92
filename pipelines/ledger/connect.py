"""Which database the ledger is, how to reach it, and how to speak of it without giving its password away.

Tables and what is written into them do not belong here.
"""

import os
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote, quote_plus

import sqlalchemy as sa
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.pool import NullPool

from pipelines.errors import ConfigurationError, MeterhouseError
from pipelines.home import Home

URL_VARIABLE = "METERHOUSE_LEDGER_URL"
WRITES = "meterhouse_writes"
"""Execution option of a connection whose transaction writes: writers queue up from its first statement on."""

WAIT_SECONDS = 60
"""How long one waits for others that write."""

_POSTGRESQL = {"postgresql", "postgres", "postgresql+psycopg"}
_URL_EXAMPLE = "write postgresql://user:password@host:5432/database, or leave it unset for SQLite in the home"
# Any number, as long as every version of Meterhouse takes the same.
_WRITER_LOCK = 7_305_816_214


class LedgerError(MeterhouseError):
    """The ledger could not be read or written; what was not confirmed is not in it."""


@dataclass(frozen=True)
class Address:
    """A database and its secrets. Its text never holds them."""

    url: URL

    @property
    def is_postgresql(self) -> bool:
        """Whether it is a server; else it is a file in the home."""
        return self.url.get_backend_name() == "postgresql"

    def __str__(self) -> str:
        if not self.is_postgresql:
            return f"SQLite ledger {self.url.database}"
        port = f":{self.url.port}" if self.url.port else ""
        return f"PostgreSQL ledger {self.url.database or ''} at {self.url.host or 'the default host'}{port}"

    __repr__ = __str__

    def redact(self, text: str) -> str:
        """The text without the password, in any of the spellings in which a driver may repeat it."""
        for secret in sorted(self._secrets(), key=len, reverse=True):
            text = text.replace(secret, "***")
        return text

    def _secrets(self) -> set[str]:
        given = [self.url.password] if self.url.password is not None else []
        for key, value in self.url.query.items():
            if "password" in key.lower():
                given += [value] if isinstance(value, str) else list(value)
        return {form for word in given if word for form in (word, quote(word, safe=""), quote_plus(word))}


def find_address(home: Home, url: str | None, environment: Mapping[str, str] = os.environ) -> Address:
    """The database that the URL names; without one, SQLite in the home.

    :param url: None: what METERHOUSE_LEDGER_URL says.
    :raises ConfigurationError: not a PostgreSQL URL. The message does not repeat it: it may hold a password.
    """
    text = (environment.get(URL_VARIABLE, "") if url is None else url).strip()
    if not text:
        return Address(URL.create("sqlite+pysqlite", database=str(home.ledger / "ledger.sqlite")))
    try:
        parsed = make_url(text)
        is_known = parsed.drivername in _POSTGRESQL
    except (ArgumentError, ValueError):
        is_known = False
    if not is_known:
        raise ConfigurationError(
            "the value is not the URL of a PostgreSQL database", where=URL_VARIABLE, remedy=_URL_EXAMPLE
        ) from None
    return Address(parsed.set(drivername="postgresql+psycopg"))


def make_engine(address: Address) -> sa.Engine:
    """An engine whose transactions begin as ``WRITES`` says.

    Connections are not kept: commands are short, and a process that lives for days must not hold a stale one.
    """
    if address.is_postgresql:
        engine = sa.create_engine(
            address.url, poolclass=NullPool, hide_parameters=True, connect_args={"connect_timeout": 10}
        )
        sa.event.listen(engine, "begin", _begin_postgresql)
        return engine
    engine = sa.create_engine(
        address.url, poolclass=NullPool, hide_parameters=True, connect_args={"timeout": WAIT_SECONDS}
    )
    sa.event.listen(engine, "connect", _set_up_sqlite)
    sa.event.listen(engine, "begin", _begin_sqlite)
    return engine


def describe_failure(address: Address, error: Exception) -> LedgerError:
    """The error as a person should read it, without statement, parameters or password."""
    cause = getattr(error, "orig", None) or error
    what = " ".join(address.redact(str(cause)).split()) or type(cause).__name__
    if address.is_postgresql:
        remedy = f"check that the server runs and that {URL_VARIABLE} is right, then run the command again"
    else:
        remedy = "check that the file is whole, the folder writable and the disk not full, then try again"
    return LedgerError(what, where=str(address), remedy=remedy)


def _set_up_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    # Python's driver would begin transactions by itself, too late for a writer; `_begin_sqlite` does it.
    connection.isolation_level = None
    connection.execute("pragma foreign_keys = on")
    connection.execute("pragma synchronous = full")


def _begin_sqlite(connection: sa.Connection) -> None:
    writes = connection.get_execution_options().get(WRITES)
    connection.exec_driver_sql("begin immediate" if writes else "begin")


def _begin_postgresql(connection: sa.Connection) -> None:
    if connection.get_execution_options().get(WRITES):
        connection.exec_driver_sql(f"set local lock_timeout = '{WAIT_SECONDS}s'")
        connection.exec_driver_sql(f"select pg_advisory_xact_lock({_WRITER_LOCK})")
