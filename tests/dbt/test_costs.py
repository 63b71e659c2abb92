"""Provider cost of events: which price counts, what has none, and that the sums are exact."""

import random
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest
from genai_prices import Usage
from genai_prices.data_snapshot import get_snapshot
from rating_lake import RatingHome

from pipelines.costs import current_version, refresh_prices, resolve_new_names
from pipelines.home import Home

# dbt leaves its log files open.
pytestmark = pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning"
)

AZURE = Path(__file__).parents[3] / "shared/data/azure_llm_2023.parquet"
SELECT = "+cost_per_request_monthly +unpriced_usage"
DAY = "2026-11-01"
RANDOM_EVENTS = 10_000


def event(**fields: Any) -> dict[str, Any]:
    """A request of gpt-4o (2.50 and 10 USD per million tokens, 1.25 cached) with a million input tokens."""
    base = {
        "customer_id": "c", "event_type": "chat", "occurred_at": f"{DAY}T12:00:00Z", "provider": "openai",
        "model": "gpt-4o", "input_tokens": 1_000_000, "output_tokens": 0,
    }  # fmt: skip
    return base | fields


def price(unit: str, amount: str, **fields: str) -> dict[str, Any]:
    return {"unit": unit, "usd_per_unit": amount, **fields}


# Each is for a provider or event type of its own, so that the cases below do not meet.
HOME_PRICES = [
    price("input_token", "0.000007", provider="own"),
    price("quantity", "0.25", event_type="page"),
    price("quantity", "99999999999999999999", event_type="dear"),
    price("input_token", "0.000001", provider="mill"),
    price("input_token", "0.000002", event_type="milling"),
    price("input_token", "0.000003", provider="mill", event_type="milling"),
    price("input_token", "0.000004", model="millstone"),
    price("request", "100", provider="mill"),
    price("input_token", "1", event_type="dated", valid_from="2026-10-30", valid_to="2026-11-01"),
]
NOTHING = {"provider": None, "model": None, "input_tokens": None, "output_tokens": None}
GEMINI = {"provider": "google", "model": "gemini-2.5-pro"}
EMBEDDING = {"model": "text-embedding-3-small"}
SONAR = {"provider": "perplexity", "model": "sonar"}
DEEPSEEK = {"provider": "deepseek", "model": "deepseek-chat"}
MILL = {"provider": "mill", "model": "millstone", "event_type": "milling"}
O3 = {"model": "o3"}
BATCH = {"properties": '{"batch": true}'}

# Rule -> events with what each costs and why.
CASES: dict[str, list[tuple[dict[str, Any], str | None, str]]] = {
    "a cost is the sender's, else by home price, else by the public list": [
        (event(cost_usd="0.5"), "0.5", "sender"),
        (event(cost_usd="0"), "0", "sender"),
        (event(cost_usd="0.5", provider="own"), "0.5", "sender"),
        (event(provider="own", model="mine"), "7", "home_price"),
        (event(provider="own", model="gpt-4o"), "7", "home_price"),
        (event(), "2.5", "public_price"),
        (event(model="nobody-knows"), None, "unknown_model"),
        (event(provider="nobody"), None, "unknown_model"),
        (event(provider=None), "2.5", "public_price"),
    ],
    "cached tokens cost their price, or that of input, and never exceed input": [
        (event(cached_input_tokens=400_000), "2", "public_price"),
        (event(cached_input_tokens=1_000_000), "1.25", "public_price"),
        (event(cached_input_tokens=1_000_001), None, "cached_above_input"),
        (event(input_tokens=None, cached_input_tokens=1), None, "cached_above_input"),
        (event(model="gpt-4", cached_input_tokens=400_000), "30", "public_price"),  # no price for cached ones
        (event(model="gpt-4", cached_input_tokens=1_000_001), None, "cached_above_input"),
    ],
    "a context tier is a cliff strictly above its start": [
        (event(**GEMINI, input_tokens=200_000), "0.25", "public_price"),
        (event(**GEMINI, input_tokens=200_001), "0.5000025", "public_price"),
    ],
    "a fee per request is added once": [
        (event(**SONAR), "1.012", "public_price"),
        (event(**SONAR, output_tokens=1_000_000), "2.012", "public_price"),
    ],
    "what has no price is never costed 0": [
        (event(input_tokens=None, output_tokens=None), None, "missing_tokens"),
        (event(input_tokens=0), "0", "public_price"),  # a price, and nothing used
        (event(**EMBEDDING, output_tokens=None), "0.02", "public_price"),
        (event(**EMBEDDING, output_tokens=1), None, "missing_price"),
        (event(**NOTHING), None, "none"),
        (event(**NOTHING | {"input_tokens": 1}), None, "unknown_model"),
    ],
    "a price per unit of quantity takes no notice of tokens": [
        (event(**NOTHING | {"event_type": "page", "quantity": "2.5"}), "0.625", "home_price"),
        (event(event_type="page", quantity="2.5"), "0.625", "home_price"),
    ],
    "the closest home price counts, for each unit": [
        (event(**MILL), "104", "home_price"),
        (event(**MILL | {"model": "m"}), "103", "home_price"),
        (event(**MILL | {"model": "m", "provider": "x"}), "2", "home_price"),
        (event(**MILL | {"model": "m", "event_type": "e"}), "101", "home_price"),
        (event(**MILL, output_tokens=1), None, "missing_price"),
    ],
    "a home price without one for output does not borrow it from the public list": [
        (event(provider="own", output_tokens=1), None, "missing_price"),
    ],
    "home prices hold on their UTC days, the last one excluded": [
        (event(event_type="dated", occurred_at="2026-10-29T23:59:59Z"), "2.5", "public_price"),
        (event(event_type="dated", occurred_at="2026-10-30T00:00:00Z"), "1000000", "home_price"),
        (event(event_type="dated", occurred_at="2026-10-31T23:59:59Z"), "1000000", "home_price"),
        (event(event_type="dated", occurred_at="2026-11-01T00:00:00Z"), "2.5", "public_price"),
    ],
    "batch requests cost the batch price where the list has one": [
        (event(**BATCH), "1.25", "public_price"),
        (event(properties='{"processing": "batch"}'), "1.25", "public_price"),
        (event(properties='{"batch": false}'), "2.5", "public_price"),
        (event(properties='{"note": "a batch of letters"}'), "2.5", "public_price"),
        (event(**BATCH, occurred_at="2026-10-13T23:00:00Z"), "2.5", "public_price"),  # before the first one
        (event(**BATCH, provider="azure"), "2.5", "public_price"),  # openai's model by another interface
    ],
    "prices follow the time of day": [
        (event(**DEEPSEEK, occurred_at=f"{DAY}T00:29:59.999999Z"), "0.135", "public_price"),
        (event(**DEEPSEEK, occurred_at=f"{DAY}T00:30:00Z"), "0.27", "public_price"),
        (event(**DEEPSEEK, occurred_at=f"{DAY}T16:29:59.999999Z"), "0.27", "public_price"),
        (event(**DEEPSEEK, occurred_at=f"{DAY}T16:30:00Z"), "0.135", "public_price"),
    ],
    "dated prices begin with their UTC day": [
        (event(**O3, occurred_at="2025-06-09T23:59:59.999999Z"), "10", "public_price"),
        (event(**O3, occurred_at="2025-06-10T00:00:00Z"), "2", "public_price"),
    ],
    "a cost beyond its type is listed and stops nothing": [
        (event(event_type="dear", quantity="999999999999999.999999"), None, "beyond_range"),
    ],
}


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for what dbt parses: the second home finds it done."""
    return tmp_path_factory.mktemp("target")


@pytest.fixture
def home(tmp_path: Path, target: Path) -> RatingHome:
    return make_home(tmp_path, target)


def make_home(root: Path, target: Path) -> RatingHome:
    """A home with the public list, one customer and no meters."""
    (root / "target").symlink_to(target)
    made = RatingHome(root, as_of="2026-11-02T00:00:00+00:00")
    made.versions["prices"] = current_version()
    refresh_prices(Home(root), datetime(2026, 11, 2, tzinfo=UTC))
    made.documents("catalog", {})
    made.documents("accounts", {"customers": [{"customer_id": "c"}]})
    return made


def build(home: RatingHome, select: str = SELECT) -> None:
    """As a run would: names first."""
    resolve_new_names(Home(home.root))
    home.build(select=select)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, target: Path) -> RatingHome:
    """One build with the events of all cases, of every listed model, and random ones. Each has a customer of
    its own, so that no sum hides it."""
    home = make_home(tmp_path_factory.mktemp("costs"), target)
    home.documents("catalog", {"prices": HOME_PRICES})
    home.batch(
        dict(entry, customer_id=f"{rule}/{number}")
        for rule, entries in CASES.items()
        for number, (entry, _, _) in enumerate(entries)
    )
    home.batch(
        event(customer_id="every model", provider=provider.id, model=model.id)
        for provider in get_snapshot().providers
        for model in provider.models
    )
    home.batch(
        dict(entry, customer_id=f"random/{number:05}")
        for number, entry in enumerate(random_events(RANDOM_EVENTS))
    )
    build(home)
    return home


@pytest.mark.parametrize("rule", CASES)
def test_rule(built: RatingHome, rule: str) -> None:
    rows = built.query(
        "select customer_id, cost_usd, coalesce(unpriced_reason, cost_source) as source "
        "from int_daily_activity "
        "where customer_id not like 'random/%' and customer_id != 'every model'"
    )
    found = {row["customer_id"]: (row["cost_usd"], row["source"]) for row in rows}
    expected = {
        f"{rule}/{number}": (None if cost is None else Decimal(cost), source)
        for number, (_, cost, source) in enumerate(CASES[rule])
    }
    assert {key: found[key] for key in expected} == expected


def test_prices_outside_the_days_that_the_list_knows_are_marked(built: RatingHome) -> None:
    rows = built.query(
        "select customer_id, cost_usd, assumed_cost_usd from cost_per_request "
        "where customer_id like 'dated prices%' or customer_id like 'batch requests%' order by customer_id"
    )
    assumed = [row["assumed_cost_usd"] for row in rows]
    dated_batch, before_batch, by_azure = rows[0], rows[4], rows[5]
    assert dated_batch["assumed_cost_usd"] is None
    assert before_batch["assumed_cost_usd"] == before_batch["cost_usd"]
    assert by_azure["assumed_cost_usd"] == by_azure["cost_usd"]
    assert assumed[-2:] == [Decimal(10), None], "the list dates o3's second price only"


def test_unpriced_usage_lists_what_names_a_model_or_tokens(built: RatingHome) -> None:
    rows = built.query(
        "select customer_id, reason, event_count, input_tokens from unpriced_usage "
        "where customer_id like 'what has no price%' order by customer_id"
    )
    assert [tuple(row.values()) for row in rows] == [
        ("what has no price is never costed 0/0", "missing_tokens", 1, 0),
        ("what has no price is never costed 0/3", "missing_price", 1, 1_000_000),
        ("what has no price is never costed 0/5", "unknown_model", 1, 1),
    ]


def test_one_price_at_most_applies_to_an_event(built: RatingHome) -> None:
    """An event with two prices would be counted twice. Every listed model was tried."""
    overlaps = built.query("""
        select one.provider, one.model from int_event_prices as one
        inner join int_event_prices as other
            on one.provider is not distinct from other.provider and one.model is not distinct from other.model
            and one.event_type = other.event_type and one.is_batch = other.is_batch
            and one.price_number < other.price_number
            and one.valid_from < other.valid_to and other.valid_from < one.valid_to
            and one.day_from < other.day_to and other.day_from < one.day_to
            and one.input_tokens_above < other.input_tokens_up_to
            and other.input_tokens_above < one.input_tokens_up_to
    """)
    assert not overlaps
    (counted,) = built.query(
        "select sum(event_count) as events from int_daily_activity where customer_id = 'every model'"
    )
    assert counted["events"] == sum(len(provider.models) for provider in get_snapshot().providers)


def test_ten_thousand_random_events_cost_what_the_library_says(built: RatingHome) -> None:
    events = list(random_events(RANDOM_EVENTS))
    rows = built.query(
        "select cost_usd from int_daily_activity where customer_id like 'random/%' order by customer_id"
    )
    assert len(rows) == len(events)
    unlike = []
    for entry, row in zip(events, rows, strict=True):
        cost, (wanted, is_rounded) = row["cost_usd"], library_cost(entry)
        tolerance = Decimal("1e-9") if is_rounded else Decimal(0)
        if (cost is None) != (wanted is None) or (cost is not None and abs(cost - wanted) > tolerance):
            unlike.append((entry, cost, wanted))
    assert not unlike
    priced = sum(row["cost_usd"] is not None for row in rows)
    assert priced > RANDOM_EVENTS * 3 // 4, "most models are priced by token"


def test_nothing_is_rounded_before_it_is_summed(home: RatingHome) -> None:
    """Events of 4 * 10^-13 USD would be 0 if each were rounded to 12 digits."""
    home.documents("catalog", {"prices": [price("quantity", "0.000000000000000001", event_type="tick")]})
    home.batch([event(event_type="tick", quantity="400000")] * 3)
    build(home)
    assert home.query("select cost_usd from cost_per_request") == [{"cost_usd": Decimal("0.000000000001")}]


def test_a_build_that_knows_no_price_list_costs_nothing_and_fails_nothing(home: RatingHome) -> None:
    del home.versions["prices"]
    home.batch([event(), event(cost_usd="1")])
    home.build(select=SELECT)
    (row,) = home.query(
        "select cost_usd, request_count, unpriced_request_count, cost_per_request_usd from cost_per_request"
    )
    assert row == {
        "cost_usd": Decimal(1), "request_count": 2, "unpriced_request_count": 1,
        "cost_per_request_usd": Decimal("0.5"),
    }  # fmt: skip


def test_past_costs_change_with_prices_and_with_nothing_else(home: RatingHome) -> None:
    home.batch([event()])
    build(home)
    home.batch([event(occurred_at="2026-11-02T00:00:00Z")])
    build(home)
    assert home.query("select days_scope from int_build_scope") == [{"days_scope": "touched"}]
    home.documents("catalog", {"prices": [price("input_token", "1", model="gpt-4o")]})
    build(home)
    assert home.query("select days_scope from int_build_scope") == [{"days_scope": "all"}]
    assert home.query("select cost_usd from cost_per_request") == [{"cost_usd": Decimal(1_000_000)}] * 2
    assert home.query("select cost_usd, cost_per_request_usd from cost_per_request_monthly") == [
        {"cost_usd": Decimal(2_000_000), "cost_per_request_usd": Decimal(1_000_000)}
    ]


def test_a_real_trace_costs_exactly_what_its_tokens_do(home: RatingHome) -> None:
    if not AZURE.exists():
        pytest.skip(f"no trace at {AZURE}")
    with duckdb.connect() as connection:
        rows = connection.execute(
            "select strftime(ts, '%Y-%m-%dT%H:%M:%S.%fZ'), context_tokens, generated_tokens "
            "from read_parquet(?)",
            [str(AZURE)],
        ).fetchall()
    assert len(rows) == 28_185
    for model in ("gpt-4", "gpt-3.5-turbo"):
        home.batch(
            event(model=model, occurred_at=instant, input_tokens=given, output_tokens=made)
            for instant, given, made in rows
        )
    build(home)
    found = home.query("select model, cost_usd, request_count from cost_per_request_monthly order by model")
    assert found == [
        {"model": "gpt-3.5-turbo", "cost_usd": Decimal("26.7127635"), "request_count": 28_185},
        {"model": "gpt-4", "cost_usd": Decimal("1472.728980"), "request_count": 28_185},
    ]


def test_margins_by_month_with_rates_of_the_cycles_last_day(home: RatingHome) -> None:
    """Each customer pays 100 for October and uses 2.50 USD of gpt-4o in it."""
    currencies = ("USD", "EUR", "JPY", "KWD")
    home.documents(
        "catalog",
        {
            "plans": [{"plan_id": code, "currency": code, "price": "100"} for code in currencies],
            "fx_rates": [
                {"rate_date": "2026-09-01", "base": "EUR", "quote": "USD", "rate": "1.1"},
                {"rate_date": "2026-10-31", "base": "EUR", "quote": "USD", "rate": "1.2"},
                {"rate_date": "2026-11-01", "base": "EUR", "quote": "USD", "rate": "9"},
                {"rate_date": "2026-01-01", "base": "USD", "quote": "JPY", "rate": "150"},
            ],
        },
    )
    home.documents(
        "accounts",
        {
            "customers": [{"customer_id": code} for code in currencies],
            "subscriptions": [
                {"subscription_id": code, "customer_id": code, "plan_id": code, "started_on": "2026-10-01",
                 "ended_on": "2026-11-01"}
                for code in currencies
            ],
        },
    )  # fmt: skip
    october = {"occurred_at": "2026-10-15T00:00:00Z"}
    home.batch(
        [event(customer_id=code, **october) for code in (*currencies, "stranger")]
        + [event(customer_id="USD", model="nobody-knows", **october)]
    )
    build(home, "+customer_margins")
    rows = home.query(
        "select customer_id, calendar_month, revenue_usd, cost_usd, margin_usd, margin_ratio, "
        "unpriced_event_count, has_open_cycle from customer_margins order by customer_id"
    )
    october_first = date(2026, 10, 1)
    assert [tuple(row.values()) for row in rows] == [
        ("EUR", october_first, Decimal(120), Decimal("2.5"), Decimal("117.5"), Decimal("0.979167"), 0, False),
        ("JPY", october_first, Decimal("0.666666666667"), Decimal("2.5"), Decimal("-1.833333333333"),
         Decimal("-2.750000"), 0, False),
        ("KWD", october_first, None, Decimal("2.5"), None, None, 0, False),
        ("USD", october_first, Decimal(100), Decimal("2.5"), Decimal("97.5"), Decimal("0.975000"), 1, False),
        ("stranger", october_first, Decimal(0), Decimal("2.5"), Decimal("-2.5"), None, 0, False),
    ]  # fmt: skip


def random_events(count: int) -> Iterator[dict[str, Any]]:
    """Requests of listed models; tokens around the tiers' edges as well; days around the changes."""
    draw = random.Random(20261101)
    models = [(provider.id, model.id) for provider in get_snapshot().providers for model in provider.models]
    for _ in range(count):
        provider, model = draw.choice(models)
        edges = [128_000, 200_000, 200_001, 272_001]
        given = draw.choice([draw.randint(0, 2_000), draw.randint(0, 400_000), *edges])
        instant = datetime(2025, 1, 1, tzinfo=UTC) + timedelta(seconds=draw.randint(0, 700 * 86_400))
        yield event(
            provider=provider,
            model=model,
            input_tokens=given,
            output_tokens=draw.choice([0, draw.randint(1, 50_000)]),
            cached_input_tokens=draw.choice([None, 0, draw.randint(0, given)]),
            occurred_at=instant.isoformat(),
            properties=draw.choice(["{}", '{"batch": true}']),
        )


def library_cost(entry: dict[str, Any]) -> tuple[Decimal | None, bool]:
    """What the library charges, and whether with a price of too many digits. None: it knows no such model, or
    has no price for some of the tokens and would take them for free."""
    try:
        provider, model = get_snapshot().find_provider_model(entry["model"], None, entry["provider"], None)
    except LookupError:
        return None, False
    instant = datetime.fromisoformat(entry["occurred_at"])
    context = {"processing": "batch"} if "batch" in entry["properties"] else None
    cached = entry["cached_input_tokens"] or 0
    given, made = entry["input_tokens"], entry["output_tokens"]
    usage = Usage(input_tokens=given, output_tokens=made, cache_read_tokens=cached)
    found = model.calc_price(usage, provider, genai_request_timestamp=instant, price_context=context)
    price = found.model_price
    listed = (price.input_mtok, price.output_mtok, price.requests_kcount)
    if listed == (None, None, None):
        return None, False
    if (made and price.output_mtok is None) or (given and price.input_mtok is None):
        return None, False
    digits = [value for value in (*listed, price.cache_read_mtok) if isinstance(value, Decimal)]
    return found.total_price, any(value != round(value, 9) for value in digits)
