"""The published file: marts copied to a new DuckDB file that replaces the old one in one rename.

Deciding what a mart holds does not belong here; every table is copied as it is.
"""

import secrets
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import duckdb

from pipelines import interruption
from pipelines.errors import MeterhouseError
from pipelines.files import make_shared_folder, matching, share, sync
from pipelines.home import Home
from pipelines.warehouse.project import PUBLISHED_LAYERS, Manifest, models_in
from pipelines.warehouse.scope import BuildSettings

STORAGE_VERSION = "v1.0.0"
"""What DuckDB clients from 1.0 on can open; BI tools ship old ones."""
PUBLICATION_TABLE = "meterhouse_publication"


@dataclass(frozen=True)
class PublishedTable:
    """A table or view of the warehouse to publish, with its documentation."""

    name: str
    description: str = ""
    columns: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Publication:
    """One row of ``meterhouse_publication``: what is published, and from what it was made."""

    published_at: datetime
    as_of: datetime
    catalog_version: str
    accounts_version: str
    code_version: str
    build_id: str


@dataclass(frozen=True)
class Published:
    """The file and the rows of each table in it."""

    file: Path
    row_counts: Mapping[str, int]


def publish(home: Home, tables: Sequence[PublishedTable], publication: Publication) -> Published:
    """Copy the tables from the warehouse and put the copy where people read. Readers keep their file.

    :raises MeterhouseError: there is no warehouse, or the copy failed; the published file is as before.
    """
    if not home.warehouse_file.exists():
        raise MeterhouseError(
            "there is no warehouse to publish", where=str(home.warehouse_file), remedy="run `meterhouse run`"
        )
    make_shared_folder(home.serving)
    _remove_leftovers(home.serving)
    fresh = home.serving / f".meterhouse-{secrets.token_hex(4)}.duckdb"
    try:
        row_counts = _copy(home.warehouse_file, fresh, tables, publication)
        share(fresh)
        sync(fresh)
        with interruption.held():
            fresh.replace(home.published_file)
            interruption.has_done("what was read is published")
    except (duckdb.Error, OSError) as error:
        raise MeterhouseError(
            f"publishing failed: {error}",
            where=str(home.serving),
            remedy="the file published before is untouched; fix what it names, then run again",
        ) from error
    finally:
        # A copy that failed may have a log beside it; what stays all the same, the next publication removes.
        with suppress(OSError):
            _remove_leftovers(home.serving)
    with suppress(OSError):
        # Without it a power cut may bring the file before back; the next run publishes again.
        sync(home.serving)
    return Published(home.published_file, row_counts)


def publish_build(
    home: Home, settings: BuildSettings, manifest: Manifest, published_at: datetime
) -> Published:
    """Publish every mart and action of the home's warehouse, with what it was made from.

    :raises MeterhouseError: as ``publish``.
    """
    publication = Publication(
        published_at=published_at,
        as_of=settings.as_of,
        catalog_version=settings.catalog_version,
        accounts_version=settings.accounts_version,
        code_version=settings.code_version,
        build_id=settings.build_id,
    )
    return publish(home, published_tables(manifest), publication)


def _remove_leftovers(serving: Path) -> None:
    for leftover in matching(serving, ".meterhouse-*"):
        leftover.unlink(missing_ok=True)


def _copy(
    warehouse: Path, fresh: Path, tables: Sequence[PublishedTable], publication: Publication
) -> dict[str, int]:
    row_counts = {}
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        # Views of the warehouse name their database, which dbt knows by the file's name.
        connection.execute(f"attach {_text(str(warehouse))} as {_name(warehouse.stem)} (read_only)")
        connection.execute(
            f"attach {_text(str(fresh))} as published (storage_version {_text(STORAGE_VERSION)})"
        )
        for table in tables:
            target = f"published.main.{_name(table.name)}"
            connection.execute(
                f"create table {target} as from {_name(warehouse.stem)}.main.{_name(table.name)}"
            )
            if table.description:
                connection.execute(f"comment on table {target} is {_text(table.description)}")
            columns = {row[0] for row in connection.execute(f"describe {target}").fetchall()}
            comments = _comments(connection, warehouse, table.name) | dict(table.columns)
            for column, description in comments.items():
                if description and column in columns:
                    connection.execute(f"comment on column {target}.{_name(column)} is {_text(description)}")
            row_counts[table.name] = _count(connection, target)
        connection.execute(
            f"create table published.main.{PUBLICATION_TABLE} ("
            "published_at timestamptz, as_of timestamptz, catalog_version varchar, accounts_version varchar,"
            " code_version varchar, build_id varchar)"
        )
        connection.execute(
            f"comment on table published.main.{PUBLICATION_TABLE}"
            " is 'One row: when and from what this file was made.'"
        )
        connection.execute(
            f"insert into published.main.{PUBLICATION_TABLE} values (?, ?, ?, ?, ?, ?)",
            [
                publication.published_at,
                publication.as_of,
                publication.catalog_version,
                publication.accounts_version,
                publication.code_version,
                publication.build_id,
            ],
        )
        # Detaching would write it out too, and say nothing where that fails.
        connection.execute("checkpoint published")
        connection.execute("detach published")
    return row_counts


def _comments(connection: duckdb.DuckDBPyConnection, warehouse: Path, table: str) -> dict[str, str]:
    """What the warehouse itself says of a table's columns: those that the catalog makes are in no file."""
    rows = connection.execute(
        "select column_name, comment from duckdb_columns()"
        " where database_name = ? and table_name = ? and comment is not null",
        [warehouse.stem, table],
    )
    return dict(rows.fetchall())


def _count(connection: duckdb.DuckDBPyConnection, table: str) -> int:
    row = connection.execute(f"select count(*) from {table}").fetchone()
    return int(row[0]) if row else 0


def _name(identifier: str) -> str:
    return '"' + identifier.replace('"', '""') + '"'


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def published_tables(manifest: Manifest) -> list[PublishedTable]:
    """Every model of the marts and actions, with its documentation."""
    return [
        PublishedTable(
            model["name"],
            model["description"].strip(),
            {column: described["description"] for column, described in model["columns"].items()},
        )
        for model in models_in(manifest, PUBLISHED_LAYERS)
    ]
