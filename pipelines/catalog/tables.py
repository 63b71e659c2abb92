"""Catalog and accounts as tables of facts, and the version that these facts have.

Formatting, comments and the order of rows change no version. Keeping the tables belongs to ``versions``.
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

import pyarrow as pa

from models.accounts import Accounts
from models.catalog import AlertSettings, Catalog, Charge, Graduated, Issuer, PlanVersion, Volume
from models.events import SourcesDocument
from models.money import MINOR_UNITS, PRECISION, PRICE_SCALE, SCALE, UNLIMITED, plain_decimal

_TYPES: dict[str, pa.DataType] = {
    "text": pa.string(),
    "day": pa.date32(),
    "whole": pa.int64(),
    "truth": pa.bool_(),
    "exact": pa.decimal128(PRECISION, SCALE),
    "price": pa.decimal128(PRECISION, PRICE_SCALE),
}

CHARGE_TERMS = ("unit_amount", "package_size", "package_amount", "flat_amount", "multiplier")
"""What the overage models compute with; SQL has the same list in ``macros/rating/charge_models.sql``."""

Value = str | int | bool | Decimal | date | None


@dataclass(frozen=True)
class Table:
    """A table to keep: its columns as (name, kind) and its rows, in an order that depends on facts alone."""

    name: str
    columns: tuple[tuple[str, str], ...]
    rows: tuple[tuple[Value, ...], ...]

    def arrow(self) -> pa.Table:
        """The table with the types that the lake promises."""
        schema = pa.schema([(name, _TYPES[kind]) for name, kind in self.columns])
        cells = [[row[number] for row in self.rows] for number in range(len(self.columns))]
        return pa.Table.from_arrays(
            [pa.array(cell, field.type) for cell, field in zip(cells, schema, strict=True)], schema=schema
        )


def table_of(name: str, columns: str, rows: Iterable[Sequence[Value]]) -> Table:
    """``columns`` is "name:kind ..."; rows are ordered by their values."""
    pairs = [column.partition(":") for column in columns.split()]
    return Table(
        name,
        tuple((column, kind or "text") for column, _, kind in pairs),
        tuple(sorted((tuple(row) for row in rows), key=_canonical)),
    )


def catalog_tables(catalog: Catalog, sources: SourcesDocument | None) -> list[Table]:
    """The catalog as tables, all of them, also when empty."""
    plans = catalog.plans
    return [
        table_of(
            "meters",
            "meter_id name unit aggregation field carry_forward:truth per billable:truth",
            (
                (m.id, m.name, m.unit, m.aggregation, m.field, m.carry_forward, m.per, m.billable)
                for m in catalog.meters
            ),
        ),
        table_of(
            "meter_event_types",
            "meter_id event_type",
            ((m.id, event_type) for m in catalog.meters for event_type in m.event_types),
        ),
        table_of(
            "meter_filters",
            "meter_id field value",
            ((m.id, field, value) for m in catalog.meters for field, value in m.where.items()),
        ),
        table_of(
            "meter_features",
            "meter_id feature",
            ((m.id, m.requires_feature) for m in catalog.meters if m.requires_feature is not None),
        ),
        table_of(
            "plans",
            "plan_id effective_from:day name rank:whole currency price:exact proration features",
            (
                (p.id, p.effective_from, p.name, p.rank, p.currency, p.price, p.proration, _json(p.features))
                for p in plans
            ),
        ),
        table_of(
            "charges",
            "plan_id effective_from:day meter_id position:whole included:exact prorate_included:truth"
            " reset limit capacity_unit_amount:exact overage_model"
            f" {' '.join(f'{term}:exact' for term in CHARGE_TERMS)} invoice_zero:truth",
            (_charge(p, position, c) for p in plans for position, c in enumerate(p.charges, start=1)),
        ),
        table_of(
            "charge_tiers",
            "plan_id effective_from:day meter_id tier_number:whole up_to:exact unit_amount:exact"
            " flat_amount:exact",
            (
                (p.id, p.effective_from, c.meter, number, _finite(t.up_to), t.unit_amount, t.flat_amount)
                for p in plans
                for c in p.charges
                if isinstance(c.overage, Graduated | Volume)
                for number, t in enumerate(c.overage.tiers, start=1)
            ),
        ),
        table_of(
            "prices",
            "provider model event_type unit usd_per_unit:price valid_from:day valid_to:day",
            (
                (r.provider, r.model, r.event_type, r.unit, r.usd_per_unit, r.valid_from, r.valid_to)
                for r in catalog.prices
            ),
        ),
        table_of(
            "fx_rates",
            "rate_date:day base quote rate:exact",
            ((r.date, r.base, r.quote, r.rate) for r in catalog.fx_rates),
        ),
        table_of("currencies", "currency minor_units:whole", MINOR_UNITS.items()),
        table_of("alert_settings", "key value", _alert_settings(catalog.alerts)),
        table_of(
            "issuer",
            "name address tax_id email website payment_terms_days:whole payment_instructions note"
            " service_category service_subcategory",
            [_issuer(catalog.issuer)],
        ),
        table_of(
            "sources",
            "position:whole name document",
            (
                (position, source.name, _json(source.model_dump(mode="python")))
                for position, source in enumerate(sources.sources if sources else (), start=1)
            ),
        ),
    ]


def accounts_tables(accounts: Accounts) -> list[Table]:
    """The accounts as tables, all of them, also when empty."""
    return [
        table_of(
            "customers",
            "customer_id name email timezone inactive_from:day stripe_customer_id",
            (
                (c.customer_id, c.name, c.email, c.timezone, c.inactive_from, c.stripe_customer_id)
                for c in accounts.customers
            ),
        ),
        table_of(
            "subscriptions",
            "subscription_id customer_id plan_id plan_version:day started_on:day ended_on:day"
            " billing_anchor_day:whole",
            (
                (
                    s.subscription_id,
                    s.customer_id,
                    s.plan_id,
                    s.plan_version,
                    s.started_on,
                    s.ended_on,
                    s.billing_anchor_day,
                )
                for s in accounts.subscriptions
            ),
        ),
        table_of(
            "overrides",
            "subscription_id meter_id included:exact is_unlimited:truth unit_amount:exact"
            " valid_from:day valid_to:day",
            (
                (
                    o.subscription_id,
                    o.meter_id,
                    None if o.included is None else _finite(o.included),
                    o.is_unlimited,
                    o.unit_amount,
                    o.valid_from,
                    o.valid_to,
                )
                for o in accounts.overrides
            ),
        ),
        table_of(
            "budgets",
            "customer_id period measure amount:exact currency thresholds pause_at:exact",
            (
                (
                    b.customer_id,
                    b.period,
                    b.measure,
                    b.amount,
                    b.currency,
                    None if b.thresholds is None else ";".join(_plain(item) for item in b.thresholds),
                    b.pause_at,
                )
                for b in accounts.budgets
            ),
        ),
    ]


def version_of(tables: Sequence[Table]) -> str:
    """The first 32 hex digits of the SHA-256 over the tables' facts."""
    facts = {table.name: [[name for name, _ in table.columns], *map(_facts, table.rows)] for table in tables}
    return hashlib.sha256(_json(facts).encode()).hexdigest()[:32]


def _charge(plan: PlanVersion, position: int, charge: Charge) -> tuple[Value, ...]:
    overage = charge.overage
    terms = overage.model_dump() if overage else {}
    return (
        plan.id,
        plan.effective_from,
        charge.meter,
        position,
        _finite(charge.included),
        charge.prorate_included,
        charge.reset,
        charge.limit,
        charge.capacity.unit_amount if charge.capacity else None,
        terms.get("model"),
        *(terms.get(term) for term in CHARGE_TERMS),
        terms.get("invoice_zero", False),
    )


def _alert_settings(alerts: AlertSettings) -> list[tuple[str, str]]:
    return [(key, _json(value)) for key, value in alerts.model_dump().items()]


def _issuer(issuer: Issuer) -> tuple[Value, ...]:
    """Several lines are one text with line ends between them."""
    return (
        issuer.name,
        "\n".join(issuer.address) or None,
        issuer.tax_id,
        issuer.email,
        issuer.website,
        issuer.payment_terms_days,
        "\n".join(issuer.payment_instructions) or None,
        issuer.note,
        issuer.service_category,
        issuer.service_subcategory,
    )


def _finite(value: Decimal | str) -> Decimal | None:
    """The number, or None for the word unlimited."""
    return None if value == UNLIMITED else Decimal(value)


def _plain(value: Decimal) -> str:
    return format(plain_decimal(value), "f")


def _json(value: object) -> str:
    """JSON with sorted keys, decimals as text and nothing that depends on formatting."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=_json_scalar)


def _json_scalar(value: object) -> str:
    return _plain(value) if isinstance(value, Decimal) else str(value)


def _facts(row: Sequence[Value]) -> list[str | int | bool | None]:
    return [_json_scalar(cell) if isinstance(cell, Decimal | date) else cell for cell in row]


def _canonical(row: Sequence[Value]) -> str:
    return _json(_facts(row))
