"""The mart ``focus_charges`` as a file for FinOps tools, with the metadata that FOCUS asks to go with it.

What the charges are, and that they obey FOCUS, is decided in the mart.
"""

import json
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Final

import duckdb

from pipelines import interruption
from pipelines.errors import ConfigurationError, MeterhouseError
from pipelines.files import make_shared_folder, share
from pipelines.serving.readers import open_published

FOCUS_VERSION: Final = "1.4"
DATASET: Final = "CostAndUsage"
SCHEMA_ID: Final = "meterhouse-focus-1.4-1"
"""Changes with the columns of the mart."""
SCHEMA_CREATED: Final = "2026-11-21T00:00:00Z"

_SUFFIXES: Final = {".csv": "csv", ".parquet": "parquet"}
_PLAIN_DECIMAL = "case when strpos({0}, '.') = 0 then {0} else rtrim(rtrim({0}, '0'), '.') end"


@dataclass(frozen=True)
class Exported:
    """The files and how many charges they hold."""

    file: Path
    metadata_file: Path
    charge_count: int


def export_focus(published_file: Path, month: date, output: Path, *, may_overwrite: bool = False) -> Exported:
    """Charges of the billing periods that end in the month, and beside them ``<output>.metadata.json``.

    :param month: its first day, local to each customer.
    :param output: ``*.csv`` (empty: null; instants as 2026-03-01T00:00:00Z; exact decimals) or ``*.parquet``.
    :param may_overwrite: files that are there are replaced.
    :raises ConfigurationError: another suffix, a file that is there, or nothing was issued for that month.
    """
    file_format = _SUFFIXES.get(output.suffix)
    if file_format is None:
        raise ConfigurationError(
            f"{output.name} ends in neither .csv nor .parquet",
            where="--output",
            remedy="write e.g. march.csv",
        )
    metadata_file = output.with_name(output.name + ".metadata.json")
    for file in (output, metadata_file):
        if file.exists() and not may_overwrite:
            raise ConfigurationError(
                "the file is there already", where=str(file), remedy="write another name, or add --force"
            )
    with open_published(published_file, ["focus_charges"]) as connection:
        connection.execute(
            "create temp table chosen as from focus_charges where x_BillingMonth = $month"
            " order by InvoiceId, InvoiceDetailId",
            {"month": month},
        )
        [charge_count] = connection.execute("select count(*) from chosen").fetchone() or (0,)
        if not charge_count:
            raise ConfigurationError(
                f"nothing was issued for {month:%Y-%m}",
                where=str(published_file),
                remedy=f"issue it (`meterhouse close {month:%Y-%m}`); drafts are no charges yet",
            )
        columns = connection.execute("describe chosen").fetchall()
        metadata = _metadata(connection, [(name, kind) for name, kind, *_ in columns], charge_count)
        make_shared_folder(output.parent)
        aside = output.with_name(f".{output.name}.tmp")
        if file_format == "csv":
            written = ", ".join(_as_text(name, kind) for name, kind, *_ in columns)
            query, options = f"select {written} from chosen", "format csv, header, delimiter ','"
        else:
            query, options = (
                "from chosen",
                f"format parquet, kv_metadata {{focus_version: '{FOCUS_VERSION}'}}",
            )
        target = str(aside).replace("'", "''")
        try:
            connection.execute(
                f"copy ({query} order by InvoiceId, InvoiceDetailId) to '{target}' ({options})"
            )
            share(aside)
            with interruption.held():
                aside.replace(output)
                described = json.dumps(metadata, indent=2, ensure_ascii=False) + "\n"
                metadata_file.write_text(described, encoding="utf-8")
                share(metadata_file)
                interruption.has_done(f"{output} is written")
        except duckdb.IOException as error:
            raise MeterhouseError(
                f"nothing was written: {error}", where=str(output), remedy="write to another place"
            ) from error
        finally:
            aside.unlink(missing_ok=True)
    return Exported(output, metadata_file, charge_count)


def _as_text(name: str, kind: str) -> str:
    if kind.startswith("DECIMAL"):
        return f'{_PLAIN_DECIMAL.format(f"""cast("{name}" as varchar)""")} as "{name}"'
    if kind == "TIMESTAMP WITH TIME ZONE":
        return f"""strftime("{name}", '%Y-%m-%dT%H:%M:%SZ') as "{name}\""""
    return f'"{name}"'


def _metadata(
    connection: duckdb.DuckDBPyConnection, columns: list[tuple[str, str]], charge_count: int
) -> dict[str, object]:
    # As the newest document names it: what was exported once comes out the same when the issuer is renamed.
    [issuer] = connection.execute("select max_by(InvoiceIssuerName, InvoiceId) from chosen").fetchone() or (
        "",
    )
    return {
        "DataGenerator": {"DataGenerator": issuer},
        "Schema": [
            {
                "SchemaId": SCHEMA_ID,
                "FocusVersion": FOCUS_VERSION,
                "FocusDatasetId": DATASET,
                "CreationDate": SCHEMA_CREATED,
                "ColumnDefinition": [_definition(name, kind) for name, kind in columns],
            }
        ],
        "x_ChargeCount": charge_count,
    }


def _definition(name: str, kind: str) -> dict[str, object]:
    if kind.startswith("DECIMAL"):
        precision, scale = kind.removeprefix("DECIMAL(").removesuffix(")").split(",")
        return {
            "ColumnName": name,
            "DataType": "DECIMAL",
            "NumericPrecision": int(precision),
            "NumberScale": int(scale),
        }
    types = {"VARCHAR": "STRING", "TIMESTAMP WITH TIME ZONE": "DATETIME", "BIGINT": "INTEGER", "DATE": "DATE"}
    definition: dict[str, object] = {"ColumnName": name, "DataType": types[kind]}
    if kind == "VARCHAR":
        definition["StringEncoding"] = "UTF-8"
    return definition
