"""The dbt project keeps its promises: data goes one way, every column is described, every grain is tested, models are short.

The last part counts what only DuckDB understands, so that it does not spread while nobody looks.
"""

import re
from collections import Counter
from pathlib import Path
from typing import Any, get_args

import pytest

from models.catalog import Overage
from pipelines.catalog.tables import CHARGE_TERMS
from pipelines.warehouse.project import PROJECT_DIR

# A layer may read itself and what stands to its left.
LAYERS = {"source": 0, "staging": 1, "intermediate": 2, "marts": 3, "actions": 4, "proof": 5}


def layer(node: dict[str, Any]) -> str:
    return "source" if node["resource_type"] == "source" else node["fqn"][1]


def models(manifest: dict[str, Any]) -> list[dict[str, Any]]:
    found = [node for node in manifest["nodes"].values() if node["resource_type"] == "model"]
    assert len(found) > 20, "the manifest holds the project's models"
    return found


def is_ephemeral(node: dict[str, Any]) -> bool:
    """Whether dbt writes the model's SQL into its readers: a piece of theirs, without a table."""
    return node["config"]["materialized"] == "ephemeral"


def readers(manifest: dict[str, Any]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for node in models(manifest):
        for parent in node["depends_on"]["nodes"]:
            found.setdefault(parent, set()).add(node["unique_id"])
    return found


def test_data_goes_one_way(manifest: dict[str, Any]) -> None:
    everything = manifest["nodes"] | manifest["sources"]
    backwards = [
        f"{node['name']} ({layer(node)}) reads {everything[parent]['name']} ({layer(everything[parent])})"
        for node in models(manifest)
        for parent in node["depends_on"]["nodes"]
        if LAYERS[layer(everything[parent])] > LAYERS[layer(node)]
    ]
    assert not backwards


def test_only_staging_reads_sources_of_documents(manifest: dict[str, Any]) -> None:
    readers = {
        node["name"]
        for node in models(manifest)
        for parent in node["depends_on"]["nodes"]
        if parent.startswith(("source.meterhouse.catalog", "source.meterhouse.accounts"))
        and layer(node) != "staging"
    }
    assert not readers


def test_names_say_the_layer(manifest: dict[str, Any]) -> None:
    for node in models(manifest):
        prefix = {"staging": "stg_", "intermediate": "int_"}.get(layer(node), "")
        assert node["name"].startswith(prefix), node["name"]
        if not prefix:
            assert not node["name"].startswith(("stg_", "int_")), node["name"]


def test_every_model_states_its_grain(manifest: dict[str, Any]) -> None:
    silent = [node["name"] for node in models(manifest) if not node["description"].startswith("One row per ")]
    assert not silent


def test_every_column_that_is_listed_is_described(manifest: dict[str, Any]) -> None:
    silent = [
        f"{node['name']}.{column}"
        for node in models(manifest)
        for column, entry in node["columns"].items()
        if not entry["description"].strip()
    ]
    assert not silent


# Its columns are the catalog's meters, which no file of the project can name.
WITHOUT_CONTRACT = {"daily_snapshot"}


def test_marts_enforce_a_contract_with_every_type(manifest: dict[str, Any]) -> None:
    for node in models(manifest):
        if layer(node) in ("marts", "actions") and not is_ephemeral(node):
            assert node["config"]["contract"]["enforced"] == (node["name"] not in WITHOUT_CONTRACT), node[
                "name"
            ]
            assert all(column["data_type"] for column in node["columns"].values()), node["name"]


@pytest.mark.parametrize("kinds", [("unique", "unique_grain")])
def test_every_key_is_tested(manifest: dict[str, Any], kinds: tuple[str, ...]) -> None:
    tested = {
        node["attached_node"]
        for node in manifest["nodes"].values()
        if node["resource_type"] == "test" and (node.get("test_metadata") or {}).get("name") in kinds
    }
    untested = [
        node["name"]
        for node in models(manifest)
        if node["unique_id"] not in tested and not is_ephemeral(node)
    ]
    assert not [name for name in untested if not name.startswith("int_")]


def test_what_is_computed_on_demand_is_no_part_of_a_build(manifest: dict[str, Any]) -> None:
    on_demand = {node["name"] for node in models(manifest) if "on_demand" in node["tags"]}
    assert on_demand == {node["name"] for node in models(manifest) if layer(node) == "proof"}
    assert {"line_proofs", "line_windows", "line_events"} <= on_demand


def test_contract_marts_exist(manifest: dict[str, Any]) -> None:
    promised = {
        "customers", "plans", "meters", "subscriptions", "daily_usage", "monthly_usage", "overages", "invoice_lines",
        "invoices", "credit_notes", "credit_note_lines", "cost_per_request", "unbilled_usage", "ingest_batches", "rejected_events", "plan_comparisons", "customer_margins",
        "usage_projections", "budget_alerts", "stripe_invoice_items", "tie_out", "daily_snapshot", "recommendations",
    }  # fmt: skip
    assert promised <= {node["name"] for node in models(manifest) if layer(node) in ("marts", "actions")}


def test_models_lie_with_their_source_and_are_described_beside_their_sql(manifest: dict[str, Any]) -> None:
    for node in models(manifest):
        folder = Path(node["original_file_path"]).parent
        if layer(node) == "staging":
            assert node["name"].startswith(f"stg_{folder.name}__"), node["name"]
        assert Path(node["patch_path"].split("://")[1]).parent == folder, node["name"]


# What is read to understand a model, and how many of them may be longer than one reading.
MOST_LINES = 150
MANY_LINES = 100
LONG_ONES = 0.10

IMPORT_CTE = r"\w+ as \(\s*select \* from \{\{ ref\([^)]*\) \}\}\s*\)"


def without_comments(sql: str) -> str:
    return re.sub(r"\{#.*?#\}|/\*.*?\*/|--[^\n]*", "", sql, flags=re.DOTALL)


def lines_of(sql: str) -> int:
    """Lines of a model that say something: no blank ones, comments or CTEs that only name what is read."""
    sql = re.sub(rf"(?:\bwith )?{IMPORT_CTE},?", "", without_comments(sql))
    return sum(bool(line.strip()) for line in sql.splitlines())


def test_what_counts_as_a_line() -> None:
    imported = "with meters as (\n\n    select * from {{ ref('stg_meters') }}\n\n),\n\n"
    kept = "final as (\n\n    -- all\n    select meter_id\n    from meters {# of today #}\n\n)\n\nselect * from final\n"
    assert lines_of(imported + kept) == 5
    assert (
        lines_of("{#- Long\n    words. -#}\n\nwith plans as (select * from {{ ref('plans') }})\n\nselect 1\n")
        == 1
    )
    filtered = imported.replace("\n\n)", "\n    where is_level\n\n)")
    assert lines_of(filtered + kept) == 9


def test_models_are_short(manifest: dict[str, Any]) -> None:
    lines = {node["name"]: lines_of(node["raw_code"]) for node in models(manifest)}
    longest = {name: count for name, count in lines.items() if count > MOST_LINES}
    assert not longest, f"say one thing per model, the pieces ephemeral: {longest}"
    long = {name: count for name, count in lines.items() if count > MANY_LINES}
    assert len(long) <= LONG_ONES * len(lines), f"{len(long)} of {len(lines)} models: {long}"


# Each is statements, a contract, a check and an entry of Dagster's history.
MOST_EXECUTED = 170


def test_a_build_does_not_execute_more_and_more_models(manifest: dict[str, Any]) -> None:
    executed = [
        node for node in models(manifest) if not is_ephemeral(node) and "on_demand" not in node["tags"]
    ]
    assert 100 < len(executed) <= MOST_EXECUTED, "what one model reads alone can be ephemeral"


def test_a_piece_without_a_table_belongs_to_one_model(manifest: dict[str, Any]) -> None:
    reading, nodes = readers(manifest), manifest["nodes"]

    def readers_with_table(model: str) -> set[str]:
        found: set[str] = set()
        for reader in reading.get(model, set()):
            found |= readers_with_table(reader) if is_ephemeral(nodes[reader]) else {reader}
        return found

    shared = {
        node["name"]: sorted(readers_with_table(node["unique_id"]))
        for node in models(manifest)
        if is_ephemeral(node) and len(readers_with_table(node["unique_id"])) != 1
    }
    assert not shared, "these are computed once for each of their readers, or for none"


def test_what_has_no_table_has_no_data_tests_and_asks_nothing_about_one(manifest: dict[str, Any]) -> None:
    pieces = {node["unique_id"]: node for node in models(manifest) if is_ephemeral(node)}
    tested = {
        pieces[parent]["name"]
        for node in manifest["nodes"].values()
        if node["resource_type"] == "test"
        for parent in node["depends_on"]["nodes"]
        if parent in pieces
    }
    assert not tested, "a check would compute them again; check what reads them"
    # To these macros a model without a table is one that is built from nothing.
    incremental = re.compile(
        r"\b(this|is_incremental|days_scope|coverage_scope|alert_scope|is_alert_\w+|where_uncovered)\b"
    )
    asking = {
        node["name"]: incremental.findall(without_comments(node["raw_code"])) for node in pieces.values()
    }
    assert not {name: words for name, words in asking.items() if words}


# What other engines write in another way, over models and macros.
CONSTRUCTS = {
    "hugeint": r"\bhugeint\b",
    "integer division": r"//",
    "shifts": r"<<|>>",
    "as varchar": r"\bas varchar\b",
    "timestamp with time zone": r"\btimestamp with time zone\b",
    "(a, b) in (select (c, d))": r"\bin\s*\(\s*select \(",
    "date - date": r"(?:_date|_day|_on|_start|_end|_today)\)? - (?:\w+\.|min\(|max\()*\w+(?:_date|_day|_on|_start|_end|_today|_served)\b",
    "timezone()": r"\btimezone\(",
    "epoch_us()": r"\bepoch_us\(",
    "unnest in an expression": r"\bunnest\(",
    "ordered aggregate": r"\b(?:string_agg|list|array_agg)\((?:[^()]|\((?:[^()]|\((?:[^()]|\([^()]*\))*\))*\))*?\border by\b",
    "arg_max, min_by and max_by": r"\b(?:arg_max|arg_min|min_by|max_by)\(",
    "filter ... over": r"\bfilter \(where (?:[^()]|\([^()]*\))*\)\s*over\b",
    "trunc()": r"\btrunc\(",
    "format()": r"\bformat\(",
    "to_json()": r"\bto_json\(",
    "json_group_object()": r"\bjson_group_object\(",
    "group by all": r"\bgroup by all\b",
    "select * exclude": r"\* exclude\b",
    "read_parquet()": r"\bread_parquet\(",
    "read_files()": r"\bread_files\(",
    "glob()": r"\bglob\(",
    "incremental": r"materialized='incremental'",
}
TODAY: dict[str, int] = {
    "hugeint": 31,
    "integer division": 26,
    "shifts": 4,
    "as varchar": 67,
    "timestamp with time zone": 26,
    "(a, b) in (select (c, d))": 9,
    "date - date": 10,
    "timezone()": 3,
    "epoch_us()": 4,
    "unnest in an expression": 15,
    "ordered aggregate": 29,
    "arg_max, min_by and max_by": 28,
    "filter ... over": 2,
    "trunc()": 6,
    "format()": 4,
    "to_json()": 2,
    "json_group_object()": 1,
    "group by all": 11,
    "select * exclude": 0,
    "read_parquet()": 1,
    "read_files()": 16,
    "glob()": 0,
    "incremental": 35,
}


def constructs_in(sql: str) -> Counter[str]:
    sql = without_comments(sql)
    return Counter({name: len(re.findall(pattern, sql)) for name, pattern in CONSTRUCTS.items()})


def test_what_only_duckdb_understands_does_not_spread() -> None:
    found: Counter[str] = Counter()
    for folder in ("models", "macros"):
        for file in (PROJECT_DIR / folder).rglob("*.sql"):
            found.update(constructs_in(file.read_text(encoding="utf-8")))
    counts = {name: found[name] for name in CONSTRUCTS}
    rose = {name: (TODAY[name], count) for name, count in counts.items() if count > TODAY[name]}
    assert not rose, f"write these in a way that every engine knows, or behind a macro that is there: {rose}"
    assert counts == TODAY, "it fell: write today's number here, so that it does not rise again"


def test_what_an_engine_does_its_own_way_lies_in_its_folder() -> None:
    engines = {"default": "duckdb", "duckdb": "duckdb", "spark": "spark"}
    for file in (PROJECT_DIR / "macros").rglob("*.sql"):
        sql = file.read_text(encoding="utf-8")
        prefixes = {engines[prefix] for prefix in re.findall(rf"\bmacro ({'|'.join(engines)})__", sql)}
        prefixes |= {engines[adapter] for adapter in re.findall(r'\bmaterialization .*adapter="(\w+)"', sql)}
        folder = file.relative_to(PROJECT_DIR / "macros").parts[0]
        assert prefixes <= {folder}, f"{file} belongs to macros/{' and '.join(prefixes)}/"


def test_the_terms_of_a_charge_are_named_once() -> None:
    terms = (PROJECT_DIR / "macros" / "rating" / "charge_models.sql").read_text(encoding="utf-8")
    named = re.findall(r'\{"column": "(\w+)", "count": "(\w+)"\}', terms)
    assert ("package_size", "package_size_count") in named
    # Others have a unit price, too, and a cost is multiplied where it is known.
    columns = {column for term in named for column in term} - {
        "unit_amount",
        "unit_count",
        "flat_amount",
        "flat_count",
    }
    columns -= {"multiplier_count"}
    for file in (PROJECT_DIR / "models").rglob("*.sql"):
        found = set(re.findall(r"\w+", without_comments(file.read_text(encoding="utf-8")))) & columns
        assert not found, f"{file.name} names {found}; charge_terms() is the list"


def test_the_catalog_and_sql_name_the_same_charge_models_and_terms() -> None:
    sql = (PROJECT_DIR / "macros" / "rating" / "charge_models.sql").read_text(encoding="utf-8")
    models = {
        get_args(model.model_fields["model"].annotation)[0]: model for model in get_args(get_args(Overage)[0])
    }
    for macro in ("overage_amount", "overage_text"):
        [body] = re.findall(rf"macro {macro}\(.*?endmacro", sql, flags=re.DOTALL)
        assert set(re.findall(r'^        "(\w+)": ', body, flags=re.MULTILINE)) == set(models), macro
    terms = {name for model in models.values() for name in model.model_fields}
    assert terms - {"model", "invoice_zero", "tiers"} == set(CHARGE_TERMS)
    assert tuple(re.findall(r'\{"column": "(\w+)"', sql)) == CHARGE_TERMS


def test_kinds_of_alert_are_documented(manifest: dict[str, Any]) -> None:
    page = (PROJECT_DIR.parent / "docs" / "alerts.md").read_text(encoding="utf-8")
    [table] = re.findall(r"\| kind \|.*?\n\n", page, flags=re.DOTALL)
    rows = [
        line.split("|")[1:3] for line in table.strip().splitlines() if "not in `budget_alerts`" not in line
    ]
    documented = {word for kinds, _ in rows for word in re.findall(r"`(\w+)`", kinds)}
    described = manifest["nodes"]["model.meterhouse.budget_alerts"]["columns"]["kind"]["description"]
    assert set(re.findall(r"\w+", described)) - {"or"} == documented
    written = {
        kind
        for folder in ("intermediate/alerts", "intermediate/projections", "actions")
        for file in (PROJECT_DIR / "models" / folder).glob("*.sql")
        for kind in re.findall(r"'(\w+)' as kind\b", file.read_text(encoding="utf-8"))
    }
    assert {"spike", "model_not_allowed"} <= written <= documented
