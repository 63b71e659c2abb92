"""Reading YAML and CSV documents so that every fault names its file, path and line.

Scalars stay as written: a YAML float is a fault, dates and words such as ``no`` are text. What the entries
mean and whether documents fit together does not belong here (``models``, ``validate``).
"""

import csv
import difflib
import hashlib
import io
import os
import re
import stat
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from pipelines.errors import Fault

Place = tuple[str | int, ...]
M = TypeVar("M", bound=BaseModel)

_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_BOOLEANS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INTEGER = re.compile(r"0|-?[1-9][0-9]*")
_ABSENT = object()
# Documents are written by people; what is beyond these is none, and reading it could take all memory.
MAX_YAML_BYTES = 10_000_000
MAX_YAML_VALUES = 100_000
MAX_CSV_BYTES = 200_000_000
MAX_CELL_CHARACTERS = 10_000
# What nodes without a tag of their own have, all scalars being text.
_TAGS = frozenset(f"tag:yaml.org,2002:{kind}" for kind in ("str", "seq", "map"))
_DIGITS = re.compile(r"[-+]?[0-9]+")
_FLOAT = re.compile(
    r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"
)

# What a missing entry could look like, for the remedy.
_EXAMPLES = {
    "id": "id: ai_requests",
    "name": "name: AI requests",
    "unit": "unit: request",
    "event_types": "event_types: [api_call]",
    "aggregation": "aggregation: sum",
    "rank": "rank: 1",
    "currency": "currency: USD",
    "price": 'price: "99.00"',
    "effective_from": "effective_from: 2026-01-01",
    "meter": "meter: ai_requests",
    "model": "model: per_unit",
    "unit_amount": 'unit_amount: "0.02"',
    "package_size": 'package_size: "100"',
    "package_amount": 'package_amount: "5"',
    "flat_amount": 'flat_amount: "10"',
    "multiplier": 'multiplier: "1.2"',
    "tiers": 'tiers: [{up_to: unlimited, unit_amount: "0.02"}]',
    "up_to": 'up_to: "1000" or up_to: unlimited',
    "meters": "meters: []",
    "plans": "plans: []",
}


@dataclass(frozen=True)
class Document:
    """A file as read. ``file`` is its name inside the home, e.g. catalog/plans.yml."""

    file: str
    content: str
    sha256: str


@dataclass(frozen=True)
class Spot:
    """Where an entry stands: a place in a YAML document or a row of a CSV table."""

    file: str
    place: Place = ()
    row: int | None = None
    lines: dict[Place, int] = field(default_factory=dict, repr=False, compare=False)

    def fault(self, problem: str, remedy: str, at: Place = ()) -> Fault:
        """A fault at a place below this one."""
        # One line per fault, whatever was written between the quotes.
        path, problem = (" ".join(text.split()) for text in (self._path(self.place + at), problem))
        return Fault(self.file, path, problem, remedy)

    def below(self, *at: str | int) -> "Spot":
        """The spot of a part of this entry."""
        return Spot(self.file, self.place + at, self.row, self.lines)

    @property
    def short(self) -> str:
        """The spot in a few words, for faults elsewhere that point here."""
        if self.row is not None:
            return f"row {self.row}"
        line = self._line(self.place)
        return f"line {line}" if line else _dotted(self.place)

    def _path(self, place: Place) -> str:
        if self.row is not None:
            return ", ".join([f"row {self.row}", *map(str, place[:1])])
        line = self._line(place)
        path = _dotted(place) or "document"
        return f"{path} (line {line})" if line else path

    def _line(self, place: Place) -> int | None:
        while place not in self.lines and place:
            place = place[:-1]
        return self.lines.get(place)


@dataclass(frozen=True)
class Read(Generic[M]):
    """One entry: as written, where, and what it means (None when it has faults)."""

    raw: dict[str, Any]
    spot: Spot
    value: M | None


@dataclass
class YamlDocument:
    """A YAML mapping with the line of every place in it."""

    document: Document
    data: dict[str, Any]
    lines: dict[Place, int]

    @property
    def spot(self) -> Spot:
        """The top of the document."""
        return Spot(self.document.file, lines=self.lines)


@dataclass
class CsvTable:
    """The rows of a CSV file: spreadsheet row number (the header is row 1) and its non-empty cells.

    ``torn`` are the rows with too few or too many fields; what they mean is unknown.
    """

    document: Document
    rows: list[tuple[int, dict[str, str]]]
    torn: set[int]


class Reader:
    """Reads the documents of one home and collects what is wrong with them in ``faults``."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.documents: list[Document] = []
        self.faults: list[Fault] = []

    def report(self, file: str, path: str, problem: str, remedy: str) -> None:
        """Note a fault that no spot belongs to."""
        self.faults.append(Fault(file, path, problem, remedy))

    def text(self, file: str, max_bytes: int, *, required: bool) -> Document | None:
        """The document's text without a byte-order mark; None when it is absent or cannot be read."""
        try:
            content = _content(self.root / file, max_bytes)
        except FileNotFoundError:
            if required:
                remedy = "write it, or start from a product: meterhouse init --product NAME"
                self.report(file, "file", "does not exist", remedy)
            return None
        except OSError as error:
            self.report(file, "file", f"cannot be read ({error.strerror})", "make it a readable file")
            return None
        if content is None:
            self.report(file, "file", "is no regular file", "put the document itself in its place")
            return None
        if len(content) > max_bytes:
            remedy = "check that it is the right file; keep only the entries in it that are needed"
            self.report(file, "file", f"is larger than {max_bytes:,} bytes", remedy)
            return None
        try:
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = content.count(b"\n", 0, error.start) + 1
            bad = content[error.start : error.start + 1].hex().upper()
            self.report(file, f"line {line}", f"byte \\x{bad} is not UTF-8", "save the file as UTF-8")
            return None
        document = Document(file, text, hashlib.sha256(content).hexdigest())
        self.documents.append(document)
        return document

    def yaml(self, file: str, *, required: bool) -> YamlDocument | None:  # noqa: PLR0911 - one per kind of fault
        """A YAML document whose top is a mapping."""
        document = self.text(file, MAX_YAML_BYTES, required=required)
        if document is None:
            return None
        builder = _Builder(file)
        try:
            node = yaml.compose(document.content, Loader=_Loader)
            data = None if node is None else builder.build(node, ())
        except _TooManyValuesError:
            problem = f"has more than {MAX_YAML_VALUES:,} values, counted wherever an alias repeats them"
            self.report(file, "document", problem, "write fewer entries, and fewer aliases of aliases")
            return None
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            problem = " ".join(filter(None, (error.context, error.problem)))
            remedy = "indent with spaces" if "\\t" in problem else "correct the YAML there"
            self.report(file, f"line {mark.line + 1}" if mark else "document", problem, remedy)
            return None
        except yaml.YAMLError as error:
            self.report(file, "document", " ".join(str(error).split()), "remove what is not plain text")
            return None
        except RecursionError:
            self.report(file, "document", "is nested too deeply", "write it flatter")
            return None
        if node is None:
            remedy = "write its entries" if required else "write its entries, or remove the file"
            self.report(file, "document", "is empty", remedy)
            return None
        self.faults.extend(builder.faults)
        if not isinstance(data, dict):
            self.report(file, "document (line 1)", "is not a mapping", "begin with a key, e.g. plans:")
            return None
        return YamlDocument(document, data, builder.lines)

    def csv(self, file: str, model: type[BaseModel], *, required: bool) -> CsvTable | None:
        """A table with a header; comma or semicolon separates. Columns that the model lacks are ignored."""
        document = self.text(file, MAX_CSV_BYTES, required=required)
        if document is None:
            return None
        columns = tuple(model.model_fields)
        needed = [name for name, info in model.model_fields.items() if info.is_required()]
        if not document.content.strip():
            self.report(file, "row 1", "has no header", f"begin with {','.join(columns)}")
            return None
        first = document.content.lstrip().splitlines()[0]
        delimiter = max(
            ",;", key=lambda mark: len({_cell(name) for name in first.split(mark)} & set(columns))
        )
        lines = csv.reader(io.StringIO(document.content, newline=""), delimiter=delimiter, strict=True)
        header: list[str] = []
        torn: set[int] = set()
        rows: list[tuple[int, dict[str, str]]] = []
        number = 0
        try:
            for number, cells in enumerate(lines, start=1):
                if any(len(cell) > MAX_CELL_CHARACTERS for cell in cells):
                    problem = f"has a value of more than {MAX_CELL_CHARACTERS:,} characters"
                    self.report(file, f"row {number}", problem, "check its quotation marks, or shorten it")
                    torn.add(number)
                values = [cell.strip() for cell in cells]
                if not any(values):
                    continue
                if not header:
                    header = values
                    if not self._header_holds(file, number, header, columns, needed):
                        return None
                    continue
                if len(values) != len(header):
                    problem = f"has {len(values)} fields, the header has {len(header)}"
                    self.report(
                        file, f"row {number}", problem, "write every field; quote those with separators"
                    )
                    torn.add(number)
                pairs = zip(header, values, strict=False)
                rows.append((number, {name: value for name, value in pairs if value and name in columns}))
        except csv.Error as error:
            self.report(file, f"row {number + 1}", f"is not CSV ({error})", "check its quotation marks")
            return None
        return CsvTable(document, rows, torn)

    def _header_holds(
        self, file: str, number: int, header: list[str], columns: Sequence[str], needed: Iterable[str]
    ) -> bool:
        before = len(self.faults)
        for name in sorted({name for name in header if name and header.count(name) > 1}):
            self.report(file, f"row {number}, {name}", "the header names it twice", "keep one of the columns")
        for name in needed:
            if name not in header:
                strangers = [other for other in header if other and other not in columns]
                near = difflib.get_close_matches(name, strangers, n=1)
                remedy = f"rename {near[0]} to {name}" if near else f"add the column {name}"
                self.report(file, f"row {number}, {name}", "the column is missing", remedy)
        return len(self.faults) == before

    def entry(self, model: type[M], raw: object, spot: Spot) -> Read[M]:
        """Validate one entry; its faults are collected."""
        shown = raw if isinstance(raw, dict) else {}
        try:
            return Read(shown, spot, model.model_validate(raw))
        except ValidationError as error:
            # What is already wrong as YAML is not said a second time.
            said = (
                {fault.path for fault in self.faults if fault.file == spot.file}
                if spot.row is None
                else set()
            )
            self.faults.extend(fault for fault in _faults(error, model, raw, spot) if fault.path not in said)
            return Read(shown, spot, None)

    def entries(self, model: type[M], table: CsvTable | None) -> list[Read[M]]:
        """Validate every row of a table."""
        if table is None:
            return []
        spots = [(cells, Spot(table.document.file, row=row)) for row, cells in table.rows]
        return [
            Read(cells, spot, None) if spot.row in table.torn else self.entry(model, cells, spot)
            for cells, spot in spots
        ]

    def items(self, document: YamlDocument | None, key: str) -> list[tuple[Any, Spot]]:
        """The list under the only key of a document, with each item's spot."""
        if document is None:
            return []
        for other in document.data:
            if other != key:
                remedy = f"did you mean {key}?" if nearest(other, [key]) else f"only {key} belongs here"
                self.faults.append(document.spot.fault(f"unknown key {other}", remedy, (other,)))
        if key not in document.data:
            self.faults.append(document.spot.fault(f"{key} is missing", f"add {_EXAMPLES[key]}"))
            return []
        items = document.data[key]
        if not isinstance(items, list):
            remedy = f"write one - per entry, or {key}: [] for none"
            self.faults.append(document.spot.fault("is not a list", remedy, (key,)))
            return []
        return [(item, document.spot.below(key, index)) for index, item in enumerate(items)]


def _content(path: Path, max_bytes: int) -> bytes | None:
    """The content, at most a byte more than allowed; None: no regular file. A pipe is not waited for."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return None
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            return file.read(max_bytes + 1)
    finally:
        os.close(descriptor)


class _TooManyValuesError(Exception):
    """There are more values than a document may have."""


class _Loader(yaml.SafeLoader):
    """Composes nodes and leaves every scalar as written."""

    node_count = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        self.node_count += 1
        # Keys are nodes, too.
        if self.node_count > 2 * MAX_YAML_VALUES:
            raise _TooManyValuesError
        return super().compose_node(parent, index)


# No resolvers: PyYAML's own follow YAML 1.1, where `no` is false, 010 is 8 and 1:30 is 90.
_Loader.yaml_implicit_resolvers = {}


class _Builder:
    """Turns nodes into values: text, whole numbers, YAML 1.2 booleans, None, lists and mappings."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.lines: dict[Place, int] = {}
        self.faults: list[Fault] = []
        self._open: set[int] = set()
        self._value_count = 0

    def build(self, node: yaml.Node, place: Place) -> object:
        self._value_count += 1
        if self._value_count > MAX_YAML_VALUES:
            raise _TooManyValuesError
        self.lines.setdefault(place, node.start_mark.line + 1)
        if node.tag not in _TAGS:
            self._report(place, f"the tag {node.tag} is not supported", "write the value without a tag")
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, place)
        if id(node) in self._open:
            self._report(place, "the alias contains itself", "write the value out")
            return None
        self._open.add(id(node))
        try:
            if isinstance(node, yaml.MappingNode):
                return self._mapping(node, place)
            return [self.build(item, (*place, index)) for index, item in enumerate(node.value)]
        finally:
            self._open.discard(id(node))

    def _mapping(self, node: yaml.MappingNode, place: Place) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode) or not key_node.value:
                self._report(place, f"the key in line {line} is not a word", "write a plain key")
                continue
            key = key_node.value
            if key in values:
                first = self.lines[(*place, key)]
                problem = f"the key {key} is already in line {first}"
                self.faults.append(
                    Fault(self.file, f"{_dotted((*place, key))} (line {line})", problem, "keep one")
                )
                continue
            if key == "<<":
                self._report(place, "merge keys (<<) are not supported", "write the keys out")
                continue
            self.lines[(*place, key)] = line
            values[key] = self.build(value_node, (*place, key))
        return values

    def _scalar(self, node: yaml.ScalarNode, place: Place) -> object:
        text: str = node.value
        if node.style is not None:
            return text
        if text in _NULL:
            return None
        if text in _BOOLEANS:
            return _BOOLEANS[text]
        if _INTEGER.fullmatch(text):
            return int(text) if len(text) <= 38 else text
        if _DIGITS.fullmatch(text):
            return text
        if _FLOAT.fullmatch(text):
            self._report(place, f"{text} is a YAML float", f'write it in quotes: "{text}"')
        return text

    def _report(self, place: Place, problem: str, remedy: str) -> None:
        self.faults.append(Spot(self.file, place, lines=self.lines).fault(problem, remedy))


def _cell(text: str) -> str:
    return text.strip().strip('"').strip()


def _dotted(place: Place) -> str:
    path = ""
    for part in place:
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else part
    return path


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that was probably meant, if any is close."""
    return next(iter(difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)), None)


def _faults(error: ValidationError, model: type[BaseModel], raw: object, spot: Spot) -> list[Fault]:
    found: dict[Place, Fault] = {}
    for detail in error.errors(include_url=False):
        at = _place(detail["loc"], raw)
        problem, remedy = _problem_and_remedy(detail, model, is_cell=spot.row is not None)
        if at in found and detail["type"].endswith("_type"):
            # Every branch of a union complains about the one value.
            problem, remedy = "is not a single value", "write a text, a whole number, true or false"
        found[at] = spot.fault(problem, remedy, at)
    return sorted(found.values(), key=lambda fault: _line_of(fault.path))


def _line_of(path: str) -> int:
    match = re.search(r"\(line ([0-9]+)\)$", path)
    return int(match.group(1)) if match else 0


def _place(loc: tuple[int | str, ...], raw: object) -> Place:
    """The error's place in the document, without the names of union branches that pydantic puts in."""
    place: list[int | str] = []
    for number, part in enumerate(loc):
        below: object = _ABSENT
        if isinstance(raw, dict):
            below = raw.get(part, _ABSENT)
        elif isinstance(raw, list) and isinstance(part, int) and part < len(raw):
            below = raw[part]
        if below is not _ABSENT:
            place.append(part)
            raw = below
        elif isinstance(raw, dict) and number == len(loc) - 1 and part != "[key]":
            place.append(part)
    return tuple(place)


def _problem_and_remedy(detail: ErrorDetails, model: type[BaseModel], *, is_cell: bool) -> tuple[str, str]:  # noqa: PLR0911 - one per kind
    """What is wrong and what would be right."""
    kind, context, value = detail["type"], detail.get("ctx", {}), detail.get("input")
    name = str(detail["loc"][-1]) if detail["loc"] else ""
    if kind == "meterhouse":
        return context["problem"], context["remedy"]
    if kind == "missing":
        if is_cell:
            return "it is empty", "fill it in"
        return f"{name} is missing", f"add {_EXAMPLES.get(name, name + ': ...')}"
    if kind == "extra_forbidden":
        known = _known_keys(model, detail["loc"][:-1])
        near = nearest(name, known)
        return f"unknown key {name}", f"did you mean {near}?" if near else f"known here: {', '.join(known)}"
    if kind in {"literal_error", "union_tag_invalid"}:
        expected = context.get("expected") or context.get("expected_tags") or ""
        words = re.findall(r"'([^']*)'", str(expected))
        wanted = value.get("model") if isinstance(value, dict) else value
        return f"{wanted!r} is not known here", f"write one of {', '.join(words)}"
    if kind == "union_tag_not_found":
        return "model is missing", f"add {_EXAMPLES['model']}"
    if kind == "bool_type":
        return f"{value!r} is not a truth value", "write true or false, without quotes"
    if kind in {"model_type", "dict_type", "model_attributes_type"}:
        return "is not a mapping", "write keys with values"
    if kind in {"greater_than_equal", "less_than_equal"}:
        sign, bound = ("ge", "at least") if kind == "greater_than_equal" else ("le", "at most")
        return f"{value} is out of range", f"write {bound} {context[sign]}"
    if kind == "string_type" and value is None:
        return "it is empty", "write a text"
    problem, _, remedy = detail["msg"].removeprefix("Value error, ").partition("; ")
    return problem, remedy or "correct it"


def _known_keys(model: type[BaseModel], loc: tuple[int | str, ...]) -> list[str]:
    """The keys that an entry at ``loc`` may have."""
    candidates = [model]
    for part in loc:
        if isinstance(part, int):
            continue
        tagged = [candidate for candidate in candidates if _tag(candidate) == part]
        if tagged:
            candidates = tagged
            continue
        fields = [candidate.model_fields[part] for candidate in candidates if part in candidate.model_fields]
        candidates = [inner for info in fields for inner in _models_within(info.annotation)] or candidates
    return sorted({name for candidate in candidates for name in candidate.model_fields})


def _tag(model: type[BaseModel]) -> str | None:
    info = model.model_fields.get("model")
    is_tag = info is not None and get_origin(info.annotation) is Literal
    return str(get_args(info.annotation)[0]) if info is not None and is_tag else None


def _models_within(annotation: object) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models_within(part)]
