"""Readers of usage files, one module a format, and which names they are for.

A new format is its module and its rows here. Which file is read and what records mean does not belong here.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from pipelines.ingest.formats.csv import CsvReader
from pipelines.ingest.formats.jsonl import JsonLinesReader
from pipelines.ingest.formats.parquet import ParquetReader
from pipelines.ingest.formats.reader import Reader
from pipelines.ingest.mapping import Plan


class ReaderFactory(Protocol):
    """How a reader of a file is made."""

    def __call__(self, path: Path, plan: Plan, /) -> Reader[Any]:
        """The reader of a file by a plan."""
        ...


READERS: dict[str, ReaderFactory] = {"jsonl": JsonLinesReader, "csv": CsvReader, "parquet": ParquetReader}
"""By format."""
_ENDINGS: Mapping[str, str] = {".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv", ".parquet": "parquet"}
_COMPRESSED = (".gz",)
_NEVER_COMPRESSED = {"parquet"}
CUT_UNSEEN = frozenset({"csv"})
"""A record cut off in its last value looks like a whole one here: a file without a last line end waits."""


def format_of(name: str) -> str | None:
    """The format of a file by its name, whatever the case of its letters; None: not a usage file."""
    lower = name.lower()
    for ending, form in _ENDINGS.items():
        if lower.endswith(ending):
            return form
        if form not in _NEVER_COMPRESSED and any(lower.endswith(ending + packed) for packed in _COMPRESSED):
            return form
    return None
