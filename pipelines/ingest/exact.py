"""Records and values one at a time, exactly: what the vectorised path cannot decide by itself comes here.

A *cell* is the JSON text of one value. Both paths must agree on every record; a property test holds them to
it. Vectorised work does not belong here.
"""

import json
import re
from datetime import UTC, datetime
from decimal import MAX_EMAX, MIN_EMIN, Context, Decimal, Inexact
from typing import NoReturn

from models.events import MAX_JSON_DIGITS, MAX_RECORD_VALUES, EventField, Kind
from pipelines.ingest.mapping import Choice, Condition, Place, Plan

# Deeper JSON is refused: readers of every kind, the lake's included, give up somewhere.
MAX_DEPTH = 100
# Longer numbers are invalid whatever they say; Python refuses to read them at some length, too.
_MAX_NUMBER_LENGTH = 1000

# Wide enough for any product of what _NUMBER lets through and a factor; what would not be exact is an error.
_EXACT = Context(prec=4 * _MAX_NUMBER_LENGTH, Emax=MAX_EMAX, Emin=MIN_EMIN, traps=[Inexact])
# A cell that no field of numbers takes.
_NO_NUMBER = "{}"
_BLANK = " \t\r\n\f\v"
_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,9})?")
_INSTANT = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt ]([0-9]{2}:[0-9]{2})(?::([0-9]{2})(?:[.,]([0-9]+))?)?"
    r"(?:([Zz])|([+-])([0-9]{2})(?::?([0-9]{2}))?)?"
)

Value = str | int | bool | Decimal | datetime


class Malformed(ValueError):
    """The record is not a JSON object that can be relied on."""


class Number(str):
    """A JSON number as it was written."""

    __slots__ = ()


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise Malformed("a key is given twice")
    return found


def _integer(text: str) -> Number:
    return Number("0" if text == "-0" else text)


def _refuse_constant(text: str) -> NoReturn:
    raise Malformed(f"{text} is not JSON")


_STRING = re.compile(r'"(?:[^"\\]++|\\.)*+"', re.DOTALL)


def has_too_many_values(text: str) -> bool:
    """Whether a record has more values than can be held, each being larger than its text."""
    if _most_values(text) <= MAX_RECORD_VALUES:
        return False
    return _most_values(_STRING.sub("", text)) > MAX_RECORD_VALUES


def _most_values(text: str) -> int:
    return 1 + sum(map(text.count, "[{,"))


_decoder = json.JSONDecoder(parse_int=_integer, parse_float=Number, parse_constant=_refuse_constant)
_strict_decoder = json.JSONDecoder(
    parse_int=_integer, parse_float=Number, parse_constant=_refuse_constant, object_pairs_hook=_object
)
_keys_decoder = json.JSONDecoder(parse_int=str, parse_float=str, object_pairs_hook=_object)


def repeats_a_key(text: str) -> bool:
    """Whether an object in it, at any depth, gives a key twice; of text that is no JSON: no."""
    try:
        _keys_decoder.decode(text)
    except Malformed:
        return True
    except (ValueError, RecursionError):
        return False
    return False


def parse_strictly(text: str) -> object:
    """The same as ``parse`` for what comes from outside, where no key may be given twice.

    Readers disagree on which one counts (D-files-repeated-key); what is in the lake is past that question.
    """
    return parse(text, _strict_decoder)


def parse(text: str, decoder: json.JSONDecoder = _decoder) -> object:
    """JSON with numbers as they were written. Raises Malformed for all that strict UTF-8 JSON excludes."""
    try:
        value = decoder.decode(text)
        text.encode()
        if "\\u" in text:
            dump(value).encode()
    except (ValueError, RecursionError) as error:
        raise Malformed(str(error)) from error
    if text.count("[") + text.count("{") > MAX_DEPTH and _depth(value) > MAX_DEPTH:
        raise Malformed(f"nested deeper than {MAX_DEPTH}")
    return value


def _depth(value: object) -> int:
    depth, level = 0, [value]
    while level:
        children: list[object] = []
        nested = [item for item in level if isinstance(item, dict | list)]
        for item in nested:
            children.extend(item.values() if isinstance(item, dict) else item)
        depth, level = depth + bool(nested), children
    return depth


def dump(value: object) -> str:
    """Compact JSON with numbers as they were written."""
    match value:
        case Number():
            return str(value)
        case dict():
            return "{" + ",".join(f"{_quote(key)}:{dump(item)}" for key, item in value.items()) + "}"
        case list():
            return "[" + ",".join(map(dump, value)) + "]"
        case str():
            return _quote(value)
        case _:
            return json.dumps(value)


def _quote(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def cells_of_line(line: str, plan: Plan) -> dict[str, str | None]:
    """The cells of one JSON line by event field, and ``extras``. Raises Malformed."""
    record = parse_strictly(line)
    if not isinstance(record, dict):
        raise Malformed("not an object")
    values: dict[str, object] = {name: record.get(column) for name, column in plan.columns.items()}
    values |= {name: _at(record, Place(whole)) for name, (whole, _) in plan.paths.items()}
    cells = {name: None if value is None else dump(value) for name, value in values.items()}
    chosen = {name: _chosen(record, choices) for name, choices in plan.choices.items()}
    cells |= {name: _sum_of(found) for name, found in chosen.items()}
    consumed = set(plan.consumed)
    consumed |= {
        column
        for column, alternatives in plan.consumed_where.items()
        if any(_all_hold(record, conditions) for conditions in alternatives)
    }
    extras = {key: value for key, value in record.items() if key not in consumed}
    cells["extras"] = dump(extras) if extras else None
    return cells


def _at(record: dict[str, object], place: Place) -> object:
    """The value at a place of a record."""
    if record.get(place.name) is not None:
        return record[place.name]
    steps = place.steps
    return follow(record.get(steps[0]), steps[1:]) if len(steps) > 1 else None


def _cell_at(record: dict[str, object], place: Place) -> str | None:
    value = _at(record, place)
    return None if value is None else dump(value)


def _chosen(record: dict[str, object], choices: tuple[Choice, ...]) -> list[object]:
    """The values of choices that are there and whose conditions hold."""
    return [
        value
        for choice in choices
        if (value := _at(record, choice.place)) is not None and _all_hold(record, choice.conditions)
    ]


def _sum_of(values: list[object]) -> str | None:
    cells = [dump(value) for value in values]
    # A blank text is no value beside another one.
    present = [cell for cell in cells if text_of(cell) is not None]
    return add(present) if present else next(iter(cells), None)


def _all_hold(record: dict[str, object], conditions: tuple[Condition, ...]) -> bool:
    return all(text_of(_cell_at(record, item.place)) in item.wanted for item in conditions)


def text_of(cell: str | None) -> str | None:
    """What a condition compares: a text as it is, a number as its shortest decimal, true or false.

    None for no value and a blank text; the empty text, which nothing equals, for objects and arrays.
    """
    value = None if cell is None else parse(cell)
    match value:
        case None:
            return None
        case Number():
            return _shortest(value)
        case str():
            return value if value.strip(_BLANK) else None
        case bool():
            return str(value).lower()
        case _:
            return ""


def _shortest(number: Number) -> str:
    if len(number) > _MAX_NUMBER_LENGTH:
        return ""
    value = Decimal(number)
    if not value:
        return "0"
    shortest = value.normalize(_EXACT)
    return format(shortest, "f") if abs(shortest.adjusted()) <= _MAX_NUMBER_LENGTH else str(shortest)


def add(cells: list[str]) -> str:
    """The sum of cells of numbers, exact, as text; one alone stays as it is.

    Where one is no number, or the sum has more digits than any field: a cell that no field takes.
    """
    if len(cells) == 1:
        return cells[0]
    total = Decimal(0)
    for cell in cells:
        value = _number(parse(cell))
        if value is None:
            return _NO_NUMBER
        try:
            total = _EXACT.add(total, value)
        except Inexact:
            return _NO_NUMBER
    return f'"{total}"'


def follow(value: object, steps: tuple[str, ...]) -> object:
    """The value at a path of keys; a text that holds a JSON object may stand at its beginning."""
    if isinstance(value, str) and not isinstance(value, Number):
        try:
            value = parse_strictly(value)
        except Malformed:
            return None
    for step in steps:
        if not isinstance(value, dict):
            return None
        value = value.get(step)
    return value


def follow_cell(cell: str, steps: tuple[str, ...]) -> str | None:
    """The same for a column given as a cell."""
    value = follow(parse(cell), steps)
    return None if value is None else dump(value)


def merge_objects(base: str, extras: str) -> str:
    """Two JSON object texts as one; the keys of ``base`` win."""
    first, second = parse(extras), parse(base)
    assert isinstance(first, dict)
    assert isinstance(second, dict)
    return dump({**first, **second})


def multiply(cell: str, factor: Decimal) -> str:
    """The cell of a number times a factor, exact, as text; of no number: a cell that no field takes."""
    value = _number(parse(cell))
    try:
        return _NO_NUMBER if value is None else f'"{_EXACT.multiply(value, factor)}"'
    except Inexact:
        return _NO_NUMBER


def type_cell(field: EventField, cell: str) -> tuple[Value | None, str | None]:
    """The typed value of a cell, or the reason why it has none.

    (None, None) is an absent value. Instants without an offset come back naive: the source's time zone is
    applied to all of them at once, elsewhere.
    """
    try:
        raw = parse(cell)
    except Malformed:
        return None, field.invalid
    if raw is None or (isinstance(raw, str) and not isinstance(raw, Number) and not raw.strip(_BLANK)):
        return None, field.missing if field.is_required else None
    match field.kind:
        case Kind.TEXT:
            value: Value | None = _text(raw, field)
        case Kind.INSTANT:
            value = instant(raw)
        case Kind.BOOLEAN:
            value = _boolean(raw)
        case Kind.OBJECT:
            value = _object_text(raw)
        case _:
            return _bounded(_number(raw), field)
    return value, field.invalid if value is None else None


def _text(raw: object, field: EventField) -> str | None:
    if not isinstance(raw, str) or (isinstance(raw, Number) and not re.fullmatch("-?[0-9]+", raw)):
        return None
    return None if field.max_length and len(raw) > field.max_length else str(raw)


def _boolean(raw: object) -> bool | None:
    if isinstance(raw, bool):
        return raw
    if isinstance(raw, str) and not isinstance(raw, Number):
        return {"true": True, "false": False}.get(raw.lower())
    return None


def _object_text(raw: object) -> str | None:
    if isinstance(raw, str) and not isinstance(raw, Number):
        try:
            raw = parse_strictly(raw)
        except Malformed:
            return None
    return dump(raw) if isinstance(raw, dict) else None


def instant(raw: object) -> datetime | None:
    """ISO 8601 with date and time; beyond microseconds digits are cut off. Naive if it has no offset."""
    if not isinstance(raw, str) or not (match := _INSTANT.fullmatch(raw)):
        return None
    day, minute, second, fraction, zulu, sign, hours, minutes = match.groups()
    text = f"{day}T{minute}:{second or '00'}.{(fraction or '').ljust(6, '0')[:6]}"
    if zulu:
        text += "+00:00"
    elif sign:
        text += f"{sign}{hours}:{minutes or '00'}"
    if minutes and minutes > "59":
        return None
    try:
        value = datetime.fromisoformat(text)
        return value if value.tzinfo is None else value.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _number(raw: object) -> Decimal | None:
    """The value of a JSON number or of a text that holds one; None where there is no exact one."""
    if not isinstance(raw, str) or len(raw) > _MAX_NUMBER_LENGTH or not _NUMBER.fullmatch(raw):
        return None
    value = Decimal(raw)
    if isinstance(raw, Number) and len(_unscaled(value)) > MAX_JSON_DIGITS:
        return None
    return value


def _unscaled(value: Decimal) -> str:
    """The significant digits: zeros at either end carry nothing that a double could lose."""
    return "".join(map(str, value.as_tuple().digits)).strip("0")


def _bounded(value: Decimal | None, field: EventField) -> tuple[Value | None, str | None]:
    if value is None:
        return None, field.invalid
    if not value:
        value = Decimal(0)
    exponent = value.as_tuple().exponent
    assert isinstance(exponent, int)
    digits = "".join(map(str, value.as_tuple().digits))
    scale = -exponent - (len(digits) - len(digits.rstrip("0")))
    assert field.limit is not None
    if value and (
        scale > field.scale or value.adjusted() > field.limit.adjusted() or abs(value) >= field.limit
    ):
        return None, field.invalid
    if value < 0:
        return None, field.negative
    return (int(value) if field.kind is Kind.INTEGER else value), None
