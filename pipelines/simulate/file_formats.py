"""How simulated records look in a file: the inverse of a source's mapping, file names, CSV and JSON lines.

Which events there are does not belong here.
"""

import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

import polars as pl

from models.events import (
    CONFLICTING,
    EVENT_FIELDS,
    FIELDS_BY_NAME,
    IN_FUTURE,
    MALFORMED,
    REJECT_REASONS,
    Kind,
    SourceMapping,
    SourcesDocument,
)
from pipelines.simulate.conditions import condition_of, field_in, left_out, words
from pipelines.simulate.records import decimal_text

NATIVE_NAME = "usage*.jsonl"
_ALWAYS = ("event_id", "customer_id", "event_type", "occurred_at", "revision", "is_void", "quantity")
_SCALES = {"quantity": 3, "cost_usd": 12, "input_tokens": 0, "output_tokens": 0, "cached_input_tokens": 0}
# Stands for two bytes that are no UTF-8; polars' own strings cannot hold them.
_BAD_BYTES = "\ue000"
_JSON_MALFORMED = ("truncated", "array", "bytes")
_BROKEN_OBJECT = "{broken"

Tree = dict[str, "Tree | list[str]"]


@dataclass(frozen=True)
class Shape:
    """One kind of file that can be written.

    :param mapping: None for the event's own shape.
    :param pattern: file name with one `*` for what tells files apart; ends in .csv, .jsonl or
        .ndjson, perhaps with .gz behind.
    """

    mapping: SourceMapping | None
    pattern: str
    can_zip: bool
    property_keys: tuple[str, ...] = ()
    needed: frozenset[str] = frozenset()
    paths: Mapping[str, tuple[str, ...]] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "paths", self._paths())

    @property
    def has_ids(self) -> bool:
        """Whether records carry their identity; if it is made of file and row, nothing can be a copy."""
        return self.mapping is None or not self.mapping.ids_from_row

    @property
    def is_csv(self) -> bool:
        """Whether rows are CSV; otherwise they are JSON lines."""
        return self.pattern.removesuffix(".gz").endswith(".csv")

    def file_name(self, stamp: str, *, zipped: bool) -> str:
        """The name (path in the inbox) of the file with this stamp."""
        before, after = self.pattern.split("*", 1)
        glue = "_" if before and before[-1] not in "_-./" else ""
        zip_it = zipped and self.can_zip and not self.pattern.endswith(".gz")
        return f"{before}{glue}{stamp}{after}{'.gz' if zip_it else ''}"

    def _paths(self) -> dict[str, tuple[str, ...]]:
        """Event fields that are written and where; a place that another field already took is left alone."""
        paths: dict[str, tuple[str, ...]] = {}
        absent = {column for name in self._used for column in self._left_out(name)}
        for name in self._used:
            column = name if self.mapping is None else self.mapping.column_of(name)
            condition = condition_of(self.mapping, name)
            if self.mapping and condition:
                # Where another field stands in the column, its value was drawn to be this one's, too.
                column = None if field_in(self.mapping, condition.field) else condition.field
            if column is not None and column not in absent:
                paths[name] = tuple(column.split("."))
        taken = set(paths.values())
        return {
            name: path
            for name, path in paths.items()
            if name == "properties"
            or not any(
                path[:length] in taken and paths.get("properties") != path[:length]
                for length in range(1, len(path))
            )
        }

    @property
    def _used(self) -> list[str]:
        """Event fields that records of this shape have."""
        mapping = self.mapping
        if mapping is None:
            return list(FIELDS_BY_NAME)
        used = {*_ALWAYS, *mapping.fields, *mapping.units, *self.needed}
        return [name for name in FIELDS_BY_NAME if name in used]

    def _left_out(self, field: str) -> set[str]:
        condition = condition_of(self.mapping, field)
        return left_out(condition) if condition else set()

    @property
    def _words(self) -> list[tuple[str, tuple[str, ...], str]]:
        """Event fields, and what to write where in records that have them, so that their conditions hold."""
        found = []
        for name in self._used:
            condition = condition_of(self.mapping, name)
            if self.mapping and condition:
                texts = words(self.mapping, condition)
                found += [(name, tuple(column.split(".")), text) for column, text in texts.items()]
        return found

    @property
    def _writers(self) -> dict[tuple[str, ...], list[str]]:
        """Fields per place; the first that has a value is written."""
        writers: dict[tuple[str, ...], list[str]] = {}
        for name, path in self.paths.items():
            writers.setdefault(path, []).append(name)
        for number, (_, path, _) in enumerate(self._words):
            writers.setdefault(path, []).append(f"word_{number}")
        if any({"model", "resource"} <= set(names) for names in writers.values()):
            # A column that is both names the model.
            return {path: sorted(names, key="model".__ne__) for path, names in writers.items()}
        return writers

    def reasons(self) -> list[str]:
        """Every reject reason that a single record of this shape can show."""
        first = {names[0] for names in self._writers.values()}
        found = []
        for reason in REJECT_REASONS:
            if reason == CONFLICTING:
                continue
            if reason == MALFORMED:
                found.extend([MALFORMED] if self.is_csv else [MALFORMED] * len(_JSON_MALFORMED))
                continue
            name = "occurred_at" if reason == IN_FUTURE else reason.split("_", 1)[1]
            if name not in first:
                continue
            is_text = FIELDS_BY_NAME[name].kind is Kind.TEXT
            if self.is_csv and is_text and reason.startswith("invalid_") and name != "event_id":
                continue  # any cell is a text
            found.append(reason)
        return found

    def as_text(self, records: pl.DataFrame, tag: str) -> pl.DataFrame:
        """Typed records as text per event field, values of properties beside them; sorted as they are."""
        moment = pl.from_epoch("occurred", time_unit="us")
        naive = self.mapping is not None and self.mapping.timezone == "UTC"
        numbers = {}
        for name, scale in _SCALES.items():
            column = "cost" if name == "cost_usd" else name
            numbers[name] = self._number(name, pl.col(column), scale)
        return records.select(
            "index",
            "occurred",
            "file_day",
            "is_late",
            "fault",
            "customer_id",
            "event_type",
            "user_id",
            "resource",
            "provider",
            "model",
            "region",
            "session",
            *(f"property_{place}" for place in range(len(self.property_keys))),
            event_id=pl.concat_str(pl.lit(f"evt_{tag}_"), pl.col("index").cast(pl.String).str.zfill(9)),
            occurred_at=moment.dt.strftime("%Y-%m-%d %H:%M:%S%.6f" if naive else "%Y-%m-%dT%H:%M:%S%.6fZ"),
            revision=pl.when(pl.col("revision") > 0).then(pl.col("revision").cast(pl.String)),
            is_void=pl.when("is_void").then(pl.lit("true")),
            bad=pl.lit(None, dtype=pl.String),
            **numbers,
        ).with_columns(
            pl.when(pl.col(name).is_not_null()).then(pl.lit(text)).alias(f"word_{number}")
            for number, (name, _, text) in enumerate(self._words)
        )

    def _number(self, name: str, value: pl.Expr, scale: int) -> pl.Expr:
        conversion = self.mapping.units.get(name) if self.mapping else None
        if conversion is None:
            return decimal_text(value, scale)
        factor = conversion.factor.normalize()
        _, digits, exponent = factor.as_tuple()
        if digits == (1,):
            return decimal_text(value, scale + int(exponent))
        # Dividing would not end: write whole foreign units instead, at least one.
        raw = (value / float(factor * Decimal(10) ** scale)).ceil().cast(pl.Int64)
        return raw.cast(pl.String)

    def spoil(self, records: pl.DataFrame, first: int) -> pl.DataFrame:
        """Records marked `fault` get one fault each, all reasons in turn from number ``first`` on."""
        reasons = self.reasons()
        rows = records.filter("fault").sort("index").to_dicts()
        if not rows:
            return records
        for number, row in enumerate(rows, start=first):
            self._spoil_row(row, reasons[number % len(reasons)], number)
        return pl.concat([records.filter(~pl.col("fault")), pl.DataFrame(rows, schema=records.schema)])

    def _spoil_row(self, row: dict[str, object], reason: str, number: int) -> None:
        row["bad"] = reason
        if reason == MALFORMED:
            row["bad"] = "bytes" if self.is_csv else _JSON_MALFORMED[number % len(_JSON_MALFORMED)]
            if row["bad"] == "bytes":
                name = next(name for name in self.paths if FIELDS_BY_NAME[name].kind is Kind.TEXT)
                row[name] = f"{row[name]}{_BAD_BYTES}"
            return
        if reason == IN_FUTURE:
            # So far ahead that no as-of catches up with it.
            row["occurred_at"] = "2999" + str(row["occurred_at"])[4:]
            return
        fault, name = reason.split("_", 1)
        if fault == "missing":
            for other in self._writers[self.paths[name]]:
                row[other] = None
        elif fault == "negative":
            row[name] = "-40"
        elif name != "properties":
            row[name] = _INVALID[name] if name in _INVALID else _INVALID_KINDS[FIELDS_BY_NAME[name].kind]

    def encode(self, records: pl.DataFrame, *, is_first: bool) -> bytes:
        """The lines of a file.

        :param is_first: whether a CSV header comes before them.
        """
        tree: Tree = {}
        for path, names in self._writers.items():
            node = tree
            for step in path if names == ["properties"] else path[:-1]:
                below = node.setdefault(step, {})
                assert isinstance(below, dict)
                node = below
            if names != ["properties"]:
                node[path[-1]] = names
        if self.is_csv:
            cells = [self._cell(name, node).alias(name) for name, node in tree.items()]
            buffer = io.BytesIO()
            records.select(cells).write_csv(buffer, include_header=is_first)
            text = buffer.getvalue()
        else:
            line = self._object(tree, ())
            half = pl.col("line").str.head(pl.col("line").str.len_chars() // 2)
            broken = (
                pl.when(pl.col("bad") == "truncated")
                .then(half)
                .when(pl.col("bad") == "array")
                .then(pl.lit('["not", "an", "object"]'))
                .otherwise("line")
            )
            lines = records.select(line=line, bad="bad").select(broken.alias("line"))["line"]
            text = (str(lines.str.join("\n").item()) + "\n").encode()
        return text.replace(_BAD_BYTES.encode(), b"\xff\xfe")

    def _cell(self, name: str, node: "Tree | list[str]") -> pl.Expr:
        return pl.coalesce(node) if isinstance(node, list) else self._object(node, (name,))

    def _object(self, tree: Tree, path: tuple[str, ...]) -> pl.Expr:
        parts = []
        if path == self.paths.get("properties"):
            parts += [
                _member(key, _quoted(f"property_{place}")) for place, key in enumerate(self.property_keys)
            ] + [_member("region", _plain("region")), _member("session", _plain("session"))]
        for name, node in tree.items():
            inner = self._leaf(node) if isinstance(node, list) else self._object(node, (*path, name))
            parts.append(_member(name, inner))
        whole = pl.concat_str(
            pl.lit("{"),
            pl.concat_str(parts, separator=",", ignore_nulls=True),
            pl.lit("}"),
            ignore_nulls=True,
        )
        if path == self.paths.get("properties"):
            broken = _BROKEN_OBJECT if self.is_csv and len(path) == 1 else f'"{_BROKEN_OBJECT}"'
            whole = pl.when(pl.col("bad") == "invalid_properties").then(pl.lit(broken)).otherwise(whole)
        return whole

    def _leaf(self, names: Sequence[str]) -> pl.Expr:
        return pl.coalesce([_json(name) for name in names])


_INVALID = {"event_id": "x" * 256, "occurred_at": "2026-02-30 at noon"}
_INVALID_KINDS = {
    Kind.TEXT: '{"not":"a text"}',
    Kind.INTEGER: "several",
    Kind.BOOLEAN: "perhaps",
    Kind.DECIMAL: "NaN",
}


def _member(name: str, value: pl.Expr) -> pl.Expr:
    key = pl.Series([name]).to_frame("k").select(_quoted("k")).item()
    return pl.concat_str(pl.lit(f"{key}:"), value)


def _quoted(column: str) -> pl.Expr:
    """A column as JSON strings, whatever is in it; null stays null."""
    encoded = pl.struct(pl.col(column).alias("v")).struct.json_encode().str.slice(5).str.head(-1)
    return pl.when(pl.col(column).is_not_null()).then(encoded)


def _plain(column: str) -> pl.Expr:
    """The same for text that is known to need no escapes."""
    return pl.concat_str(pl.lit('"'), pl.col(column), pl.lit('"'))


def _json(name: str) -> pl.Expr:
    if name not in FIELDS_BY_NAME:
        return _quoted(name)
    kind = FIELDS_BY_NAME[name].kind
    if kind is Kind.TEXT and name != "event_id":
        return pl.when(pl.col("bad") == f"invalid_{name}").then(pl.col(name)).otherwise(_quoted(name))
    if kind in (Kind.INTEGER, Kind.BOOLEAN):
        return pl.when(pl.col("bad") == f"invalid_{name}").then(_plain(name)).otherwise(pl.col(name))
    return _plain(name)


def shapes_for(sources: SourcesDocument, property_keys: Iterable[str], needed: Iterable[str]) -> list[Shape]:
    """Every shape that files of this home can have, in the order of sources.yml, the event's own last.

    Empty when the patterns leave no file name to write to.

    :param needed: event fields that meters read; they are written even where no mapping names them.
    """
    keys, wanted = tuple(property_keys), frozenset(needed)
    shapes = []
    for mapping in [*sources.sources, None]:
        for pattern in _patterns(NATIVE_NAME if mapping is None else mapping.files):
            name = pattern.replace("*", "_2026-01-31_abcdef", 1)
            if sources.source_for(name) is not mapping:
                continue
            can_zip = sources.source_for(f"{name}.gz") is mapping
            shapes.append(Shape(mapping, pattern, can_zip, keys, wanted))
            break
    return shapes


def _patterns(files: str) -> list[str]:
    """File name patterns with exactly one `*` that may fit, likelier ones first."""
    if "[" in files:
        return []
    before, star, after = files.replace("?", "0").partition("*")
    base = f"{before}*{after.replace('*', '')}" if star else ""
    endings = (".csv", ".jsonl", ".ndjson")
    if not star:
        return []
    if base.removesuffix(".gz").endswith(endings):
        return [base]
    return [f"{base}{ending}{zipped}" for zipped in ("", ".gz") for ending in (".jsonl", ".csv", ".ndjson")]


def needed_fields(event_fields: Iterable[str]) -> set[str]:
    """The event's own fields behind the fields that meters name; `total_tokens` needs both its parts."""
    known = {item.name for item in EVENT_FIELDS}
    found: set[str] = set()
    for name in event_fields:
        if name == "total_tokens":
            found |= {"input_tokens", "output_tokens"}
        elif name.startswith("properties."):
            found.add("properties")
        elif name in known:
            found.add(name)
    return found
