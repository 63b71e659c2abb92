"""The five products that ship: they load without a fault and say what their price lists say.

The tables here are written from the products' descriptions, not from the YAML.
"""

from collections import defaultdict
from datetime import date
from decimal import Decimal
from itertools import pairwise

import pytest

from models.catalog import Charge, Package, PerUnit
from models.money import UNLIMITED
from pipelines.catalog import Configuration, copy_product, list_products, load_configuration
from pipelines.home import Home

PRODUCTS = ["ai_pair_orchestrator", "coachos", "crm_usage_billing", "granted_ai", "mortgage_match_pro"]
INF = UNLIMITED


@pytest.fixture(scope="module")
def products(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Configuration]:
    loaded = {}
    for name in PRODUCTS:
        home = Home(tmp_path_factory.mktemp(name))
        copy_product(home, name)
        loaded[name] = load_configuration(home)
    return loaded


def included(charge: Charge) -> int | str:
    return UNLIMITED if charge.included == UNLIMITED else int(charge.included)


def unit_price(charge: Charge | None) -> str | None:
    overage = charge.overage if charge else None
    return str(overage.unit_amount) if isinstance(overage, PerUnit) else None


def test_the_products_are_these():
    assert list_products() == PRODUCTS


# plan: currency, price, {meter: included}
PLANS = {
    "ai_pair_orchestrator": {
        "starter": ("USD", 29, {"users": 5, "ai_requests": 100, "scraping_pages": 50, "storage_gb": 5}),
        "professional": (
            "USD",
            99,
            {"users": 25, "ai_requests": 1000, "scraping_pages": 500, "storage_gb": 50},
        ),
        "enterprise": (
            "USD",
            299,
            {"users": INF, "ai_requests": 10000, "scraping_pages": 5000, "storage_gb": 500},
        ),
    },
    "granted_ai": {
        "starter": ("USD", 0, {"projects": 3, "documents": 25, "ai_credits": 100_000, "team_members": 1}),
        "pro": ("USD", 29, {"projects": 15, "documents": 200, "ai_credits": 1_000_000, "team_members": 5}),
        "team": ("USD", 99, {"projects": 50, "documents": 1000, "ai_credits": 5_000_000, "team_members": 25}),
        "enterprise": (
            "USD",
            299,
            {"projects": INF, "documents": INF, "ai_credits": INF, "team_members": INF},
        ),
    },
    "mortgage_match_pro": {
        "free": (
            "USD",
            0,
            {"users": 1, "api_calls": 100, "ai_requests": 10, "ai_tokens": INF}
            | {"scenarios": 5, "reports": 1, "webhook_deliveries": 0},
        ),
        "pro": (
            "USD",
            99,
            {"users": 10, "api_calls": 10_000, "ai_requests": 1000, "ai_tokens": INF}
            | {"scenarios": INF, "reports": 50, "webhook_deliveries": 1000},
        ),
        "enterprise": (
            "USD",
            499,
            {"users": INF, "api_calls": 100_000, "ai_requests": 10_000, "ai_tokens": INF}
            | {"scenarios": INF, "reports": INF, "webhook_deliveries": 10_000},
        ),
    },
    "crm_usage_billing": {
        "free": ("USD", 0, {"api_calls": 1000, "ai_tokens": 10_000}),
        "starter": ("USD", 29, {"api_calls": 10_000, "ai_tokens": 100_000, "storage_gb": 10}),
        "professional": ("USD", 79, {"api_calls": 50_000, "ai_tokens": 500_000, "storage_gb": 50}),
        "enterprise": ("USD", 199, {"api_calls": INF, "ai_tokens": INF, "storage_gb": INF}),
        "pay_per_use": ("USD", 0, {"api_calls": 0, "ai_tokens": 0}),
    },
    "coachos": {
        "usage": (
            "EUR",
            0,
            {"ocr_scans": 50, "api_calls": 10_000, "storage_gb": 5, "ai_classifications": 100, "emails": 1000}
            | {
                "bank_syncs": 30,
                "sms_messages": 100,
                "pdf_exports": 200,
                "webhooks": 5000,
                "custom_reports": 50,
            },
        ),
    },
}

# Price of one unit above the allowance, the same on every plan of the product; None: it has none.
UNIT_PRICES = {
    "ai_pair_orchestrator": {
        "ai_requests": "0.02",
        "scraping_pages": "0.01",
        "storage_gb": "0.5",
        "users": "5",
    },
    "granted_ai": {"projects": None, "documents": None, "team_members": None},
    "mortgage_match_pro": {
        "api_calls": "0.01",
        "ai_requests": "0.1",
        "reports": "5",
        "webhook_deliveries": "0.001",
        "ai_tokens": "0.00003",
        "users": None,
        "scenarios": None,
    },
    "crm_usage_billing": {"storage_gb": None},
    "coachos": {
        "ocr_scans": "0.05",
        "api_calls": "0.001",
        "storage_gb": "0.02",
        "ai_classifications": "0.01",
        "emails": "0.005",
        "bank_syncs": "0.03",
        "sms_messages": "0.1",
        "pdf_exports": "0.02",
        "webhooks": "0.002",
        "custom_reports": "0.05",
    },
}

# aggregation, field, carry_forward, per, where
METERS = {
    "ai_pair_orchestrator": {
        "ai_requests": ("sum", "quantity", False, None, {}),
        "scraping_pages": ("sum", "quantity", False, None, {}),
        "storage_gb": ("max", "quantity", True, None, {}),
        "users": ("unique", "user_id", False, None, {}),
    },
    "granted_ai": {
        "projects": ("latest", "quantity", True, None, {}),
        "documents": ("latest", "quantity", True, None, {}),
        "ai_credits": ("sum", "total_tokens", False, None, {}),
        "team_members": ("unique", "user_id", False, None, {}),
    },
    "mortgage_match_pro": {
        "users": ("unique", "user_id", False, None, {}),
        "api_calls": ("sum", "quantity", False, None, {}),
        "ai_requests": ("sum", "quantity", False, None, {}),
        "ai_tokens": ("sum", "quantity", False, None, {"resource": "gpt-4"}),
        "scenarios": ("latest", "quantity", True, None, {}),
        "reports": ("sum", "quantity", False, None, {"resource": "report_pdf"}),
        "webhook_deliveries": ("sum", "quantity", False, None, {}),
        "storage_mb": ("latest", "quantity", False, "resource", {}),
    },
    "crm_usage_billing": {
        "api_calls": ("sum", "quantity", False, None, {}),
        "ai_tokens": ("sum", "total_tokens", False, None, {}),
        "storage_gb": ("max", "quantity", True, None, {}),
    },
    "coachos": {
        "storage_gb": ("max", "quantity", True, None, {}),
        "ocr_scans": ("sum", "quantity", False, None, {}),
        "emails": ("sum", "quantity", False, None, {}),
    },
}


@pytest.mark.parametrize("name", PRODUCTS)
def test_plans_include_what_the_price_list_says(products, name):
    found = {
        plan.id: (plan.currency, plan.price, {charge.meter: included(charge) for charge in plan.charges})
        for plan in products[name].catalog.plans
    }
    assert found == PLANS[name]


@pytest.mark.parametrize("name", PRODUCTS)
def test_units_above_the_allowance_cost_what_the_price_list_says(products, name):
    for plan in products[name].catalog.plans:
        for meter, price in UNIT_PRICES[name].items():
            charge = plan.charge(meter)
            if charge is None:
                continue
            never_over = (name, plan.id, meter) == ("ai_pair_orchestrator", "enterprise", "users")
            assert unit_price(charge) == (None if never_over else price), (plan.id, meter)


@pytest.mark.parametrize("name", PRODUCTS)
def test_meters_measure_what_the_description_says(products, name):
    found = {
        meter.id: (meter.aggregation, meter.field, meter.carry_forward, meter.per, meter.where)
        for meter in products[name].catalog.meters
    }
    assert {meter: found[meter] for meter in METERS[name]} == METERS[name]


@pytest.mark.parametrize("name", PRODUCTS)
def test_limits_are_soft_but_where_the_description_says_hard(products, name):
    hard = {
        (plan.id, charge.meter)
        for plan in products[name].catalog.plans
        for charge in plan.charges
        if charge.limit == "hard"
    }
    counted = ("projects", "documents", "team_members")
    limited = {"free": ("api_calls", "ai_tokens"), "starter": ("api_calls", "ai_tokens", "storage_gb")}
    limited["professional"] = limited["starter"]
    expected = {
        "granted_ai": {(plan, meter) for plan in PLANS["granted_ai"] for meter in counted}
        | {("starter", "ai_credits")},
        "crm_usage_billing": {(plan, meter) for plan, meters in limited.items() for meter in meters},
    }
    assert hard == expected.get(name, set())


@pytest.mark.parametrize("name", PRODUCTS)
def test_only_the_daily_limits_of_mortgage_match_pro_reset_within_a_cycle(products, name):
    resets = {
        (charge.meter, charge.reset)
        for plan in products[name].catalog.plans
        for charge in plan.charges
        if charge.reset != "cycle"
    }
    daily = {("api_calls", "day"), ("ai_requests", "day")}
    assert resets == (daily if name == "mortgage_match_pro" else set())


def test_bought_capacity_of_ai_pair_orchestrator(products):
    prices = defaultdict(set)
    for plan in products["ai_pair_orchestrator"].catalog.plans:
        for charge in plan.charges:
            prices[charge.meter].add(str(charge.capacity.unit_amount) if charge.capacity else None)
    # None: free, or (users on enterprise) nothing to buy.
    assert prices == {
        "users": {"5", None},
        "ai_requests": {"0.02"},
        "scraping_pages": {None},
        "storage_gb": {None},
    }


def test_users_of_ai_pair_orchestrator_are_counted_over_every_event_type(products):
    meters = {meter.id: meter for meter in products["ai_pair_orchestrator"].catalog.meters}
    others = {event_type for meter in meters.values() for event_type in meter.event_types}
    assert set(meters["users"].event_types) == others


def test_features_of_ai_pair_orchestrator_grow_with_the_plan(products):
    features = {
        plan.id: {name for name, has in plan.features.items() if has}
        for plan in products["ai_pair_orchestrator"].catalog.plans
    }
    assert features["starter"] == {"google_workspace"}
    assert features["professional"] - features["starter"] == {"advanced_features", "api_access"}
    assert features["enterprise"] - features["professional"] == {
        "priority_support",
        "custom_integrations",
        "dedicated_support",
    }


def test_credits_of_granted_ai_are_sold_in_packages_on_pro_and_team(products):
    found = {plan.id: plan.charge("ai_credits").overage for plan in products["granted_ai"].catalog.plans}
    package = Package(model="package", package_size=Decimal(100_000), package_amount=Decimal(1))
    assert found == {"starter": None, "pro": package, "team": package, "enterprise": None}


def test_pay_per_use_of_crm_usage_billing(products):
    [plan] = [plan for plan in products["crm_usage_billing"].catalog.plans if plan.id == "pay_per_use"]
    calls, tokens = plan.charge("api_calls").overage, plan.charge("ai_tokens").overage
    assert calls == Package(model="package", package_size=Decimal(1000), package_amount=Decimal("0.1"))
    assert tokens.model == "graduated"
    assert [(str(tier.up_to), str(tier.unit_amount), tier.flat_amount) for tier in tokens.tiers] == [
        ("1000000", "0.002", 0),
        ("10000000", "0.0016", 0),
        ("unlimited", "0.0012", 0),
    ]


def test_what_is_metered_without_being_billed(products):
    found = {
        name: {meter.id for meter in products[name].catalog.meters if not meter.billable} for name in PRODUCTS
    }
    assert found == {
        "ai_pair_orchestrator": {"api_calls"},
        "coachos": set(),
        "crm_usage_billing": set(),
        "granted_ai": set(),
        "mortgage_match_pro": {"storage_mb", "ai_tokens_all", "exports"},
    }


# usage and budget thresholds
THRESHOLDS = {
    "ai_pair_orchestrator": (["0.8", "1"], ["0.5", "0.8", "1"]),
    "coachos": (["0.8", "1"], ["0.5", "0.8", "1"]),
    "crm_usage_billing": (["0.75", "0.9", "1"], ["0.5", "0.8", "1"]),
    "granted_ai": (["0.8", "1"], ["0.5", "0.8", "1"]),
    "mortgage_match_pro": (["0.8", "1"], ["0.8", "1"]),
}


@pytest.mark.parametrize("name", PRODUCTS)
def test_alerts(products, name):
    alerts = products[name].catalog.alerts
    found = [str(item) for item in alerts.usage_thresholds], [str(item) for item in alerts.budget_thresholds]
    assert found == THRESHOLDS[name]


def test_models_of_mortgage_match_pro(products):
    models = products["mortgage_match_pro"].catalog.alerts.models
    assert models.allowed == ("gpt-3.5-turbo", "gpt-4")
    assert models.fallback == "gpt-3.5-turbo"


def test_budgets_of_mortgage_match_pro_are_50_a_day_and_1500_a_month(products):
    budgets = products["mortgage_match_pro"].accounts.budgets
    assert {(budget.period, budget.amount, budget.measure) for budget in budgets} == {
        ("day", 50, "provider_cost"),
        ("month", 1500, "provider_cost"),
    }


RAW_COLUMNS = {
    "ai_pair_orchestrator": ("usage_tracking.csv", {"customer_id": "company_id", "quantity": "amount"}),
    "coachos": ("usage_event.csv", {"customer_id": "organisationId", "event_type": "feature"}),
    "crm_usage_billing": ("usage_events.csv", {"customer_id": "user_id", "user_id": "user_id"}),
    "granted_ai": ("usage_events.csv", {"input_tokens": "tokens_in", "cost_usd": "cost_usd"}),
    "mortgage_match_pro": ("ai_usage.jsonl", {"model": "resource", "resource": "resource"}),
}


@pytest.mark.parametrize("name", PRODUCTS)
def test_raw_tables_are_mapped(products, name):
    file, columns = RAW_COLUMNS[name]
    sources = products[name].sources
    source = sources.source_for(file)
    assert {field: source.column_of(field) for field in columns} == columns
    # A file of Meterhouse's own shape, such as simulated usage, is nobody's raw table.
    assert sources.source_for("events-2026-08.jsonl") is None


@pytest.mark.parametrize("name", PRODUCTS)
def test_example_accounts_show_the_cases_that_matter(products, name):
    accounts = products[name].accounts
    assert 6 <= len(accounts.customers) <= 12
    assert len({customer.timezone for customer in accounts.customers}) >= 4
    assert {subscription.billing_anchor_day for subscription in accounts.subscriptions} >= {1, 15, 31}
    assert any(customer.inactive_from for customer in accounts.customers)
    assert any(customer.stripe_customer_id is None for customer in accounts.customers)
    by_customer = defaultdict(list)
    for subscription in accounts.subscriptions:
        by_customer[subscription.customer_id].append(subscription)
    assert set(by_customer) == {customer.customer_id for customer in accounts.customers}
    ended = [group[-1] for group in by_customer.values() if group[-1].ended_on]
    changed = [
        later
        for group in by_customer.values()
        for earlier, later in pairwise(group)
        if earlier.ended_on == later.started_on and later.started_on.day != later.billing_anchor_day
    ]
    assert ended
    assert changed
    assert accounts.overrides
    # Usage simulated up to any day of autumn 2026 meets a subscription.
    served = [group for group in by_customer.values() if group[0].started_on <= date(2026, 8, 1)]
    assert len(served) == len(accounts.customers)
