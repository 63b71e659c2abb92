"""Columns and fields that a source names: whether a file has them. Taking their values does not belong here.

What a source asks for and does not get would become a default, and a default is money.
"""

import difflib
from collections.abc import Iterable, Mapping, Sequence

import pyarrow as pa

from pipelines.ingest.formats.reader import UnreadableError
from pipelines.ingest.mapping import Plan

_SHOWN = 20


def need_named(plan: Plan, columns: Sequence[str], types: Mapping[str, pa.DataType] | None = None) -> None:
    """Hold a file's columns to what its source names.

    :param columns: the columns that the file has.
    :param types: their types, where the format says them: paths into structs are followed.
    :raises UnreadableError: one that a source names is not there.
    """
    missing = {
        name: column
        for name, column in plan.named.items()
        if column not in columns and not _has_path(plan, name, columns, types or {})
    }
    for name, several in plan.named_any.items():
        if not any(column in columns or column.split(".")[0] in columns for column in several):
            missing[name] = " or ".join(several)
    if not missing:
        return
    parts = []
    for column in dict.fromkeys(missing.values()):
        feeds = ", ".join(name for name, of in missing.items() if of == column)
        close = difflib.get_close_matches(column, columns, n=1)
        parts.append(f"{column!r} for {feeds}" + (f" (is {close[0]!r} meant?)" if close else ""))
    there = ", ".join(columns[:_SHOWN]) + (f" and {len(columns) - _SHOWN:,} more" if columns[_SHOWN:] else "")
    raise UnreadableError(
        f"source {plan.source!r} takes columns that are not there: {'; '.join(parts)}. There are: {there}"
    )


def _has_path(plan: Plan, name: str, columns: Sequence[str], types: Mapping[str, pa.DataType]) -> bool:
    if name not in plan.paths:
        return False
    _, (root, *steps) = plan.paths[name]
    if root not in columns:
        return False
    kind = types.get(root)
    for step in steps:
        # Only a struct says what it holds; text may hold any JSON.
        if not isinstance(kind, pa.StructType):
            return True
        place = kind.get_field_index(step)
        if place < 0:
            return False
        kind = kind.field(place).type
    return True


def lacking_text(plan: Plan, fields: Iterable[str]) -> tuple[str, ...]:
    """What to say of fields that no record of a file has."""
    return tuple(
        f"no record has {plan.named[name]!r}, which source {plan.source!r} takes {name} from"
        for name in fields
    )
