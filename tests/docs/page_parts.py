"""The pages of docs/ taken apart: headings, fenced blocks and tables, in their order.

A fenced block whose first line is a comment has that comment as its label: `# catalog/plans.yml` and the like
name a document, `# inbox/...` a usage file, `# example: name` a case of rating.
"""

import ast
import operator
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"
_FENCE = re.compile(r"```(\w*)\s*$")
_OPERATORS = {ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv}
_NOTHING = {"", "—", "null", "none"}


@dataclass(frozen=True)
class Heading:
    line: int
    title: str


@dataclass(frozen=True)
class Block:
    """A fenced block; ``label`` is the text of a comment in its first line, which the body lacks then."""

    line: int
    language: str
    label: str
    body: str


@dataclass(frozen=True)
class Table:
    line: int
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    @property
    def first(self) -> str:
        return self.header[0]


Part = Heading | Block | Table


@dataclass
class Section:
    """What stands between two headings."""

    title: str
    parts: list[Block | Table] = field(default_factory=list)


def parts(page: Path) -> Iterator[Part]:
    lines = page.read_text(encoding="utf-8").splitlines()
    number = 0
    while number < len(lines):
        line, start = lines[number], number + 1
        if match := _FENCE.match(line):
            end = next(n for n in range(number + 1, len(lines)) if lines[n].strip() == "```")
            inside = lines[number + 1 : end]
            label = ""
            if inside and inside[0].startswith("# "):
                label, inside = inside[0][2:].strip(), inside[1:]
            yield Block(start, match[1], label, "".join(f"{text}\n" for text in inside))
            number = end + 1
        elif line.startswith("#"):
            yield Heading(start, line.lstrip("# "))
            number += 1
        elif line.startswith("|"):
            end = next((n for n in range(number, len(lines)) if not lines[n].startswith("|")), len(lines))
            header, _, *rows = map(_cells, lines[number:end])
            yield Table(start, header, tuple(rows))
            number = end
        else:
            number += 1


def sections(page: Path) -> list[Section]:
    found = [Section(page.stem)]
    for part in parts(page):
        if isinstance(part, Heading):
            found.append(Section(part.title))
        else:
            found[-1].parts.append(part)
    return found


def pages() -> list[Path]:
    return sorted(DOCS.rglob("*.md"))


def plain(cell: str) -> str | None:
    """What a cell says, without marks of code; None for nothing."""
    text = cell.replace("`", "").strip()
    return None if text in _NOTHING else text


def worked_out(cell: str) -> Fraction | None:
    """The result of a written sum such as `(130 − 100) × 0.02 = 0.60`; all that `=` separates must agree.

    Twelve digits after the point are what a share that does not end is carried to.
    """
    text = plain(cell)
    if text is None:
        return None
    for written, meant in (("×", "*"), ("−", "-"), ("÷", "/"), (",", ""), ("≈", "=")):
        text = text.replace(written, meant)
    values = [_value(ast.parse(part.strip(), mode="eval").body) for part in text.split("=")]
    assert all(abs(value - values[-1]) < Fraction(1, 10**11) for value in values), cell
    return values[-1]


def _value(node: ast.expr) -> Fraction:
    if isinstance(node, ast.BinOp):
        return _OPERATORS[type(node.op)](_value(node.left), _value(node.right))  # type: ignore[no-any-return]
    if isinstance(node, ast.UnaryOp):
        return -_value(node.operand)
    assert isinstance(node, ast.Constant)
    return Fraction(str(node.value))


def _cells(line: str) -> tuple[str, ...]:
    inner = line.strip().removeprefix("|").removesuffix("|")
    return tuple(cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", inner))
