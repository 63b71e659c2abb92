"""Reads JSON lines: DuckDB parses what it can decide exactly, the rest goes line by line through ``exact``.

DuckDB's JSON is laxer than JSON (trailing commas, NaN) and reads numbers through double. A line that could be
affected is found by a pattern before it is parsed; false alarms only cost time.
"""

import json
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import IO

import polars as pl

from models.events import MAX_RECORD_BYTES, MAX_RECORD_VALUES
from pipelines.ingest import exact
from pipelines.ingest.formats.duckdb_functions import query
from pipelines.ingest.formats.reader import (
    BLOCK_BYTES,
    HEAVY_RECORD_BYTES,
    Chosen,
    Oversized,
    RawTexts,
    RecordStream,
    finish_cells,
    open_content,
)
from pipelines.ingest.mapping import Place, Plan

_BOM = b"\xef\xbb\xbf"
_BLANK = " \t\r\n\f\v"
# A number is preceded by a colon, a bracket or a comma. Trouble: digits that a double might lose, exponents
# near its limits, words that are no JSON; a comma before a closing bracket; the character that ends C
# strings.
_ODD_VALUE = r"[:\[,]\s*-?(?:[0-9.]{16}|[0-9.]+[eE][+-]?[0-9]{3}|[nN][aA]|[iI][nN])"
_ODD_COMMA = r",\s*[}\]]"
_ODD_CHARACTER = "\\u0000"
_LONG_LINE = 2 * exact.MAX_DEPTH
# More lines than a block of usage has; what is held per line would outgrow the lines.
_BLOCK_LINES = 150_000


class JsonLinesReader:
    """One file of JSON lines, plain or gzipped."""

    def __init__(
        self, path: Path, plan: Plan, *, block_bytes: int = BLOCK_BYTES, only_exact: bool = False
    ) -> None:
        """:param only_exact: read every line by ``exact``; for tests."""
        self.path, self.plan = path, plan
        self.block_bytes, self.only_exact = block_bytes, only_exact

    def blocks(self) -> Iterator[bytes | Oversized]:
        """The content in pieces of about block_bytes that end with a line, without blank pieces."""
        with open_content(self.path) as content:
            rest = b""
            is_first = True
            while piece := content.read(self.block_bytes):
                piece = rest + (piece.removeprefix(_BOM) if is_first else piece)
                is_first = False
                end = piece.rfind(b"\n") + 1
                yield from _whole_lines(piece[:end])
                rest = piece[end:]
                if len(rest) > MAX_RECORD_BYTES + 1:
                    oversized, rest = _rest_of_line(rest, content, self.block_bytes)
                    if oversized:
                        yield oversized
            yield from _whole_lines(rest)

    def raw(self, block: bytes | Oversized) -> RawTexts:
        """The lines of a block; blank ones are no records."""
        return block.raw if isinstance(block, Oversized) else RawTexts(_lines(block)[0])

    def is_heavy(self, block: bytes | Oversized) -> bool:
        """Whether its records are large on average, or one of them may be."""
        return isinstance(block, bytes) and len(block) > HEAVY_RECORD_BYTES * (block.count(b"\n") + 1)

    def cells(self, block: bytes | Oversized) -> pl.DataFrame:
        """The records of a block as cells."""
        if isinstance(block, Oversized):
            return finish_cells(block.cells, self.plan)
        lines, malformed = _lines(block)
        crowded = (lines.str.len_bytes() > MAX_RECORD_VALUES).arg_true()
        if len(crowded):
            crowded = crowded.filter([exact.has_too_many_values(line) for line in lines.gather(crowded)])
            malformed = malformed.scatter(crowded, True) if len(crowded) else malformed
        regular = self._is_regular(lines) & ~malformed
        parsed = _parse(lines.filter(regular), regular.arg_true().cast(pl.Int64), self.plan)
        left = pl.DataFrame({"position": pl.int_range(len(lines), eager=True)}).join(
            parsed, on="position", how="anti"
        )["position"]
        cells = parsed.with_columns(is_malformed=pl.lit(False))
        if len(left):
            rest = [
                self._exactly(line, bad)
                for line, bad in zip(lines.gather(left), malformed.gather(left), strict=True)
            ]
            schema = pl.Schema({**parsed.drop("position").schema, "is_malformed": pl.Boolean()})
            slow = pl.DataFrame(rest, schema=schema).with_columns(position=left.cast(pl.Int64))
            cells = pl.concat([cells, slow.select(cells.columns)]).sort("position")
        return finish_cells(cells.drop("position"), self.plan)

    def lacking(self, fields: Collection[str]) -> list[str]:
        """Those that are in no record; a record with a null there has it."""
        left = list(fields)
        for block in self.blocks():
            if isinstance(block, Oversized):
                continue
            lines, _ = _lines(block)
            left = _not_in(lines, left, self.plan) if len(lines) else left
            if not left:
                break
        return left

    def _is_regular(self, lines: pl.Series) -> pl.Series:
        if self.only_exact or not _is_expressible(self.plan):
            return pl.repeat(False, len(lines), dtype=pl.Boolean, eager=True)
        # Two patterns are searched for in half the time of one.
        odd = lines.str.contains(_ODD_VALUE) | lines.str.contains(_ODD_COMMA)
        odd = odd | lines.str.contains(_ODD_CHARACTER, literal=True)
        regular = lines.str.starts_with("{") & ~odd
        long_lines = (lines.str.len_bytes() > _LONG_LINE).arg_true()
        if len(long_lines):
            # Deep nesting overruns the stack of some parsers.
            brackets = lines.gather(long_lines).str.count_matches(r"[\[{]")
            deep = long_lines.filter(brackets > exact.MAX_DEPTH)
            regular = regular.scatter(deep, False) if len(deep) else regular
        return regular

    def _exactly(self, line: str, is_malformed: bool) -> dict[str, str | bool | None]:
        if not is_malformed:
            try:
                return {**exact.cells_of_line(line, self.plan), "is_malformed": False}
            except exact.Malformed:
                pass
        return {"is_malformed": True}


def _rest_of_line(begun: bytes, content: IO[bytes], piece_bytes: int) -> tuple[Oversized | None, bytes]:
    """Read on to the end of a line that is too long, if it is no blank one; and what was read beyond it."""
    record = RecordStream()
    piece = begun
    while piece:
        end = piece.find(b"\n") + 1
        record.add(piece[:end] if end else piece)
        if end:
            return None if record.is_blank else record.oversized(), piece[end:]
        piece = content.read(piece_bytes)
    return None if record.is_blank else record.oversized(), b""


def _whole_lines(text: bytes) -> Iterator[bytes | Oversized]:
    """The lines without those that are too long, which come by themselves in their places."""
    begin = line = 0
    while len(text) - line > MAX_RECORD_BYTES:
        if end := text.rfind(b"\n", line, line + MAX_RECORD_BYTES + 1) + 1:
            line = end
            continue
        end = text.find(b"\n", line) + 1 or len(text)
        record = RecordStream()
        record.add(text[line:end])
        if record.is_blank or (oversized := record.oversized()):
            yield from _few_lines(text[begin:line])
            if not record.is_blank and oversized:
                yield oversized
            begin = end
        line = end
    yield from _few_lines(text[begin:])


def _few_lines(text: bytes) -> Iterator[bytes]:
    """Lines in pieces that are not blank and of not too many."""
    if not text or text.isspace():
        return
    if text.count(b"\n") <= _BLOCK_LINES:
        yield text
        return
    half = len(text) // 2
    middle = text.find(b"\n", half) + 1
    if middle in {0, len(text)}:
        middle = text.rfind(b"\n", 0, half) + 1
    yield from _few_lines(text[:middle])
    yield from _few_lines(text[middle:])


def _lines(block: bytes) -> tuple[pl.Series, pl.Series]:
    """Lines that are not blank, and which of them are no UTF-8 (their bad bytes shown as \\xNN)."""
    if not block:
        return pl.Series([], dtype=pl.String), pl.Series([], dtype=pl.Boolean)
    try:
        lines = pl.read_lines(block)["line"]
        malformed = pl.repeat(False, len(lines), dtype=pl.Boolean, eager=True)
    except pl.exceptions.ComputeError:
        texts, bad = [], []
        for line in (piece.removesuffix(b"\r") for piece in block.split(b"\n")):
            try:
                texts.append(line.decode())
                bad.append(False)
            except UnicodeDecodeError:
                texts.append(line.decode(errors="backslashreplace"))
                bad.append(True)
        lines, malformed = pl.Series(texts, dtype=pl.String), pl.Series(bad, dtype=pl.Boolean)
    blank = lines.str.strip_chars(_BLANK) == ""
    return (lines.filter(~blank), malformed.filter(~blank)) if blank.any() else (lines, malformed)


def _is_expressible(plan: Plan) -> bool:
    """Whether DuckDB's JSON paths can name what the plan takes."""
    return not any(set('"\\') & set(place.name) for place in _paths(plan))


def _paths(plan: Plan) -> list[Place]:
    """The dotted paths that the plan takes or compares."""
    places = [Place(whole) for whole, _ in plan.paths.values()]
    places += [place for place in plan.chosen_places if len(place.steps) > 1]
    return list(dict.fromkeys(places))


def _not_in(lines: pl.Series, fields: Collection[str], plan: Plan) -> list[str]:
    """Of some fields those that no line has, by their column or, where they are paths, by their steps."""
    ways = {
        name: [(plan.named[name],), plan.paths[name][1]] if name in plan.paths else [(plan.named[name],)]
        for name in fields
        if not set('"\\') & set(plan.named[name])
    }
    if not ways:
        return list(fields)
    found = ", ".join(
        "bool_or("
        + " or ".join(f"coalesce(try(json_exists(line, {_json_path(steps)})), false)" for steps in of)
        + f") as {name}"
        for name, of in ways.items()
    )
    row = query(f"select {found} from given", lines).row(0, named=True)
    return [name for name in fields if not row.get(name)]


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _json_path(steps: tuple[str, ...]) -> str:
    return _literal("$" + "".join(f'."{step}"' for step in steps))


def _parse(lines: pl.Series, positions: pl.Series, plan: Plan) -> pl.DataFrame:
    """Cells and extras of lines by position; without lines that DuckDB cannot parse or that repeat a key."""
    consumed = plan.consumed
    columns = list(dict.fromkeys([*consumed, *(place.name for place in plan.chosen_places)]))
    structure = json.dumps(dict.fromkeys(columns, "JSON"), ensure_ascii=False)
    paths = _paths(plan)
    nested = "".join(
        f", try(json_extract(line, {_json_path(path.steps)})) as nested_{number}"
        f", try(json_extract(line, {_json_path(path.steps[:1])})) as root_{number}"
        for number, path in enumerate(paths)
    )
    table = query(
        f"select try(from_json(line, {_literal(structure)})) as taken, "
        f"try(len(json_keys(line))) as key_count{nested} from given",
        lines,
    )
    # Names that differ in case alone are different keys to JSON, but not to DuckDB: number them.
    names = [f"c{i}" for i in range(len(columns))]
    table = table.with_columns(pl.col("taken").struct.rename_fields(names)).unnest("taken")
    table = table.with_columns(position=positions, line=lines).filter(pl.col("key_count").is_not_null())
    taken = dict(zip(columns, names, strict=True))
    at = {Place(column): pl.col(taken[column]) for column in columns if "." not in column}
    for number, path in enumerate(paths):
        inner = pl.col(f"nested_{number}")
        at[path] = pl.coalesce(taken[path.name], pl.when(inner != "null").then(inner))
        # A text that may hold JSON at the root of a path.
        table = table.filter(~pl.col(f"root_{number}").str.starts_with('"').fill_null(False))
    chosen = Chosen(plan, lambda place, _: table.select(at[place]).to_series(), table.height)
    cells: dict[str, pl.Expr | pl.Series] = {
        name: pl.col(taken[column]) for name, column in plan.columns.items()
    }
    cells |= {name: at[Place(whole)] for name, (whole, _) in plan.paths.items()}
    cells |= chosen.cells
    present = [pl.col(taken[column]).is_not_null() for column in consumed]
    present += [pl.col(taken[column]).is_not_null() & mask for column, mask in chosen.consumed.items()]
    frame = table.select(
        "position",
        "line",
        **cells,
        more=pl.col("key_count") > pl.sum_horizontal(item.cast(pl.Int64) for item in present),
        **{f"gone_{number}": mask for number, mask in enumerate(chosen.consumed.values())},
    )
    frame = _without_repeated_keys(frame)
    return _with_extras(frame, consumed, list(chosen.consumed)).select("position", *cells, "extras")


def _with_extras(frame: pl.DataFrame, consumed: tuple[str, ...], sometimes: list[str]) -> pl.DataFrame:
    """With the JSON of the columns that no field takes; without records that repeat a key.

    :param sometimes: columns that a field takes where ``gone_<n>`` is true.
    """
    more = frame.filter("more")
    if not more.height:
        return frame.with_columns(extras=pl.lit(None, pl.String))
    marks = [f"gone_{number}" for number in range(len(sometimes))]
    parts = []
    for values, part in more.group_by(marks) if marks else [((), more)]:
        taken = [column for column, is_gone in zip(sometimes, values, strict=True) if is_gone]
        patch = _literal(json.dumps(dict.fromkeys([*consumed, *taken]), ensure_ascii=False))
        parts.append(
            query(
                f"select json_merge_patch(line, {patch})::varchar as extras, "
                "len(list_distinct(json_keys(line))) < len(json_keys(line)) as is_repeated from given",
                part["line"],
            ).with_columns(position=part["position"])
        )
    frame = frame.join(pl.concat(parts), on="position", how="left", maintain_order="left")
    return frame.filter(~pl.col("is_repeated").fill_null(False)).with_columns(
        extras=pl.when(pl.col("extras") != "{}").then("extras")
    )


def _without_repeated_keys(frame: pl.DataFrame) -> pl.DataFrame:
    """Without the records that give a key twice in their properties, or in an object deeper inside."""
    has_properties = "properties" in frame.columns
    objects = pl.lit(1)
    if has_properties:
        objects += pl.col("properties").str.starts_with("{").fill_null(False).cast(pl.Int64)
    is_deep = pl.col("line").str.count_matches("{", literal=True) > objects
    deep = frame.filter(is_deep).select("position", "line").iter_rows()
    if twice := [position for position, line in deep if exact.repeats_a_key(line)]:
        frame = frame.filter(~pl.col("position").is_in(twice))
    if not has_properties:
        return frame
    given = frame["properties"].unique()
    given = given.filter(given.str.starts_with('{"'))
    if not len(given):
        return frame
    is_repeated = query(
        "select len(list_distinct(json_keys(line))) < len(json_keys(line)) as is_repeated from given", given
    )["is_repeated"]
    repeated = given.filter(is_repeated)
    return (
        frame.filter(~pl.col("properties").is_in(repeated.implode()).fill_null(False))
        if len(repeated)
        else frame
    )
