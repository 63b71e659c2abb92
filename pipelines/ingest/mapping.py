"""How the columns of one file feed the fields of the usage event: a source of ``sources.yml``, made ready.

Reading files and typing values do not belong here.
"""

import json
from dataclasses import dataclass, field
from decimal import Decimal

from models.events import EVENT_FIELDS, SourceMapping


@dataclass(frozen=True)
class Plan:
    """Where the value of each event field comes from.

    :param columns: event field -> top-level column it takes.
    :param paths: event field -> (dotted name as given, its steps); the column of that whole name goes first.
    :param constants: event field -> JSON text.
    :param factors: event field -> what its source value is multiplied by.
    :param ids_from_row: event ids are made from the content's hash and the row number.
    :param timezone: zone of instants without an offset; None: such instants are invalid.
    """

    columns: dict[str, str]
    paths: dict[str, tuple[str, tuple[str, ...]]] = field(default_factory=dict)
    constants: dict[str, str] = field(default_factory=dict)
    factors: dict[str, Decimal] = field(default_factory=dict)
    ids_from_row: bool = False
    timezone: str | None = None

    @property
    def consumed(self) -> tuple[str, ...]:
        """Columns that do not land in properties, because a field takes them."""
        names = [*self.columns.values(), *(name for name, _ in self.paths.values())]
        return tuple(dict.fromkeys(names))


def plan_for(source: SourceMapping | None) -> Plan:
    """The plan of a source; without one every event field takes the column of its own name."""
    if source is None:
        return Plan({event_field.name: event_field.name for event_field in EVENT_FIELDS})
    columns: dict[str, str] = {}
    paths: dict[str, tuple[str, tuple[str, ...]]] = {}
    for event_field in EVENT_FIELDS:
        column = source.column_of(event_field.name)
        if column is None:
            continue
        if "." in column:
            paths[event_field.name] = (column, tuple(column.split(".")))
        else:
            columns[event_field.name] = column
    return Plan(
        columns,
        paths,
        {name: json.dumps(value, ensure_ascii=False) for name, value in source.constants.items()},
        {name: unit.factor for name, unit in source.units.items()},
        source.ids_from_row,
        source.timezone,
    )
