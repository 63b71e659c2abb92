"""The warehouse as it is, or was, for a knowledge: computed again from the lake, aside, for some customers.

What is compared with it, and what is shown of it, does not belong here.
"""

import shutil
import uuid
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.books.knowledge import Knowledge
from pipelines.errors import MeterhouseError
from pipelines.home import Home
from pipelines.lake.batches import ensure_lake
from pipelines.lake.places import accounts_folder, catalog_folder, prices_folder
from pipelines.warehouse.builds import run_models
from pipelines.warehouse.project import code_version
from pipelines.warehouse.scope import BuildSettings, Scope

_BATCHES, _CUSTOMERS = "batches.parquet", "customers.parquet"


def recompute(
    home: Home,
    knowledge: Knowledge,
    *,
    customers: Collection[str] | None = None,
    models: Sequence[str],
    folder: Path,
    scope: Scope | None = None,
) -> Path:
    """Build models, and all that they read, for a knowledge; nothing of the home but its cache changes.

    It is computed by the models of today, whichever computed it first.

    :param customers: only these; None: all.
    :param models: names, e.g. ``int_rated_lines``. Tests are not run.
    :param folder: where the warehouse and dbt's log go; made if missing, emptied if not.
    :param scope: what else the build is told; batches, customers and closing come from the others.
    :returns: the DuckDB file.
    :raises MeterhouseError: the lake lacks what the knowledge names, or a model failed.
    """
    _need_lake(home, knowledge)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    told = replace(
        scope or Scope(),
        batches_file=_listed(folder / _BATCHES, "batch_id", knowledge.batches),
        customers_file=_listed(folder / _CUSTOMERS, "customer_id", customers),
        closing_number=knowledge.closing_number,
    )
    file = folder / home.warehouse_file.name
    run_models(home, _settings(knowledge, told), models, file)
    return file


def recompute_part(
    home: Home, knowledge: Knowledge, file: Path, *, models: Sequence[str], scope: Scope
) -> None:
    """Build just these models again in a warehouse of ``recompute``, which has all that they read.

    :param file: what ``recompute`` gave for this knowledge.
    :param scope: what these models are told besides.
    :raises MeterhouseError: a model failed.
    """
    customers = file.parent / _CUSTOMERS
    told = replace(
        scope,
        batches_file=file.parent / _BATCHES if knowledge.batches is not None else None,
        customers_file=customers if customers.exists() else None,
        closing_number=knowledge.closing_number,
    )
    run_models(home, _settings(knowledge, told), models, file, with_parents=False)


def scratch_folder(home: Home, purpose: str) -> Path:
    """A folder of the home's cache for a computation of this name; one of a name at a time.

    Whoever computes removes it when all is read; after a failure it stays to be looked into.
    """
    return home.cache / "computed" / purpose


def _settings(knowledge: Knowledge, scope: Scope) -> BuildSettings:
    return BuildSettings(
        as_of=knowledge.as_of,
        build_id=uuid.uuid4().hex,
        catalog_version=knowledge.catalog_version,
        accounts_version=knowledge.accounts_version,
        prices_version=knowledge.prices_version,
        code_version=code_version(),
        scope=scope,
    )


def _need_lake(home: Home, knowledge: Knowledge) -> None:
    folders = [
        catalog_folder(home, knowledge.catalog_version),
        accounts_folder(home, knowledge.accounts_version),
    ]
    if knowledge.prices_version:
        folders.append(prices_folder(home, knowledge.prices_version))
    missing = [f"lacks {folder.relative_to(home.lake)}" for folder in folders if not folder.is_dir()]
    if knowledge.batches is not None:
        present = ensure_lake(home).batches
        if lost := sorted(knowledge.batches - present.keys()):
            missing.append(f"lacks {len(lost)} of {len(knowledge.batches)} batches, {lost[0]} among them")
    if missing:
        raise MeterhouseError(
            f"the lake {' and '.join(missing)}",
            where=str(home.lake),
            remedy="the lake is append-only and cannot be rebuilt: restore it from a backup",
        )


def _listed(file: Path, column: str, values: Collection[str] | None) -> Path | None:
    if values is None:
        return None
    pq.write_table(pa.table({column: pa.array(sorted(values), pa.string())}), file)
    return file
