"""What the pages of docs/ say in examples is what the software does.

A fenced block whose first line is a comment has that comment as its label: `# catalog/plans.yml` and the like
name a document (`, wrong`: one with the faults that the next block shows), `# inbox/...` a usage file (`, next`:
read by a run of its own, `, reread`: in the place of the one before), `# example: name` a case of rating. Tables
are told by their first column.

Documents are read by the real validators, usage files by the real ingest, and every case of rating and cost of
all pages by one dbt build. Links between pages lead somewhere.
"""

import ast
import json
import operator
import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import yaml
from ingest_homes import events as lake_events
from ingest_homes import manifests, put, rejects
from rating_lake import RatingHome

from models.events import FIELDS_BY_NAME, REJECT_REASONS
from models.frames import BATCHES
from models.money import MINOR_UNITS
from pipelines.catalog import load_configuration
from pipelines.catalog.products import PRODUCTS, list_products
from pipelines.catalog.tables import accounts_tables, catalog_tables
from pipelines.costs import current_version, refresh_prices, resolve_new_names
from pipelines.errors import ConfigurationError
from pipelines.home import Home
from pipelines.ingest import ingest_inbox
from pipelines.ingest.reread import reread_files

pytestmark = pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning"
)

# --- pages taken apart: headings, fenced blocks and tables, in their order ---

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
    # What the site is made from is a copy of them.
    return sorted(page for page in DOCS.rglob("*.md") if "_build" not in page.parts)


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


# --- what the pages are ---

AS_OF = datetime(2026, 10, 2, 12, tzinfo=UTC)
PAGES = {page.relative_to(DOCS).with_suffix("").as_posix(): page for page in pages()}
DOCUMENT = re.compile(
    r"catalog/((meters|plans|sources|alerts|issuer)\.yml|(prices|fx_rates)\.csv)"
    r"|accounts/(customers|subscriptions|overrides|budgets)\.csv"
)
NO_ACCOUNTS = {
    "accounts/customers.csv": "customer_id\n",
    "accounts/subscriptions.csv": "subscription_id,customer_id,plan_id,started_on\n",
}
NO_CATALOG = {"catalog/meters.yml": "meters: []\n", "catalog/plans.yml": "plans: []\n"}
# Pages whose documents go on with those of another page.
GOES_ON_FROM = {"accounts": "catalog"}


def blocks(page: str) -> Iterator[Block]:
    for section in sections(PAGES[page]):
        yield from (part for part in section.parts if isinstance(part, Block))


# --- documents ---


def joined(page: str) -> dict[str, str]:
    """The documents of a page; blocks of one name are parts of one document."""
    found: dict[str, str] = {}
    for block in blocks(page):
        name = block.label
        if not DOCUMENT.fullmatch(name) or name == "catalog/sources.yml":
            continue
        if name.endswith(".csv") and name in found:
            header, _, rows = block.body.partition("\n")
            assert found[name].startswith(header + "\n"), (
                f"{page}: {name} has another header in line {block.line}"
            )
            found[name] += rows
        elif name in found:
            key, _, entries = block.body.partition("\n")
            assert found[name].startswith(key + "\n"), f"{page}: {name} begins otherwise in line {block.line}"
            found[name] += entries
        else:
            found[name] = block.body
    return found


def write_documents(home: Home, documents: Mapping[str, str]) -> Home:
    home.ensure()
    for name, text in documents.items():
        (home.root / name).write_text(text, encoding="utf-8")
    return home


def documents_of(page: str) -> dict[str, str]:
    base = GOES_ON_FROM.get(page)
    return {**NO_CATALOG, **NO_ACCOUNTS, **(joined(base) if base else {}), **joined(page)}


@pytest.mark.parametrize("page", PAGES)
def test_documents_are_valid(page: str, tmp_path: Path) -> None:
    if joined(page):
        load_configuration(write_documents(Home(tmp_path / "page"), documents_of(page)))
    for block in blocks(page):
        if block.label == "catalog/sources.yml":
            home = Home(tmp_path / str(block.line))
            load_configuration(write_documents(home, {**NO_CATALOG, **NO_ACCOUNTS, block.label: block.body}))


@pytest.mark.parametrize("page", PAGES)
def test_faults_read_as_shown(page: str, tmp_path: Path) -> None:
    """A block `# catalog/plans.yml, wrong` and the text block after it; the other documents are the page's."""
    for section in sections(PAGES[page]):
        wrong: dict[str, str] = {}
        for part in section.parts:
            if not isinstance(part, Block):
                continue
            if part.label.endswith(", wrong"):
                # The comment is a line of YAML; in CSV it would be the header.
                comment = f"# {part.label}\n" if part.language == "yaml" else ""
                wrong[part.label.removesuffix(", wrong")] = comment + part.body
            elif part.language == "text" and wrong:
                root = tmp_path / str(part.line)
                home = write_documents(Home(root), {**_around(page, set(wrong)), **wrong})
                with pytest.raises(ConfigurationError) as caught:
                    load_configuration(home)
                found = [str(fault) for fault in caught.value.faults]
                assert found == part.body.splitlines(), f"{page}, line {part.line}"
                wrong = {}


def _around(page: str, wrong: set[str]) -> dict[str, str]:
    """The documents beside wrong ones: of a catalog its meters alone, since plans name what is gone."""
    documents = documents_of(page)
    if any(name.startswith("accounts/") for name in wrong):
        return documents
    return {**NO_CATALOG, **NO_ACCOUNTS, "catalog/meters.yml": documents["catalog/meters.yml"]}


# --- usage files ---


def stored(value: object) -> str | None:
    if isinstance(value, datetime):
        text = value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f").rstrip("0").rstrip(".")
        return f"{text}Z"
    if isinstance(value, Decimal):
        text = format(value, "f")
        return text.rstrip("0").rstrip(".") if "." in text else text
    if isinstance(value, bool):
        return str(value).lower()
    return None if value is None else str(value)


def value_tables() -> list[tuple[str, Table]]:
    return [
        (page, part)
        for page in PAGES
        for section in sections(PAGES[page])
        for part in section.parts
        if isinstance(part, Table) and part.first == "A record says"
    ]


@pytest.mark.parametrize(("page", "table"), value_tables(), ids=lambda value: getattr(value, "line", value))
def test_values_are_read_as_shown(page: str, table: Table, tmp_path: Path) -> None:
    """`"quantity": "1.5"` in a record without anything else odd; what is stored, or the reason of its reject."""
    home = Home(tmp_path)
    home.ensure()
    base = {
        "customer_id": '"acme"',
        "event_type": '"api_call"',
        "occurred_at": '"2026-09-01T12:00:00Z"',
    }
    lines = []
    for place, row in enumerate(table.rows, 1):
        fragment = row[0].strip("`").strip()
        given = {"event_id": f'"{place}"'} | base
        pairs = [f'"{key}": {value}' for key, value in given.items() if f'"{key}"' not in fragment]
        lines.append("{" + ", ".join([*pairs, fragment]) + "}" if fragment[0] == '"' else fragment)
    put(home, "usage.jsonl", "".join(f"{line}\n" for line in lines))
    ingest_inbox(home, None, AS_OF)
    accepted = {row["source_row"]: row for row in lake_events(home)}
    rejected = {row["source_row"]: row["reason"] for row in rejects(home)}
    for place, row in enumerate(table.rows, 1):
        match = re.match(r"`([^`]*)`", row[1])
        assert match, row
        wanted = match[1]
        if wanted in REJECT_REASONS:
            assert rejected.get(place) == wanted, f"{page}, line {table.line}: {row}"
            continue
        assert place in accepted, f"{page}, line {table.line}: {row} is {rejected.get(place)}"
        name = re.findall(r'"(\w+)":', row[0])[0]
        name = name if name in FIELDS_BY_NAME else "properties"
        wanted = stored(Decimal(wanted)) if isinstance(accepted[place][name], Decimal) else wanted
        assert stored(accepted[place][name]) == (None if wanted == "null" else wanted), row


def ingest_sections() -> list[tuple[str, Section]]:
    return [
        (page, section)
        for page in PAGES
        for section in sections(PAGES[page])
        if any(isinstance(part, Block) and part.label.startswith("inbox/") for part in section.parts)
    ]


@pytest.mark.parametrize(
    ("page", "section"), ingest_sections(), ids=lambda value: getattr(value, "title", value)
)
def test_files_are_read_as_shown(page: str, section: Section, tmp_path: Path) -> None:
    """`# inbox/a.csv` is read; `, next` by a run of its own; `, reread` takes the place of what was there."""
    home = write_documents(Home(tmp_path), {**NO_CATALOG, **NO_ACCOUNTS})
    if page.startswith("products/"):
        shutil.copy(PRODUCTS / page.removeprefix("products/") / "catalog/sources.yml", home.catalog)
    waiting = False
    for part in section.parts:
        if isinstance(part, Block) and part.label == "catalog/sources.yml":
            (home.catalog / "sources.yml").write_text(part.body, encoding="utf-8")
        elif isinstance(part, Block) and part.label.startswith("inbox/"):
            name, _, step = part.label.removeprefix("inbox/").partition(", ")
            if step and waiting:
                ingest_inbox(home, load_configuration(home).sources, AS_OF)
                waiting = False
            put(home, name, part.body)
            if step == "reread":
                reread_files(home, [name], load_configuration(home).sources, AS_OF)
            else:
                waiting = True
        elif isinstance(part, Table) and part.first in {"file", "row", "reading of"}:
            if waiting:
                ingest_inbox(home, load_configuration(home).sources, AS_OF)
                waiting = False
            wanted = [dict(zip(part.header, row, strict=True)) for row in part.rows]
            found = _manifest_rows(home) if part.first == "reading of" else _record_rows(home)
            assert [{name: row[name] for name in part.header} for row in found] == [
                {name: plain(cell) for name, cell in row.items()} for row in wanted
            ], f"{page}, line {part.line}"


def _record_rows(home: Home) -> list[dict[str, str | None]]:
    rows = [{**row, "reason": None} for row in lake_events(home)]
    rows += [dict.fromkeys(FIELDS_BY_NAME) | row for row in rejects(home)]
    rows.sort(key=lambda row: (str(row["source_file"]), int(str(row["source_row"]))))
    return [
        {name: stored(value) for name, value in row.items()}
        | {"row": str(row["source_row"]), "file": str(row["source_file"])}
        for row in rows
    ]


def _manifest_rows(home: Home) -> list[dict[str, str | None]]:
    assert "rows_read" in BATCHES.columns
    replaced = {row["replaces"] for row in manifests(home)}
    return [
        {
            "reading of": str(row["source_file"]),
            "status": "replaced" if row["batch_id"] in replaced else str(row["status"]),
            "read": str(row["rows_read"]),
            "accepted": str(row["accepted_count"]),
            "duplicate": str(row["duplicate_count"]),
            "rejected": str(row["rejected_count"]),
            "message": None if row["message"] is None else str(row["message"]),
        }
        for row in manifests(home)
    ]


# --- rating and cost ---

NAMES = ("meter_id", "plan_id", "event_type", "customer_id", "subscription_id")
MERGED = (
    "meters", "meter_event_types", "meter_filters", "plans", "charges", "charge_tiers", "prices", "fx_rates",
    "customers", "subscriptions", "overrides",
)  # fmt: skip
SELECT = (
    "+invoices +invoice_lines +plan_comparisons +overages +monthly_usage +int_rating_faults +daily_usage"
    " +unbilled_usage +unpriced_usage +cost_per_request +customer_margins +cost_per_request_monthly"
)


@dataclass
class Example:
    """A case of rating: what `# example: name` says, and the tables after it."""

    page: str
    name: str
    line: int
    given: dict[str, Any]
    tables: list[Table] = field(default_factory=list)

    @property
    def prefix(self) -> str:
        """Of customers, subscriptions and plans of this example alone."""
        return f"{self.name}/"

    @property
    def plans(self) -> list[dict[str, Any]]:
        given = self.given.get("plans", [self.given.get("plan", {})])
        shared = {"charges": self.given["charges"]} if "charges" in self.given else {}
        base = {"id": "plan", "name": "Plan", "rank": "1", "currency": "USD", "price": "0"}
        return [base | {"effective_from": "2024-01-01"} | shared | plan for plan in given]

    @property
    def customers(self) -> list[dict[str, Any]]:
        return [
            {"customer_id": "c"} | row
            for row in self.given.get("customers", [self.given.get("customer", {})])
        ]

    @property
    def subscriptions(self) -> list[dict[str, Any]]:
        given = self.given.get("subscriptions", [self.given.get("subscription", {})])
        base = {"subscription_id": "s", "customer_id": self.customers[0]["customer_id"], "plan_id": "plan"}
        days = {"started_on": "2026-04-01", "ended_on": "2026-05-01"}
        return [base | (days if "started_on" not in row else {}) | row for row in given]

    @property
    def overrides(self) -> list[dict[str, Any]]:
        return [{"subscription_id": "s"} | row for row in self.given.get("overrides", [])]

    def events(self) -> Iterator[dict[str, Any]]:
        for usage in self.given.get("usage", []):
            fields = {
                key: value for key, value in usage.items() if key not in ("customer", "type", "at", "times")
            }
            if "properties" in fields:
                fields["properties"] = json.dumps(fields["properties"])
            for place in range(int(usage.get("times", 1))):
                yield {
                    "customer_id": f"{self.page}/{self.prefix}{usage.get('customer', self.customers[0]['customer_id'])}",
                    "event_type": f"{self.page}/{usage['type']}",
                    "occurred_at": usage["at"],
                    **{key: value.replace("{n}", str(place)) for key, value in fields.items()},
                }


def examples(page: str) -> list[Example]:
    found: list[Example] = []
    for section in sections(PAGES[page]):
        current: Example | None = None
        for part in section.parts:
            if isinstance(part, Block) and part.label.startswith("example: "):
                given = yaml.load(part.body, Loader=yaml.BaseLoader) or {}
                current = Example(page, part.label.removeprefix("example: "), part.line, given)
                found.append(current)
            elif isinstance(part, Table) and current is not None and part.first in KINDS:
                current.tables.append(part)
    assert not [name for name, count in Counter(example.name for example in found).items() if count > 1]
    return found


def cost_events(page: str) -> list[tuple[Table, int, dict[str, Any]]]:
    """`An event says` | `costs, USD` | `by`: an event of a customer of its own."""
    found = []
    for section in sections(PAGES[page]):
        for part in section.parts:
            if isinstance(part, Table) and part.first == "An event says":
                for place, row in enumerate(part.rows):
                    said = json.loads("{" + row[0].strip("`") + "}", parse_float=str, parse_int=str)
                    if "properties" in said:
                        said["properties"] = json.dumps(
                            json.loads("{" + row[0].strip("`") + "}")["properties"]
                        )
                    found.append((part, place, said))
    return found


def configured(page: str, given: list[Example], root: Path) -> dict[str, list[dict[str, Any]]]:
    """The catalog and accounts of a page's examples, validated, as the lake keeps them."""
    home = Home(root)
    home.ensure()
    product = page.removeprefix("products/")
    if product in list_products():
        for file in (PRODUCTS / product / "catalog").iterdir():
            shutil.copy(file, home.catalog)
    else:
        write_documents(home, {**documents_of(page), **NO_ACCOUNTS})
        plans = [
            plan | {"id": example.prefix + plan["id"]}
            for example in given
            if not page.startswith("products/")
            for plan in example.plans
        ]
        if plans:
            (home.catalog / "plans.yml").write_text(
                yaml.safe_dump({"plans": _truths(plans)}), encoding="utf-8"
            )
    own = {"customer_id", "subscription_id"} | (set() if product in list_products() else {"plan_id"})
    for name in ("customers", "subscriptions", "overrides"):
        rows = [
            {key: example.prefix + value if key in own else value for key, value in row.items()}
            for example in given
            for row in getattr(example, name)
        ]
        columns = list(dict.fromkeys(key for row in rows for key in row))
        if columns:
            lines = [",".join(columns), *(",".join(row.get(key, "") for key in columns) for row in rows)]
            (home.accounts / f"{name}.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
        elif name != "overrides":
            (home.accounts / f"{name}.csv").write_text(NO_ACCOUNTS[f"accounts/{name}.csv"], encoding="utf-8")
    configuration = load_configuration(home)
    tables = catalog_tables(configuration.catalog, configuration.sources) + accounts_tables(
        configuration.accounts
    )
    return {
        table.name: [
            {
                column: f"{page}/{cell}" if column in NAMES and cell is not None else cell
                for column, cell in zip((name for name, _ in table.columns), row, strict=True)
            }
            for row in table.rows
        ]
        for table in tables
        if table.name in MERGED
    }


def _truths(value: Any) -> Any:
    """Words that YAML would quote as texts, as the truth values that they are written as."""
    match value:
        case dict():
            return {key: _truths(item) for key, item in value.items()}
        case list():
            return [_truths(item) for item in value]
        case "true" | "false":
            return value == "true"
        case _:
            return value


@pytest.fixture(scope="module")
def rated(tmp_path_factory: pytest.TempPathFactory) -> RatingHome:
    """One build for the examples of all pages, told apart by a prefix."""
    root = tmp_path_factory.mktemp("examples")
    home = RatingHome(root, as_of=AS_OF.isoformat())
    merged: dict[str, list[dict[str, Any]]] = {name: [] for name in MERGED}
    events: list[dict[str, Any]] = []
    for page in PAGES:
        given = examples(page)
        costs = cost_events(page)
        if not given and not costs:
            continue
        for name, rows in configured(page, given, tmp_path_factory.mktemp("documents")).items():
            merged[name] += rows
        for example in given:
            events += example.events()
        for number_, (_, _, said) in enumerate(costs):
            base = {"event_type": "chat", "occurred_at": "2026-09-01T12:00:00Z"}
            event = base | said
            event["event_type"] = f"{page}/{event['event_type']}"
            events.append({"customer_id": f"{page}/says/{number_}", **event})
    home.documents("catalog", merged)
    home.documents("accounts", merged)
    home.versions["prices"] = current_version()
    refresh_prices(Home(root), AS_OF)
    home.batch(events)
    resolve_new_names(Home(root))
    home.build(select=SELECT)
    return home


Cell = Callable[[str], Any]


def ratio(cell: str) -> Decimal | None:
    found = worked_out(cell)
    return None if found is None else round(Decimal(found.numerator) / found.denominator, 6)


def day(cell: str) -> date | None:
    text = plain(cell)
    return None if text is None else date.fromisoformat(text)


def truth(cell: str) -> bool:
    return {"yes": True, "no": False}[plain(cell) or ""]


METER = "substr(meter_id, length({page}) + 2)"
# First column of a table -> the relation, and per column how its cell is read and what it says.
KINDS: dict[str, tuple[str, dict[str, tuple[Cell, str]]]] = {
    "line": (
        "invoice_lines",
        {
            "line": (plain, "line_type"),
            "of": (plain, METER),
            "subscription": (plain, "split_part(subscription_id, '/', -1)"),
            "plan": (plain, "split_part(plan_id, '/', -1)"),
            "reads": (plain, "description"),
            "from": (day, "service_start"),
            "to": (day, "service_end"),
            "quantity": (worked_out, "quantity"),
            "amount": (worked_out, "amount"),
            "billed": (worked_out, "amount_minor"),
        },
    ),
    "usage of": (
        "monthly_usage",
        {
            "usage of": (plain, METER),
            "subscription": (plain, "split_part(subscription_id, '/', -1)"),
            "from": (day, "service_start"),
            "to": (day, "service_end"),
            "cycle from": (day, "period_start"),
            "cycle to": (day, "period_end"),
            "quantity": (worked_out, "quantity"),
            "included": (worked_out, "included_quantity"),
            "overage": (worked_out, "overage_quantity"),
            "used ratio": (ratio, "used_ratio"),
        },
    ),
    "overage of": (
        "overages",
        {
            "overage of": (plain, METER),
            "overage": (worked_out, "overage_quantity"),
            "model": (plain, "charge_model"),
            "amount": (worked_out, "amount"),
        },
    ),
    "day": (
        "daily_usage",
        {
            "day": (day, "usage_date"),
            "meter": (plain, METER),
            "quantity": (worked_out, "quantity"),
            "events": (worked_out, "event_count"),
            "cost, USD": (worked_out, "cost_usd"),
        },
    ),
    "not billed on": (
        "unbilled_usage",
        {
            "not billed on": (day, "usage_date"),
            "event type": (plain, "substr(event_type, length({page}) + 2)"),
            "reason": (plain, "reason"),
            "events": (worked_out, "event_count"),
            "quantity": (worked_out, "quantity"),
        },
    ),
    "not rated": (
        "int_rating_faults",
        {"not rated": (plain, METER), "fault": (plain, "fault")},
    ),
    "invoice from": (
        "invoices",
        {
            "invoice from": (day, "period_start"),
            "to": (day, "period_end"),
            "currency": (plain, "currency"),
            "status": (plain, "status"),
            "total": (worked_out, "total_minor"),
        },
    ),
    "compared plan": (
        "plan_comparisons",
        {
            "compared plan": (plain, "split_part(plan_id, '/', -1)"),
            "amount": (worked_out, "amount"),
            "feasible": (truth, "is_feasible"),
            "current": (truth, "is_current"),
        },
    ),
    "requests on": (
        "cost_per_request",
        {
            "requests on": (day, "usage_date"),
            "provider": (plain, "provider"),
            "model": (plain, "model"),
            "requests": (worked_out, "request_count"),
            "without a cost": (worked_out, "unpriced_request_count"),
            "cost, USD": (worked_out, "cost_usd"),
            "per request": (worked_out, "cost_per_request_usd"),
        },
    ),
    "margin of": (
        "customer_margins",
        {
            "margin of": (day, "calendar_month"),
            "revenue, USD": (worked_out, "revenue_usd"),
            "cost, USD": (worked_out, "cost_usd"),
            "margin, USD": (worked_out, "margin_usd"),
            "ratio": (ratio, "margin_ratio"),
            "open": (truth, "has_open_cycle"),
        },
    ),
    "no price on": (
        "unpriced_usage",
        {
            "no price on": (day, "usage_date"),
            "event type": (plain, "substr(event_type, length({page}) + 2)"),
            "reason": (plain, "reason"),
            "events": (worked_out, "event_count"),
        },
    ),
}
MINOR = ("billed", "total")


def all_examples() -> list[Example]:
    return [example for page in PAGES for example in examples(page)]


@pytest.mark.parametrize("example", all_examples(), ids=lambda example: f"{example.page}: {example.name}")
def test_examples_are_rated_as_shown(example: Example, rated: RatingHome) -> None:
    assert example.tables, f"{example.page}, line {example.line}: nothing is said of what comes out"
    for table in example.tables:
        relation, columns = KINDS[table.first]
        assert set(table.header) <= set(columns), f"{example.page}, line {table.line}"
        page = f"'{example.page}'"
        selected = ", ".join(f'{columns[name][1].format(page=page)} as "{name}"' for name in table.header)
        more = ", currency" if set(MINOR) & set(table.header) and "currency" not in table.header else ""
        customer = f"{example.page}/{example.prefix}"
        if relation == "plan_comparisons":  # Of the plans of all examples, those of this one.
            relation = f"(from plan_comparisons where starts_with(plan_id, '{customer}'))"
        found = []
        for row in rated.query(
            f"select {selected}{more} from {relation} where starts_with(customer_id, '{customer}')"
        ):
            for name in table.header:
                value = row[name]
                if name in MINOR:
                    row[name] = Fraction(value, 10 ** MINOR_UNITS[row["currency"]])
                elif columns[name][0] is worked_out and value is not None:
                    row[name] = Fraction(value)
            found.append(tuple(row[name] for name in table.header))
        wanted = [
            tuple(columns[name][0](cell) for name, cell in zip(table.header, row, strict=True))
            for row in table.rows
            if plain(row[0]) is not None
        ]
        place = f"{example.page}, line {table.line}"
        assert Counter(map(_comparable, found)) == Counter(map(_comparable, wanted)), place


def _comparable(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """Carried to twelve digits, as amounts are where a share does not end."""
    return tuple(round(value, 12) if isinstance(value, Fraction) else value for value in row)


@pytest.mark.parametrize("page", [page for page in PAGES if cost_events(page)])
def test_events_cost_what_is_shown(page: str, rated: RatingHome) -> None:
    rows = rated.query(
        "select customer_id, cost_usd, coalesce(unpriced_reason, cost_source) as source from int_daily_activity"
        f" where starts_with(customer_id, '{page}/says/')"
    )
    found = {row["customer_id"]: (row["cost_usd"], row["source"]) for row in rows}
    for place, (table, row_number, _) in enumerate(cost_events(page)):
        _, cost, source, *_ = table.rows[row_number]
        wanted = worked_out(cost)
        given, by = found[f"{page}/says/{place}"]
        assert (None if given is None else Fraction(given), by) == (wanted, source), (
            f"{page}, line {table.line}: {table.rows[row_number]}"
        )


# --- the pages themselves ---


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    text = re.sub(r"```.*?```", "", PAGES[page].read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        file = (PAGES[page].parent / path).resolve() if path else PAGES[page]
        # Pages of others may still be missing; within these an anchor must be a heading.
        if file in PAGES.values() and anchor:
            assert anchor in {_anchor(section.title) for section in sections(file)}, f"{page}: {target}"


def _anchor(title: str) -> str:
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


@pytest.mark.parametrize("page", PAGES)
def test_every_labelled_block_is_proven(page: str) -> None:
    """A label that no test knows would look like a proof and be none."""
    for block in blocks(page):
        if block.label.startswith(("catalog", "accounts", "inbox", "example")):
            name = block.label.partition(", ")[0]
            known = DOCUMENT.fullmatch(name) or name.startswith(("inbox/", "example: "))
            assert known, f"{page}, line {block.line}: {block.label}"
