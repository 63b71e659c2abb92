"""The smallest home that is right, and changing one document of it at a time."""

from contextlib import suppress
from pathlib import Path

import pytest

from pipelines.catalog import Configuration, load_configuration
from pipelines.errors import ConfigurationError, Fault
from pipelines.home import Home

METERS = """
meters:
  - {id: calls, name: Calls, unit: call, event_types: [call], aggregation: sum}
  - {id: seats, name: Seats, unit: seat, event_types: [seat], aggregation: max}
"""
PLANS = """
plans:
  - id: basic
    name: Basic
    rank: 1
    currency: USD
    price: "10"
    effective_from: 2026-01-01
    charges:
      - {meter: calls, included: "100", overage: {model: per_unit, unit_amount: "0.02"}}
"""
DOCUMENTS = {
    "catalog/meters.yml": METERS,
    "catalog/plans.yml": PLANS,
    "accounts/customers.csv": "customer_id\nacme\n",
    "accounts/subscriptions.csv": (
        "subscription_id,customer_id,plan_id,started_on\ns1,acme,basic,2026-01-01\n"
    ),
}


def write_home(root: Path, documents: dict[str, str | bytes | None]) -> Home:
    """A home of the smallest right documents, with some replaced, added or (None) left out."""
    for name, content in {**DOCUMENTS, **documents}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if content is not None:
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return Home(root)


def load(root: Path, **documents: str | bytes | None) -> Configuration:
    """Load a home; keywords are document names without folder, plans_yml or customers_csv."""
    return load_configuration(write_home(root, _named(documents)))


def faults(root: Path, **documents: str | bytes | None) -> list[Fault]:
    """The faults of a home; none when it is right."""
    home = write_home(root, _named(documents))
    with suppress(ConfigurationError):
        load_configuration(home)
        return []
    with pytest.raises(ConfigurationError) as caught:
        load_configuration(home)
    assert caught.value.exit_code == 2
    assert not home.lake.exists()
    return list(caught.value.faults)


def _named(documents: dict[str, str | bytes | None]) -> dict[str, str | bytes | None]:
    names = {}
    for keyword, content in documents.items():
        stem, _, kind = keyword.rpartition("_")
        is_account = stem in {"customers", "subscriptions", "overrides", "budgets"}
        names[f"{'accounts' if is_account else 'catalog'}/{stem}.{kind}"] = content
    return names


def one_meter(**fields: str) -> str:
    """meters.yml with one meter; an empty text leaves a field out."""
    given = {
        "id": "calls",
        "name": "Calls",
        "unit": "call",
        "event_types": "[call]",
        "aggregation": "sum",
        **fields,
    }
    body = "\n    ".join(f"{key}: {value}" for key, value in given.items() if value)
    return f"meters:\n  - {body}\n"


def one_plan(charges: str = "[]", **fields: str) -> str:
    """plans.yml with one plan, its charges in flow style; an empty text leaves a field out."""
    return "plans:\n" + plan(charges, **fields)


def plan(charges: str = "[]", **fields: str) -> str:
    """One entry of plans.yml."""
    given = {
        "id": "basic",
        "name": "Basic",
        "rank": "1",
        "currency": "USD",
        "price": '"10"',
        "effective_from": "2026-01-01",
        **fields,
        "charges": charges,
    }
    body = "\n    ".join(f"{key}: {value}" for key, value in given.items() if value)
    return f"  - {body}\n"
