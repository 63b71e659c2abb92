"""How the columns of one file feed the fields of the usage event: a source of ``sources.yml``, made ready.

Reading files and typing values do not belong here.
"""

import json
from dataclasses import dataclass, field
from decimal import Decimal

from models.events import EVENT_FIELDS, ColumnWhere, SourceMapping


@dataclass(frozen=True)
class Place:
    """A column, or a dotted path: the column of that whole name goes first."""

    name: str

    @property
    def steps(self) -> tuple[str, ...]:
        """The steps of a path; a column has one."""
        return tuple(self.name.split("."))


@dataclass(frozen=True)
class Condition:
    """The text at a place is one of ``wanted``; None among them: or there is none."""

    place: Place
    wanted: frozenset[str | None]


@dataclass(frozen=True)
class Choice:
    """The value at a place in records where every condition holds; else absent."""

    place: Place
    conditions: tuple[Condition, ...] = ()


@dataclass(frozen=True)
class Plan:
    """Where the value of each event field comes from.

    :param columns: event field -> top-level column it takes.
    :param paths: event field -> (dotted name as given, its steps); the column of that whole name goes first.
    :param constants: event field -> JSON text.
    :param factors: event field -> what its source value is multiplied by.
    :param ids_from_row: event ids are made from the content's hash and the row number.
    :param timezone: zone of instants without an offset; None: such instants are invalid.
    :param choices: event field -> what it takes of each record; of several, the exact sum of those present.
    :param source: the name of the source; None: there is none.
    :param named: event field -> column or dotted path that the source itself names for it.
    :param named_any: event field -> columns or paths of which the source wants one to be there.
    """

    columns: dict[str, str]
    paths: dict[str, tuple[str, tuple[str, ...]]] = field(default_factory=dict)
    constants: dict[str, str] = field(default_factory=dict)
    factors: dict[str, Decimal] = field(default_factory=dict)
    ids_from_row: bool = False
    timezone: str | None = None
    choices: dict[str, tuple[Choice, ...]] = field(default_factory=dict)
    source: str | None = None
    named: dict[str, str] = field(default_factory=dict)
    named_any: dict[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def consumed(self) -> tuple[str, ...]:
        """Columns that do not land in properties, because a field takes them from every record."""
        names = [*self.columns.values(), *(name for name, _ in self.paths.values())]
        names += [choice.place.name for choice in self._all_choices if not choice.conditions]
        return tuple(dict.fromkeys(names))

    @property
    def consumed_where(self) -> dict[str, list[tuple[Condition, ...]]]:
        """The other columns that a field takes: from records where all conditions of one of these hold."""
        always = set(self.consumed)
        found: dict[str, list[tuple[Condition, ...]]] = {}
        for choice in self._all_choices:
            if choice.place.name not in always:
                found.setdefault(choice.place.name, []).append(choice.conditions)
        return found

    @property
    def chosen_places(self) -> tuple[Place, ...]:
        """What choices take and compare."""
        places = [choice.place for choice in self._all_choices]
        compared = [item.place for choice in self._all_choices for item in choice.conditions]
        return tuple(dict.fromkeys([*places, *compared]))

    @property
    def _all_choices(self) -> list[Choice]:
        return [choice for choices in self.choices.values() for choice in choices]


def plan_for(source: SourceMapping | None) -> Plan:
    """The plan of a source; without one every event field takes the column of its own name."""
    if source is None:
        return Plan({event_field.name: event_field.name for event_field in EVENT_FIELDS})
    columns: dict[str, str] = {}
    paths: dict[str, tuple[str, tuple[str, ...]]] = {}
    choices: dict[str, tuple[Choice, ...]] = {}
    for name in (event_field.name for event_field in EVENT_FIELDS):
        match source.sources_of(name):
            case ():
                continue
            case (str(column),) if "." in column:
                paths[name] = (column, tuple(column.split(".")))
            case (str(column),):
                columns[name] = column
            case several:
                choices[name] = tuple(map(_choice, several))
    return Plan(
        columns,
        paths,
        {name: json.dumps(value, ensure_ascii=False) for name, value in source.constants.items()},
        {name: unit.factor for name, unit in source.units.items()},
        source.ids_from_row,
        source.timezone,
        choices,
        source.name,
        source.named_columns,
        {name: tuple(choice.place.name for choice in chosen) for name, chosen in choices.items()},
    )


def _choice(source: str | ColumnWhere) -> Choice:
    if isinstance(source, str):
        return Choice(Place(source))
    return Choice(
        Place(source.field),
        tuple(Condition(Place(column), source.wanted(column)) for column in source.where),
    )
