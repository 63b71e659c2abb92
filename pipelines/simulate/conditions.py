"""Fields that a source takes under conditions, seen from who writes its files: what makes them hold.

How records look in a file does not belong here.
"""

from collections.abc import Mapping

from models.events import FIELDS_BY_NAME, ColumnWhere, SourceMapping


def condition_of(mapping: SourceMapping | None, field: str) -> ColumnWhere | None:
    """The condition under which an event field is written; it goes ahead of other sources of the field."""
    sources = mapping.sources_of(field) if mapping else ()
    return next((source for source in reversed(sources) if isinstance(source, ColumnWhere)), None)


def field_in(mapping: SourceMapping, column: str) -> str | None:
    """The event field that takes a column from every record, if one does."""
    return next((name for name in FIELDS_BY_NAME if mapping.sources_of(name) == (column,)), None)


def left_out(source: ColumnWhere) -> set[str]:
    """Columns that must be absent."""
    return {column for column in source.where if source.wanted(column) == {None}}


def words(mapping: SourceMapping, source: ColumnWhere) -> dict[str, str]:
    """What to write, by column: only into columns that no event field stands in."""
    found = {}
    for column in source.where:
        texts = sorted(text for text in source.wanted(column) if text is not None)
        if texts and field_in(mapping, column) is None:
            found[column] = texts[-1]
    return found


def can_hold(mapping: SourceMapping, source: ColumnWhere, values: Mapping[str, str]) -> bool:
    """Whether records with these values of event fields can satisfy the condition; the others are absent."""
    for column in source.where:
        field = field_in(mapping, column)
        is_decided = field is not None and column not in left_out(source)
        if is_decided and values.get(str(field)) not in source.wanted(column):
            return False
    return True
