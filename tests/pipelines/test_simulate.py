"""Simulated usage: exact counts, equal bytes, every kind of trouble, files of the shape the home asks for."""

import csv
import gzip
import hashlib
import io
import json
import shutil
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from models.events import REJECT_REASONS
from pipelines.catalog import load_configuration
from pipelines.errors import ConfigurationError, MeterhouseError
from pipelines.home import Home
from pipelines.ingest import ingest_inbox
from pipelines.simulate import simulate_usage

PRODUCTS = Path(__file__).parents[2] / "data" / "products"
UNTIL = date(2026, 3, 1)
AS_OF = datetime(2026, 3, 1, 8, tzinfo=UTC)

METERS = """
meters:
  - {id: calls, name: Calls, unit: call, event_types: [call], aggregation: count}
  - {id: tokens, name: Tokens, unit: token, event_types: [llm_chat], aggregation: sum, field: total_tokens}
  - {id: pages, name: Pages, unit: page, event_types: [export], aggregation: sum, field: properties.pages,
     where: {resource: report}}
  - {id: disk, name: Disk, unit: GB, event_types: [disk], aggregation: latest, per: resource}
  - {id: people, name: People, unit: user, event_types: [call, llm_chat], aggregation: unique, field: user_id}
"""
PLANS = """
plans:
  - id: team
    name: Team
    rank: 1
    currency: USD
    price: "10"
    effective_from: 2024-01-01
    charges:
      - {meter: calls, included: "300", overage: {model: per_unit, unit_amount: "1"}}
      - {meter: tokens, included: "200000", overage: {model: per_unit, unit_amount: "0.001"}}
      - {meter: pages, included: "100", overage: {model: per_unit, unit_amount: "1"}}
      - {meter: disk, included: "10", overage: {model: per_unit, unit_amount: "1"}}
      - {meter: people, included: "5", overage: {model: per_unit, unit_amount: "1"}}
"""
CUSTOMERS = (
    'customer_id,name,timezone,inactive_from\nacme,"A, ""B""",Europe/Berlin,\nbirch,,,\nlost,,,2026-01-10\n'
)
SUBSCRIPTIONS = (
    "subscription_id,customer_id,plan_id,started_on\ns1,acme,team,2025-01-01\ns2,birch,team,2025-01-01\n"
    "s3,lost,team,2025-01-01\n"
)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "home").ensure()
    (home.catalog / "meters.yml").write_text(METERS)
    (home.catalog / "plans.yml").write_text(PLANS)
    (home.accounts / "customers.csv").write_text(CUSTOMERS)
    (home.accounts / "subscriptions.csv").write_text(SUBSCRIPTIONS)
    return home


def simulate(home: Home, events=3000, days=12, seed=1, until=UNTIL, **options) -> list[Path]:
    return simulate_usage(home, events=events, days=days, seed=seed, until=until, as_of=AS_OF, **options)


def content(path: Path) -> bytes:
    return gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()


def digests(home: Home) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in home.inbox.iterdir()}


def records(files: list[Path]) -> list[dict]:
    """What can be parsed; every record knows its file."""
    found = []
    for path in files:
        if ".csv" in path.name:
            rows = csv.DictReader(io.StringIO(content(path).decode("utf-8", "replace")))
            found += [
                {key: value for key, value in row.items() if value} | {"file": path.name} for row in rows
            ]
            continue
        for line in content(path).splitlines():
            try:
                record = json.loads(line)
            except ValueError:
                continue
            if isinstance(record, dict):
                found.append(record | {"file": path.name})
    return found


def instants(found: list[dict]) -> list[datetime]:
    parsed = []
    for record in found:
        try:
            moment = datetime.fromisoformat(record.get("occurred_at", ""))
        except ValueError:
            continue
        if moment.year < 2900:
            parsed.append(moment)
    return parsed


@pytest.mark.parametrize(("events", "days"), [(1, 1), (7, 30), (1000, 1), (1000, 12)])
def test_exactly_the_wanted_number_of_records_is_written_bad_ones_and_copies_included(
    home: Home, events, days
) -> None:
    files = simulate(home, events=events, days=days)

    assert sum(len(content(path).splitlines()) for path in files) == events


def test_same_arguments_give_same_bytes_and_another_seed_gives_others(home: Home, tmp_path: Path) -> None:
    other = Home(tmp_path / "other").ensure()
    for folder in ("catalog", "accounts"):
        shutil.copytree(home.root / folder, other.root / folder, dirs_exist_ok=True)
    first = simulate(home)
    simulate_usage(other, events=3000, days=12, seed=1, until=UNTIL, as_of=AS_OF + timedelta(days=400))

    assert digests(home) == digests(other)
    assert simulate(home) == first
    assert digests(home) == digests(other)
    second = simulate(home, seed=2)
    assert not {path.name for path in first} & {path.name for path in second}
    assert not {r.get("event_id", "") for r in records(first)} & {
        r.get("event_id") for r in records(second)
    } - {"x" * 256, None}


def test_no_file_is_replaced_when_the_home_changed(home: Home) -> None:
    simulate(home)
    before = digests(home)
    (home.accounts / "customers.csv").write_text(CUSTOMERS.replace("birch", "beech"))
    (home.accounts / "subscriptions.csv").write_text(SUBSCRIPTIONS.replace("birch", "beech"))

    with pytest.raises(MeterhouseError, match="other content"):
        simulate(home)

    assert digests(home) == before
    assert not [path for path in home.cache.iterdir() if path.name.startswith("simulate")]


def test_a_file_per_day_with_late_and_zipped_ones_among_them(home: Home) -> None:
    names = [path.name for path in simulate(home, days=40)]
    days = {(UNTIL - timedelta(days=back)).isoformat() for back in range(1, 41)}

    assert {name.split("_")[1] for name in names if "late" not in name} == days
    assert any("late" in name for name in names)
    assert any(name.endswith(".gz") for name in names)


def test_instants_lie_in_the_window_and_late_ones_arrive_within_30_days(home: Home) -> None:
    found = records(simulate(home, days=40))
    moments = instants(found)

    assert min(moments) >= datetime(2026, 1, 20, tzinfo=UTC)
    assert datetime(2026, 2, 28, tzinfo=UTC) <= max(moments) < datetime(2026, 3, 1, tzinfo=UTC)
    delays = [
        (date.fromisoformat(r["file"].split("_")[1]) - m.date()).days
        for r in found
        if "late" in r["file"]
        for m in instants([r])
    ]
    assert max(delays) > 7
    assert max(delays) <= 30


def test_copies_revisions_and_voids_occur_in_the_stated_shares(home: Home) -> None:
    found = records(simulate(home, events=20_000))
    by_identity: dict[tuple, list[dict]] = {}
    for record in found:
        by_identity.setdefault((record.get("event_id"), record.get("revision", 0)), []).append(record)
    pairs = [
        group
        for (event_id, _), group in by_identity.items()
        if event_id and event_id[0] == "e" and len(group) == 2
    ]

    def same(group: list[dict]) -> bool:
        one, other = ({key: value for key, value in r.items() if key != "file"} for r in group)
        return one == other

    copies = Counter(
        ("equal" if same(group) else "conflict", group[0]["file"] == group[1]["file"]) for group in pairs
    )
    assert copies["equal", True] == pytest.approx(100, abs=2)
    assert copies["equal", False] == pytest.approx(80, abs=2)
    assert copies["conflict", True] == pytest.approx(20, abs=2)

    originals = {r["event_id"]: r for r in found if r.get("revision", 0) == 0 and "event_id" in r}
    later = [r for r in found if str(r.get("revision", 0)) in "12" and r.get("is_void") is not True]
    voids = [r for r in found if r.get("is_void") is True]
    assert len([r for r in later if r["event_id"] in originals]) == pytest.approx(160, abs=8)
    assert len(voids) == pytest.approx(40, abs=2)
    pairs_of = [(r, originals[r["event_id"]]) for r in later if r["event_id"] in originals]
    assert any(new["occurred_at"][:10] != old["occurred_at"][:10] for new, old in pairs_of)
    assert any(new["customer_id"] != old["customer_id"] for new, old in pairs_of)
    assert any(new["quantity"] != old["quantity"] for new, old in pairs_of)


def test_every_reject_reason_has_records(home: Home) -> None:
    files = simulate(home, events=2000)
    found = records(files)
    lines = [line for path in files for line in content(path).splitlines()]

    for name in ("event_id", "customer_id", "event_type", "occurred_at"):
        assert any(name not in record for record in found), name
    for name in ("user_id", "resource", "provider", "model"):
        assert any(isinstance(record.get(name), dict) for record in found), name
    for name in ("quantity", "cost_usd", "input_tokens", "output_tokens", "cached_input_tokens", "revision"):
        assert any(str(record.get(name)) == "-40" for record in found), name
        assert any(record.get(name) in ("NaN", "several") for record in found), name
    assert any(record.get("is_void") == "perhaps" for record in found)
    assert any(record.get("properties") == "{broken" for record in found)
    assert any(len(str(record.get("event_id"))) == 256 for record in found)
    assert any(str(record.get("occurred_at")).startswith("2999") for record in found)
    assert any(b"\xff\xfe" in line for line in lines)
    assert any(line.startswith(b"[") for line in lines)
    assert any(line.startswith(b"{") and not line.endswith(b"}") for line in lines)
    assert "conflicting_duplicate" in REJECT_REASONS  # its records: the test of copies


def test_filters_fields_readings_and_strangers_appear(home: Home) -> None:
    found = records(simulate(home, events=10_000))
    kinds = {record.get("event_type") for record in found if isinstance(record.get("event_type"), str)}
    customers = {record.get("customer_id") for record in found if isinstance(record.get("customer_id"), str)}
    reports = [r for r in found if r.get("event_type") == "export" and r.get("resource") == "report"]

    assert {"call", "llm_chat", "export", "disk"} < kinds
    assert len(kinds - {"call", "llm_chat", "export", "disk"}) >= 2
    assert len(customers - {"acme", "birch", "lost"}) >= 2
    assert any(r.get("customer_id") == "lost" for r in found)
    assert any("pages" in r["properties"] for r in reports if isinstance(r.get("properties"), dict))
    assert any(r.get("event_type") == "export" and r.get("resource") != "report" for r in found)
    assert any(r.get("input_tokens") for r in found if r.get("event_type") == "llm_chat")
    readings = [
        r
        for r in found
        if r.get("event_type") == "disk" and r.get("customer_id") == "acme" and "resource" in r
    ]
    first = [r for r in readings if str(r["resource"]) == "disk-1" and str(r["quantity"])[0].isdigit()]
    first.sort(key=lambda record: str(record.get("occurred_at")))
    assert float(first[-1]["quantity"]) > 1.2 * float(first[0]["quantity"])


def test_some_customers_pass_their_allowance_and_some_stay_far_below(home: Home) -> None:
    found = records(simulate(home, events=2500, days=30))
    calls = Counter(str(r.get("customer_id")) for r in found if r.get("event_type") == "call")

    assert calls["acme"] > 300
    assert 0 < calls["birch"] < 100


def test_foreign_shape_is_the_inverse_of_its_mapping(home: Home) -> None:
    (home.catalog / "sources.yml").write_text(
        'sources:\n  - {name: raw, files: "raw*.csv", timezone: UTC, event_id: id,\n'
        "     fields: {customer_id: org, event_type: kind, occurred_at: at, model: meta.llm,\n"
        "              properties: meta},\n"
        '     units: {input_tokens: {field: kilo_in, factor: "1000"}}}\n'
    )
    files = simulate(home, events=2000)
    found = records(files)
    chats = [r for r in found if r.get("kind") == "llm_chat"]

    assert len(found) == 2000
    assert {path.name.split("_")[0] for path in files} == {"raw"}
    assert all("T" not in r["at"] for r in chats if "at" in r)
    assert any(json.loads(r["meta"]).get("llm") for r in chats if r["meta"] != "{broken")
    assert any("." in r["kilo_in"] for r in chats)
    assert all("input_tokens" not in r and "provider" not in r for r in found)


def test_without_ids_of_their_own_records_are_never_copies(home: Home) -> None:
    (home.catalog / "sources.yml").write_text(
        'sources: [{name: raw, files: "raw*.jsonl", event_id: from_row}]\n'
    )
    files = simulate(home, events=2000)
    lines = [line for path in files for line in content(path).splitlines()]

    assert len(lines) == 2000
    assert not any("event_id" in record or record.get("is_void") is True for record in records(files))
    assert len(set(lines) - {b'["not", "an", "object"]'}) == len(lines) - lines.count(
        b'["not", "an", "object"]'
    )


@pytest.mark.parametrize(
    "product",
    ["ai_pair_orchestrator", "coachos", "crm_usage_billing", "granted_ai", "mortgage_match_pro"],
)
def test_every_product_gets_files_of_its_source_with_all_its_event_types(
    tmp_path: Path, product: str
) -> None:
    home = Home(tmp_path).ensure()
    shutil.copytree(PRODUCTS / product, home.root, dirs_exist_ok=True)
    configuration = load_configuration(home)
    files = simulate(home, events=2000, days=10)
    lines = "\n".join(content(path).decode("utf-8", "replace") for path in files)

    assert configuration.sources is not None
    assert all(configuration.sources.source_for(path.name) for path in files)
    for meter in configuration.catalog.meters:
        for event_type in meter.event_types:
            assert event_type in lines
        for value in meter.where.values():
            assert value in lines
    rows = sum(len(content(path).splitlines()) - (".csv" in path.name) for path in files)
    assert rows == 2000


# Event types that a model does, of the products whose documents have a place for one.
WITH_MODELS = {
    "ai_pair_orchestrator": {"ai_content_generation"},
    "granted_ai": {"generation", "summarization", "extraction", "chat", "embedding"},
    "mortgage_match_pro": {"ai_call", "ai_token"},
    "crm_usage_billing": set(),
    "coachos": set(),
}


@pytest.mark.parametrize("product", WITH_MODELS)
def test_what_is_written_in_the_shape_of_a_document_feeds_its_meters(tmp_path: Path, product: str) -> None:
    home = Home(tmp_path).ensure()
    shutil.copytree(PRODUCTS / product, home.root, dirs_exist_ok=True)
    configuration = load_configuration(home)
    simulate(home, events=2000, days=10)
    report = ingest_inbox(home, configuration.sources, AS_OF)
    assert report.accepted_count > 1900
    events = pl.read_parquet(home.lake / "events/*/*.parquet", hive_partitioning=False)
    for meter in configuration.catalog.meters:
        feeding = events.filter(
            pl.col("event_type").is_in(meter.event_types),
            *(pl.col(name) == value for name, value in meter.where.items()),
        )
        names = ("input_tokens", "output_tokens") if meter.field == "total_tokens" else (meter.field,)
        assert feeding.height, meter.id
        assert feeding.select(pl.any_horizontal(pl.col(names).is_not_null()).all()).item(), meter.id
    named = events.filter(pl.col("model").is_not_null())
    assert set(named["event_type"]) == WITH_MODELS[product]
    assert named.height == events["event_type"].is_in(WITH_MODELS[product]).sum()


def test_one_column_says_quantity_and_tokens_where_the_document_has_but_one(tmp_path: Path) -> None:
    home = Home(tmp_path).ensure()
    shutil.copytree(PRODUCTS / "crm_usage_billing", home.root, dirs_exist_ok=True)
    found = records(simulate(home, events=2000, days=10))
    chats = [r for r in found if r.get("event_type") == "ai_generation" and str(r["quantity"]).isdigit()]
    others = [r for r in found if r.get("event_type") in ("api_call", "storage")]

    assert {r["unit"] for r in chats} == {"tokens"}
    assert len({r["quantity"] for r in chats}) > 100
    assert not any("unit" in r for r in others)
    assert not any("input_tokens" in r or "output_tokens" in r for r in found)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"events": 0}, "--events"),
        ({"days": 0}, "--days"),
        ({"until": UNTIL + timedelta(days=1)}, "has not begun"),
    ],
)
def test_arguments_out_of_range_write_nothing(home: Home, options: dict, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        simulate(home, **options)

    assert not list(home.inbox.iterdir())


def test_a_sources_document_without_room_for_files_says_so(home: Home) -> None:
    (home.catalog / "sources.yml").write_text('sources: [{name: all, files: "*[a-z]"}]\n')

    with pytest.raises(ConfigurationError, match="no source takes files"):
        simulate(home)


def test_progress_ends_at_the_total(home: Home) -> None:
    seen: list[tuple[int, int]] = []
    simulate(home, events=1000, days=5, on_progress=lambda done, total: seen.append((done, total)))

    assert seen[-1] == (1000, 1000)
    assert len(seen) == 5
