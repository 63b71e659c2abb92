"""Every catalog and accounts version that was used, as Parquet in the lake.

What a version is belongs to ``tables``, reading and judging documents to ``configuration``.
"""

import os
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

import pyarrow.parquet as pq

from pipelines.catalog.configuration import Configuration
from pipelines.catalog.documents import Document
from pipelines.catalog.tables import Table, accounts_tables, catalog_tables, table_of
from pipelines.files import matching, on_disk, sync
from pipelines.home import Home
from pipelines.lake.places import accounts_folder, catalog_folder


def save_versions(home: Home, configuration: Configuration) -> None:
    """Keep the catalog and the accounts of a run in the lake, unless this version is already there.

    Each folder appears whole or not at all; a folder that is there is never touched. The caller holds the
    home's lock: what a killed run left aside is removed.
    """
    tables = catalog_tables(configuration.catalog, configuration.sources)
    folder = catalog_folder(home, configuration.catalog_version)
    _save(folder, tables, "catalog/", configuration.documents)
    tables = accounts_tables(configuration.accounts)
    folder = accounts_folder(home, configuration.accounts_version)
    _save(folder, tables, "accounts/", configuration.documents)


def _save(folder: Path, tables: Sequence[Table], prefix: str, documents: Iterable[Document]) -> None:
    if folder.exists():
        return
    files = table_of(
        "files",
        "path sha256 content",
        ((d.file, d.sha256, d.content) for d in documents if d.file.startswith(prefix)),
    )
    for leftover in matching(folder.parent, ".*.tmp"):
        shutil.rmtree(leftover)
    aside = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    aside.mkdir(parents=True)
    for table in [*tables, files]:
        path = aside / f"{table.name}.parquet"
        with on_disk(path) as sink:
            pq.write_table(table.arrow(), sink, compression="zstd")
    sync(aside)
    aside.rename(folder)
    sync(folder.parent)
