"""Each rule of a recommendation with the smallest case that triggers it and the nearest one that does not, a customer
each, all in one build; evidence derived again from the marts; then decisions, other settings and a build from nothing."""

import json
import shutil
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from rating_lake import ACCOUNTS, RatingHome, connect, write_parquet

from pipelines.costs import current_version, refresh_prices, resolve_new_names
from pipelines.home import Home

# dbt leaves its log files open.
pytestmark = pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning"
)

SELECT = "+recommendations +invoices +overages +cost_per_request_monthly +model_comparisons"
OWN = "path:models/intermediate/recommendations recommendations plan_options model_comparisons"
AS_OF = "2024-07-01T12:00:00+00:00"
SUBSTITUTES = {
    "large": ["small", "cheap in"],
    "even": ["even too"],
    "dated": ["dated small"],
    "big": ["gemini-2.5-pro"],
    "lone": ["nobody knows it"],
}
SETTINGS: dict[str, Any] = {
    "spike": {"ratio": "2", "lookback_days": 7, "min_quantity": "10"},
    "recommendations": {
        "meters": None,
        "upgrade_above": "0.9",
        "downgrade_below": "0.3",
        "lookback_cycles": 3,
        "max_cost_per_request": "0.05",
    },
    "models": {"allowed": None, "fallback": None, "substitutes": SUBSTITUTES},
}
DECISIONS = "decision_number bigint, recommendation_id varchar, decision varchar, note varchar, decided_at timestamptz"


def per_unit(amount: str) -> dict[str, str]:
    return {"overage_model": "per_unit", "unit_amount": amount}


def units(included: str | None, **terms: Any) -> dict[str, Any]:
    return {"meter_id": "units", "included": included, **terms}


def pages(included: str) -> dict[str, Any]:
    return {"meter_id": "pages", "included": included, **per_unit("0.01")}


# Plans are compared within a currency: USD has soft limits, EUR hard ones.
LADDERS: dict[str, tuple[dict[str, Any], list[dict[str, Any]]]] = {
    "basic": ({"rank": 1, "price": "10"}, [units("100", **per_unit("0.5")), pages("100")]),
    "pro": (
        {"rank": 2, "price": "40", "features": '{"api": true}'},
        [units("1000", **per_unit("0.5")), pages("100")],
    ),
    "max": (
        {"rank": 3, "price": "100", "features": '{"api": true}'},
        [units("10000", **per_unit("0.5")), pages("1000")],
    ),
    "free": ({"rank": 1, "currency": "EUR"}, [units("10", limit="hard")]),
    "paid": ({"rank": 2, "currency": "EUR", "price": "5"}, [units("100", limit="hard")]),
    "top": ({"rank": 3, "currency": "EUR", "price": "20"}, [units(None)]),
}
PRICES = [
    *({"model": "large", "unit": unit, "usd_per_unit": usd} for unit, usd in (("input_token", "0.00001"), ("output_token", "0.00002"))),
    *({"model": "small", "unit": unit, "usd_per_unit": usd} for unit, usd in (("input_token", "0.000001"), ("output_token", "0.000002"))),
    *({"model": "cheap in", "unit": unit, "usd_per_unit": usd} for unit, usd in (("input_token", "0.0000005"), ("output_token", "0.00005"))),
    {"model": "even", "unit": "request", "usd_per_unit": "0.01"},
    {"model": "even too", "unit": "request", "usd_per_unit": "0.01"},
    {"model": "dated", "unit": "request", "usd_per_unit": "0.01"},
    {"model": "dated small", "unit": "request", "usd_per_unit": "0.001", "valid_to": "2024-06-15"},
    {"model": "dated small", "unit": "request", "usd_per_unit": "0.002", "valid_from": "2024-06-15"},
    {"model": "big", "unit": "input_token", "usd_per_unit": "0.00001"},
    {"model": "lone", "unit": "request", "usd_per_unit": "0.01"},
]  # fmt: skip
Found = tuple[str, str, str]


def event(day: str, quantity: str = "1", meter: str = "units", **fields: Any) -> dict[str, Any]:
    """On that day of 2024 at noon."""
    return {"event_type": meter, "occurred_at": f"2024-{day}T12:00:00Z", "quantity": quantity, **fields}


def months(*quantities: str | None, meter: str = "units") -> list[dict[str, Any]]:
    """That much in April, May and June."""
    return [
        event(f"{month:02}-10", quantity, meter)
        for month, quantity in enumerate(quantities, 4)
        if quantity is not None
    ]


def request(day: str, model: str = "m", *, count: int = 1, **fields: Any) -> list[dict[str, Any]]:
    return [event(day, meter="chat", provider="acme", model=model, **fields) for _ in range(count)]


@dataclass(frozen=True)
class Case:
    """found: (type, what it is about, savings), all of them; plan: one of LADDERS, or charges of a plan of its own."""

    name: str
    events: list[dict[str, Any]]
    found: list[Found] = field(default_factory=list)
    plan: str | dict[str, Any] | None = None
    subscription: dict[str, Any] = field(default_factory=dict)
    overrides: list[dict[str, Any]] = field(default_factory=list)
    customer: dict[str, Any] = field(default_factory=dict)


def upgrade(plan: str, saved: str = "0") -> list[Found]:
    return [("PLAN_UPGRADE", plan, saved)]


def downgrade(plan: str, saved: str) -> list[Found]:
    return [("PLAN_DOWNGRADE", plan, saved)]


def buy(quantity: str, saved: str) -> list[Found]:
    return [("CAPACITY", quantity, saved)]


def switch(substitute: str, saved: str) -> list[Found]:
    return [("MODEL_SWITCH", substitute, saved)]


def use_less(rule: str, saved: str) -> list[Found]:
    return [("USAGE_OPTIMIZATION", rule, saved)]


SOLD = {"capacity_unit_amount": "0.01", **per_unit("0.02")}
MEDIAN = {"plan": "shared by three"}

CASES = [
    # Plans: the ratio says when to speak, the cycles' real cost which plan and for how much.
    Case("just above the ratio", months("90", "90", "90.001"), upgrade("pro"), "basic"),
    Case("at the ratio", months("90", "90", "90"), [], "basic"),
    Case("an upgrade that saves", months("200", "200", "200"), upgrade("pro", "60"), "basic"),
    Case("an upgrade to the cheapest", months("2000", "2000", "2000"), upgrade("max", "2580"), "basic"),
    Case("another meter near its allowance", months("95", "95", "95", meter="pages"), upgrade("max"), "pro"),
    Case("nothing above", months("9999", "9999", "9999"), [], "max"),
    Case("just below the ratio", months("29", "30", "30", meter="pages"), downgrade("basic", "90"), "pro"),
    Case("at the lower ratio", months("30", "30", "30", meter="pages"), [], "pro"),
    Case("a downgrade that saves little", months("160", "160", "159.98"), downgrade("basic", "0.01"), "pro"),
    Case("a downgrade that saves nothing", months("160", "160", "160"), [], "pro"),
    Case("a feature that is used", [*months("1", "1", "1"), event("05-10", meter="api")], [], "pro"),
    Case("a feature used before", [*months("1", "1", "1"), event("03-31", meter="api")], downgrade("basic", "90"), "pro"),
    Case("at a hard limit", months("10", "10", "10"), upgrade("paid"), "free"),
    Case("beyond the next hard limit", months("10", "10", "101"), upgrade("top"), "free"),
    Case("below the lower hard limit", months("10", "10", "10"), downgrade("free", "15"), "paid"),
    Case("beyond the lower hard limit", months("10", "10", "11"), [], "paid"),
    Case("nothing to judge by", months("1", "1", "1"), [], "top"),
    # Only complete cycles that were served whole count.
    Case("the open cycle does not count", [*months("9", "9", "9"), event("07-01", "999")], [], "basic"),
    Case("one whole cycle is enough", months(None, "90", "95"), upgrade("pro"), "basic", {"started_on": "2024-05-16"}),
    Case("no whole cycle yet", months(None, None, "95"), [], "basic", {"started_on": "2024-06-02"}),
    Case("cycles before are over", [event("03-10", "999"), *months("80", "90", "90")], [], "basic"),
    Case("a subscription that goes on", months("95", "95", "95"), upgrade("pro"), "basic", {"ended_on": "2024-07-02"}),
    Case("a subscription that ended", months("95", "95", "95"), [], "basic", {"ended_on": "2024-07-01"}),
    # Allowance bought ahead, in KWD; plans of one rank are no upgrades.
    Case("cheaper bought", months("200", "200", "200"), buy("100", "3"), units("100", **SOLD)),
    Case("as dear bought", months("200", "200", "200"), [], units("100", **SOLD | {"capacity_unit_amount": "0.02"})),
    Case("part of it bought", months("150", "100", "300"), buy("50", "0.5"), units("100", **SOLD)),
    Case("needed too seldom", months("100", "100", "250"), [], units("100", **SOLD)),
    Case("paid in cycles without usage", months(None, None, "150"), [], units("100", **SOLD)),
    Case("not for sale", months("200", "200", "200"), [], units("100", **per_unit("0.02"))),
    Case("for sale for nothing", months("200", "200", "200"), buy("100", "6"), units("100", **SOLD | {"capacity_unit_amount": "0"})),
    Case("whole units", months("100.5", "100.5", "100.5"), buy("1", "0.27"), units("100", **SOLD | per_unit("0.2"))),
    Case("instead of packages", months("150", "150", "150"), buy("50", "13.5"),
         units("100", capacity_unit_amount="0.01", overage_model="package", package_size="100", package_amount="5")),
    Case("above what was bought before", months("200", "200", "200"), buy("50", "1.5"), units("100", **SOLD),
         overrides=[{"meter_id": "units", "included": "150"}]),
    Case("for every day", [event(day, "15") for day in ("04-03", "05-03", "05-04", "06-03")], buy("5", "8.5"),
         units("10", reset="day", capacity_unit_amount="0.1", **per_unit("0.5"))),
    Case("seats", months("8", "7", "7", meter="seats"), buy("2", "6"),
         {"meter_id": "seats", "included": "5", "capacity_unit_amount": "1", **per_unit("2")}),
    # The same tokens on another model.
    Case("a cheaper substitute", request("06-10", "large", input_tokens=1000, output_tokens=1000), switch("small", "0.027")),
    Case("cheaper for these tokens", request("06-10", "large", input_tokens=1000), switch("cheap in", "0.0095")),
    Case("no substitute", request("06-10", "small", input_tokens=1000)),
    Case("a substitute as dear", request("06-10", "even")),
    Case("a substitute without a price", request("06-10", "lone")),
    Case("the sender's own figure", request("06-10", "large", input_tokens=1000, cost_usd="0.0011"), switch("cheap in", "0.0006")),
    Case("the sender's figure is lower", request("06-10", "large", input_tokens=1000, cost_usd="0.0005")),
    Case("no tokens to price", request("06-10", "large", cost_usd="0.05")),
    Case("a model given up", request("05-31", "large", input_tokens=1000)),
    Case("the open month", request("07-01", "large", input_tokens=1000)),
    Case("three months", [*request("03-31", "large", input_tokens=1), *request("04-01", "large", input_tokens=1),
                          *request("06-30", "large", input_tokens=1)], switch("cheap in", "0.000019")),
    Case("each at its day's price", [*request("06-14", "dated"), *request("06-15", "dated")], switch("dated small", "0.017")),
    Case("each by its size, from whoever lists it",
         [*request("06-10", "big", input_tokens=200_000), *request("06-10", "big", input_tokens=200_001)],
         [*switch("gemini-2.5-pro", "3.2500075"), *use_less("cost_limit", "3.90001")]),
    Case("a local month", [{**request("06-30", "large", input_tokens=1000)[0], "occurred_at": "2024-07-01T03:59:59Z"}],
         switch("cheap in", "0.0095"), customer={"timezone": "America/New_York"}),
    Case("not active any more", request("06-10", "large", input_tokens=1000), customer={"inactive_from": "2024-07-01"}),
    # Cost per request over the limit.
    Case("above the limit", request("06-10", cost_usd="0.050000000001"), use_less("cost_limit", "0.000000000001")),
    Case("at the limit", request("06-10", cost_usd="0.05")),
    Case("one month above the limit", [*request("04-10", cost_usd="0.07"), *request("06-10", cost_usd="0.01")],
         use_less("cost_limit", "0.02")),
    Case("above it before the lookback", request("03-31", cost_usd="0.07")),
    Case("cost without a model", [event("06-10", meter="chat", provider="acme", cost_usd="5")]),
    # Against the customer's own past.
    Case("dearer than before", [*request("05-10", count=10, cost_usd="0.01"), *request("06-10", count=10, cost_usd="0.020000000001")],
         use_less("own_past", "0.10000000001")),
    Case("twice as dear as before", [*request("05-10", count=10, cost_usd="0.01"), *request("06-10", count=10, cost_usd="0.02")]),
    Case("too few requests", [*request("05-10", count=10, cost_usd="0.01"), *request("06-10", count=9, cost_usd="0.03")]),
    Case("too few requests before", [*request("05-10", count=9, cost_usd="0.01"), *request("06-10", count=10, cost_usd="0.03")]),
    Case("longer than before", [*request("05-10", count=10, cost_usd="0.01", input_tokens=60, output_tokens=40),
                                *request("06-10", count=10, cost_usd="0.011", input_tokens=160, output_tokens=41)],
         use_less("own_past", "0.01")),
    Case("twice as long as before", [*request("05-10", count=10, cost_usd="0.01", input_tokens=60, output_tokens=40),
                                     *request("06-10", count=10, cost_usd="0.011", input_tokens=160, output_tokens=40)]),
    Case("longer and no dearer", [*request("05-10", count=10, cost_usd="0.01", input_tokens=60),
                                  *request("06-10", count=10, cost_usd="0.01", input_tokens=160)]),
    # Against the median of the plan.
    Case("dearest of three", request("06-10", count=10, cost_usd="0.0201"), use_less("plan_median", "0.101"), **MEDIAN),
    Case("middle of three", request("06-10", count=10, cost_usd="0.01"), **MEDIAN),
    Case("cheapest of three", request("06-10", count=10, cost_usd="0.001"), **MEDIAN),
    Case("too small for the median", request("06-10", count=9, cost_usd="0.04"), **MEDIAN),
    Case("dearer of two", request("06-10", count=10, cost_usd="0.04"), plan="shared by two"),
    Case("cheaper of two", request("06-10", count=10, cost_usd="0.001"), plan="shared by two"),
]  # fmt: skip
NAMES = {case.name for case in CASES}


def documents(home: RatingHome, settings: dict[str, Any]) -> None:
    plans = [{"plan_id": plan_id, **terms} for plan_id, (terms, _) in LADDERS.items()]
    charges = [
        {"plan_id": plan_id, **charge} for plan_id, (_, listed) in LADDERS.items() for charge in listed
    ]
    plans += [{"plan_id": plan_id, "currency": "CLF"} for plan_id in ("shared by three", "shared by two")]
    plans += [{"plan_id": case.name, "currency": "KWD"} for case in CASES if isinstance(case.plan, dict)]
    charges += [{"plan_id": case.name, **case.plan} for case in CASES if isinstance(case.plan, dict)]
    home.documents(
        "catalog",
        {
            "meters": [
                {"meter_id": "units"},
                {"meter_id": "pages"},
                {"meter_id": "seats", "aggregation": "latest"},
                {"meter_id": "api", "billable": False},
            ],
            "meter_event_types": [
                {"meter_id": meter, "event_type": meter} for meter in ("units", "pages", "seats", "api")
            ],
            "meter_features": [{"meter_id": "api", "feature": "api"}],
            "plans": plans,
            "charges": charges,
            "prices": PRICES,
            "alert_settings": [{"key": key, "value": json.dumps(value)} for key, value in settings.items()],
        },
    )
    home.documents(
        "accounts",
        {
            "customers": [{"customer_id": case.name, **case.customer} for case in CASES],
            "subscriptions": [
                {
                    "subscription_id": f"sub {case.name}",
                    "customer_id": case.name,
                    "plan_id": case.plan if isinstance(case.plan, str) else case.name,
                    "started_on": "2024-01-01",
                    **case.subscription,
                }
                for case in CASES
                if case.plan is not None
            ],
            "overrides": [
                {"subscription_id": f"sub {case.name}", **override}
                for case in CASES
                for override in case.overrides
            ],
        },
    )


def build(home: RatingHome, **how: Any) -> None:
    resolve_new_names(Home(home.root), SUBSTITUTES)
    home.build(select=SELECT, **how)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> RatingHome:
    assert len(NAMES) == len(CASES)
    home = RatingHome(tmp_path_factory.mktemp("recommendations"), as_of=AS_OF)
    home.versions["prices"] = current_version()
    refresh_prices(Home(home.root), datetime.fromisoformat(AS_OF).astimezone(UTC))
    documents(home, SETTINGS)
    home.batch({"customer_id": case.name, **row} for case in CASES for row in case.events)
    build(home)
    home.build(command="test", select=OWN)
    return home


def about(row: dict[str, Any]) -> str:
    """What a recommendation proposes."""
    figures = json.loads(row["evidence"])["figures"]
    if row["type"] == "MODEL_SWITCH":
        return str(json.loads(row["evidence"])["rows"][0]["key"]["substitute"])
    return str(figures.get("other_plan_id") or figures.get("added_quantity") or row["rule"])


def by_customer(home: RatingHome) -> dict[str, list[tuple[str, str, Decimal]]]:
    rows: dict[str, list[tuple[str, str, Decimal]]] = {}
    for row in home.query("select * from recommendations order by recommendation_id"):
        rows.setdefault(row["customer_id"], []).append((row["type"], about(row), row["potential_savings"]))
    return rows


@pytest.fixture(scope="module")
def advice(found: RatingHome) -> dict[str, list[tuple[str, str, Decimal]]]:
    return by_customer(found)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_case(case: Case, advice: dict[str, list[tuple[str, str, Decimal]]]) -> None:
    expected = [(kind, what, Decimal(saved)) for kind, what, saved in case.found]
    assert sorted(advice.get(case.name, [])) == sorted(expected)


def test_only_an_upgrade_saves_nothing(found: RatingHome) -> None:
    free = found.query("select distinct type from recommendations where potential_savings <= 0")
    assert [row["type"] for row in free] == ["PLAN_UPGRADE"]
    assert not found.query("select * from recommendations where potential_savings < 0")


def row_of(home: RatingHome, name: str) -> dict[str, Any]:
    [row] = home.query(f"select * from recommendations where customer_id = $${name}$$")
    return row


@pytest.mark.parametrize(
    ("name", "priority", "words"),
    [
        (
            "just above the ratio",
            "HIGH",
            (
                "Upgrade from basic to pro",
                "units: 90 % of the allowance was used on average in the last 3 cycles (2024-04-01 to 2024-06-30). "
                "That usage cost 30.00 USD on basic and would have cost 120.00 USD on pro, overage included.",
                "Costs 90.00 USD more over 3 cycles.",
                "End subscription sub just above the ratio on 2024-08-01, when its cycle ends, and begin one on "
                "plan pro that day.",
            ),
        ),
        (
            "just below the ratio",
            "MEDIUM",
            (
                "Downgrade from pro to basic",
                "At most 29.7 % of the allowance was used (pages) on average in the last 3 cycles (2024-04-01 "
                "to 2024-06-30). That usage cost 120.00 USD on pro and would have cost 30.00 USD on basic, overage "
                "included.",
                "Saves 90.00 USD over 3 cycles.",
                "End subscription sub just below the ratio on 2024-08-01, when its cycle ends, and begin one on "
                "plan basic that day.",
            ),
        ),
        (
            "part of it bought",
            "MEDIUM",
            (
                "units: buy an allowance of 50 more per cycle",
                "units passed the allowance in 2 of the last 3 cycles (2024-04-01 to 2024-06-30), by 250 in all, "
                "which cost 5.000 KWD. With 50 more bought for each cycle at 0.01 KWD each, the same usage would "
                "have cost 4.500 KWD: 1.500 KWD for the allowance and 3.000 KWD for what is still above it.",
                "Saves 0.500 KWD over 3 cycles.",
                "Raise the included units of subscription sub part of it bought by an override from 100 to 150, "
                "valid from 2024-08-01.",
            ),
        ),
        (
            "a cheaper substitute",
            "MEDIUM",
            (
                "Use small in place of large",
                "1 request to large (acme) from 2024-06 to 2024-06, with 1,000 tokens in and 1,000 out, cost "
                "0.03 USD. The same tokens on small would have cost 0.003 USD.",
                "Saves 0.027 USD of provider cost over 1 month.",
                "Send the work that small does well enough to it; try it on a part of the requests first.",
            ),
        ),
        (
            "one month above the limit",
            "LOW",
            (
                "Bring the cost per AI request under 0.05 USD",
                "In 2024-04 1 AI request cost 0.07 USD, 0.07 USD each; the limit is 0.05 USD. Furthest "
                "above it: m on 2024-04-10.",
                "Keeping to the limit would have saved 0.02 USD of provider cost in 1 month.",
                "Look at the requests to m first: shorten prompts and answers, reuse cached input, or send simple "
                "work to a smaller model.",
            ),
        ),
        (
            "longer than before",
            "LOW",
            (
                "AI requests are longer than before",
                "In 2024-06 an AI request cost 0.011 USD and took 201 tokens on average. In the months before it "
                "was 0.01 USD and 100 tokens.",
                "At the cost per request of the months before, 10 requests would have cost 0.01 USD less in "
                "2024-06.",
                "Find out what changed in prompts, answers or models since the month before; cost_per_request "
                "shows the days and models.",
            ),
        ),
        (
            "dearest of three",
            "LOW",
            (
                "AI requests cost more than those of others on plan shared by three",
                "In 2024-06 an AI request cost 0.0201 USD and took 0 tokens on average. The median of the 3 "
                "customers on plan shared by three is 0.01 USD and 0 tokens.",
                "At the median cost per request, 10 requests would have cost 0.101 USD less in 2024-06.",
                "Find out what changed in prompts, answers or models, and what differs from the others; "
                "cost_per_request shows the days and models.",
            ),
        ),
    ],
)
def test_a_recommendation_says_it_in_words(
    found: RatingHome, name: str, priority: str, words: tuple[str, ...]
) -> None:
    row = row_of(found, name)
    parts = ("title", "description", "impact", "implementation")
    assert (row["priority"], *(row[part] for part in parts)) == (priority, *words)


def test_evidence_is_what_the_marts_say(found: RatingHome) -> None:
    """Every value of every row of evidence: the marts' rows of its key add up to it."""
    checked = set()
    with connect(str(found.warehouse_file), read_only=True) as marts:
        rows = marts.execute("select recommendation_id, evidence from recommendations").fetchall()
        assert len(rows) > 30
        for recommendation_id, evidence in rows:
            for part in json.loads(evidence)["rows"]:
                key = " and ".join(
                    f"cast({name} as varchar) = $${value}$$" for name, value in part["key"].items()
                )
                sums = ", ".join(f"sum({name})" for name in part["values"])
                said = marts.execute(f"select {sums} from {part['table']} where {key}").fetchone()
                assert said is not None
                for (name, value), total in zip(part["values"].items(), said, strict=True):
                    expected = total if value is None else total or 0
                    assert (value and Decimal(value)) == expected, (recommendation_id, part, name)
                    checked.add((part["table"], name))
    assert {table for table, _ in checked} == {
        "monthly_usage", "plan_comparisons", "overages", "cost_per_request", "cost_per_request_monthly", "model_comparisons",
    }  # fmt: skip


def test_savings_follow_from_the_evidence(found: RatingHome) -> None:
    digits = {"USD": 2, "EUR": 2, "KWD": 3}
    for row in found.query("select * from recommendations"):
        evidence = json.loads(row["evidence"])
        figures, parts = evidence["figures"], evidence["rows"]

        def total(table: str, name: str, parts: list[Any] = parts, **key: str) -> Decimal:
            return sum(
                (
                    Decimal(part["values"][name])
                    for part in parts
                    if part["table"] == table and part["key"].items() >= key.items()
                ),
                Decimal(0),
            )

        if row["type"] in ("PLAN_UPGRADE", "PLAN_DOWNGRADE"):
            own = total("plan_comparisons", "total_minor", plan_id=figures["plan_id"])
            other = total("plan_comparisons", "total_minor", plan_id=figures["other_plan_id"])
            saved = max(own - other, Decimal(0)).scaleb(-digits[row["currency"]])
        elif row["type"] == "CAPACITY":
            now = total("overages", "amount")
            assert now == Decimal(figures["overage_now"])
            saved = now - Decimal(figures["capacity_amount"]) - Decimal(figures["overage_left"])
        elif row["type"] == "MODEL_SWITCH":
            saved = total("model_comparisons", "cost_usd") - total("model_comparisons", "substitute_cost_usd")
        elif row["rule"] == "cost_limit":
            requests = total("cost_per_request_monthly", "request_count")
            saved = total("cost_per_request_monthly", "cost_usd") - requests * Decimal("0.05")
        else:
            june = {"calendar_month": "2024-06-01"}
            requests = total("cost_per_request_monthly", "request_count", **june)
            usual = Decimal(figures["usual_cost_per_request_usd"])
            saved = total("cost_per_request_monthly", "cost_usd", **june) - requests * usual
        assert saved == row["potential_savings"], row


def test_what_is_bought_is_rated_as_an_override_is(found: RatingHome, tmp_path: Path) -> None:
    """With the allowance bought from April on, the invoices are lower by just the savings."""
    home = copied(found, tmp_path)
    offers = {
        row["customer_id"]: row for row in home.query("select * from recommendations where type = 'CAPACITY'")
    }
    raised = [
        case for case in CASES if case.name in offers and not case.overrides and isinstance(case.plan, dict)
    ]
    assert len(raised) >= 6
    before = totals(home)
    accounts = {case.name: case for case in raised}
    overrides = [
        {
            "subscription_id": f"sub {name}",
            "meter_id": case.plan["meter_id"],
            "included": str(
                Decimal(case.plan["included"])
                + Decimal(json.loads(offers[name]["evidence"])["figures"]["added_quantity"])
            ),
        }
        for name, case in accounts.items()
        if isinstance(case.plan, dict)
    ]
    rewrite(home, "overrides", overrides)
    home.build(select="+invoices")
    after = totals(home)
    for name in accounts:
        saved = Decimal(before[name] - after.get(name, 0)).scaleb(-3)
        assert saved == offers[name]["potential_savings"], name


def totals(home: RatingHome) -> dict[str, int]:
    rows = home.query(
        "select customer_id, cast(sum(total_minor) as bigint) as total from invoices "
        "where period_start >= '2024-04-01' and period_end <= '2024-07-01' group by all"
    )
    return {row["customer_id"]: row["total"] for row in rows}


def rewrite(home: RatingHome, table: str, rows: list[dict[str, Any]]) -> None:
    """The accounts again, with one table of them replaced."""
    folder = home.root / "lake/accounts" / home.versions["accounts"]
    with connect() as connection:
        tables = {}
        for name in ACCOUNTS:
            cursor = connection.execute(f"select * from '{folder / name}.parquet'")
            columns = [column[0] for column in cursor.description or []]
            tables[name] = [dict(zip(columns, row, strict=True)) for row in cursor.fetchall()]
    home.documents("accounts", tables | {table: rows})


def test_no_column_is_a_double(found: RatingHome) -> None:
    columns = found.query("select table_name, column_name, data_type from information_schema.columns")
    assert {"recommendations", "plan_options", "model_comparisons"} <= {row["table_name"] for row in columns}
    assert not [row for row in columns if row["data_type"] in ("DOUBLE", "FLOAT", "REAL")]


def copied(home: RatingHome, folder: Path) -> RatingHome:
    shutil.copytree(home.root, folder / "home", symlinks=True)
    return RatingHome(folder / "home", home.as_of, home.builds, home.batches, dict(home.versions))


def test_dismissed_advice_stays_dismissed_and_other_advice_is_new(found: RatingHome, tmp_path: Path) -> None:
    home = copied(found, tmp_path)
    before = {row["customer_id"]: row for row in home.query("select * from recommendations")}
    first, again, other = (
        before[name]["recommendation_id"]
        for name in ("just above the ratio", "cheaper bought", "an upgrade that saves")
    )
    decided = [
        (1, first, "dismissed"),
        (2, again, "dismissed"),
        (3, again, "accepted"),
        (4, other, "dismissed"),
    ]
    write_parquet(
        home.root / "lake/ledger/decisions.parquet",
        DECISIONS,
        [
            {"decision_number": number, "recommendation_id": rec, "decision": decision, "decided_at": AS_OF}
            for number, rec, decision in decided
        ],
    )
    # A month later: one has used as much again, one more, and one so much that another plan is cheaper.
    home.as_of = "2024-08-01T12:00:00+00:00"
    july = {"just above the ratio": "91", "cheaper bought": "250", "an upgrade that saves": "9000"}
    home.batch({"customer_id": name, **event("07-10", used)} for name, used in july.items())
    build(home)
    after = {row["customer_id"]: row for row in home.query("select * from recommendations")}

    kept = after["just above the ratio"]
    assert (kept["recommendation_id"], kept["status"]) == (first, "dismissed")
    assert kept["description"] != before["just above the ratio"]["description"]
    bought = after["cheaper bought"]
    assert (bought["recommendation_id"], bought["status"]) == (again, "accepted"), "the last decision counts"
    assert bought["decided_at"] == datetime.fromisoformat(AS_OF)
    moved = after["an upgrade that saves"]
    assert about(moved) == "max"
    assert (moved["recommendation_id"] != other, moved["status"]) == (True, "open")
    assert after["an upgrade to the cheapest"]["status"] == "open"

    incremental = home.query("select * from recommendations order by recommendation_id")
    build(home, full_refresh=True)
    assert home.query("select * from recommendations order by recommendation_id") == incremental


def test_other_settings(found: RatingHome, tmp_path: Path) -> None:
    """Named meters alone decide, a shorter look back, another limit and other substitutes; all of it incrementally."""
    home = copied(found, tmp_path)
    changed = json.loads(json.dumps(SETTINGS))
    changed["recommendations"] |= {"meters": ["units"], "lookback_cycles": 1, "max_cost_per_request": "0.009"}
    changed["models"]["substitutes"] = {"large": ["cheap in"]}
    documents(home, changed)
    build(home)
    now = by_customer(home)
    assert now["another meter near its allowance"] == [("PLAN_DOWNGRADE", "basic", Decimal(30))]
    assert now["at the lower ratio"] == [("PLAN_DOWNGRADE", "basic", Decimal(30))], "pages are not asked"
    assert now["just above the ratio"] == [("PLAN_UPGRADE", "pro", Decimal(0))], "June alone is above"
    assert now["cheaper bought"] == [("CAPACITY", "100", Decimal(1))]
    assert now["needed too seldom"] == [("CAPACITY", "150", Decimal("1.5"))]
    assert "dearer than before" in now, "the limit is lower"
    assert [kind for kind, *_ in now["dearer than before"]] == ["USAGE_OPTIMIZATION"], "no months before"
    assert "each at its day's price" not in {
        name for name, rows in now.items() if any(kind == "MODEL_SWITCH" for kind, *_ in rows)
    }
    assert "a cheaper substitute" not in {
        name for name, rows in now.items() if any(kind == "MODEL_SWITCH" for kind, *_ in rows)
    }, "the only one accepted is dearer for its output"
