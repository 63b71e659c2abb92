"""What one customer has used and what that will come to, read from the published file.

Every figure is a mart's own; only rows and columns are chosen here. How they are shown does not belong here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Final

from pipelines.home import Home
from pipelines.serving.readers import need_customer, open_published

Value = str | int | bool | Decimal | date | datetime | None
Row = Mapping[str, Value]

_HISTORY = """
    select
        usage.*,
        dense_rank() over (order by usage.period_start desc) as period_number
    from monthly_usage as usage
    where
        usage.customer_id = $customer_id
        and not exists (
            from usage_projections as open_cycles
            where
                open_cycles.subscription_id = usage.subscription_id
                and open_cycles.period_start = usage.period_start
        )
    qualify period_number <= $periods
"""
SECTIONS: Final[Mapping[str, str]] = {
    "customer": """
        select customer_id, name, timezone, inactive_from, as_of, published_at
        from customers cross join meterhouse_publication
        where customer_id = $customer_id
    """,
    "current": """
        select
            subscription_id, open_cycles.plan_id, meter_id, meters.name as meter, meters.unit,
            open_cycles.quantity, allowance as included_quantity, open_cycles.reset, "limit",
            usage.used_ratio, usage.overage_quantity, amount as overage_amount, currency,
            period_start, open_cycles.period_end, open_cycles.service_start, open_cycles.service_end
        from usage_projections as open_cycles
        inner join meters using (meter_id)
        left join monthly_usage as usage using (subscription_id, meter_id, period_start)
        where open_cycles.customer_id = $customer_id
        order by period_start, subscription_id, meter_id
    """,
    "projection": """
        select
            subscription_id, plan_id, meter_id, meters.name as meter, meters.unit,
            projected_quantity, low_quantity, high_quantity, projected_overage_quantity,
            round(projected_quantity, 2) as about_quantity, round(low_quantity, 2) as about_low_quantity,
            round(high_quantity, 2) as about_high_quantity,
            projected_amount, projected_minor, low_amount, high_amount, currency,
            period_start, period_end, projected_on, exhausted_on
        from usage_projections
        inner join meters using (meter_id)
        where customer_id = $customer_id
        order by period_start, subscription_id, meter_id
    """,
    "invoices": """
        select
            currency, total_minor, projected_total_minor, low_total_minor, high_total_minor,
            period_start, period_end, projected_on
        from projected_invoices
        where customer_id = $customer_id
        order by period_start, period_end, currency
    """,
    "quota": """
        select * exclude (customer_id)
        from quota_predictions
        where customer_id = $customer_id
    """,
    "budgets": """
        select
            period, measure, currency, amount, observed_amount, projected_amount, projected_minor,
            is_exceeded, period_start
        from budget_projections
        where customer_id = $customer_id
        order by period, measure, currency, period_start
    """,
    "other_plans": """
        select
            subscription_id, comparisons.plan_id, plans.name as plan, comparisons.currency, total_minor,
            is_current, is_feasible, period_start, period_end
        from plan_comparisons as comparisons
        inner join plans
            on comparisons.plan_id = plans.plan_id and comparisons.plan_version = plans.effective_from
        where
            customer_id = $customer_id
            and exists (
                from usage_projections as open_cycles
                where
                    open_cycles.subscription_id = comparisons.subscription_id
                    and open_cycles.period_start = comparisons.period_start
            )
        order by period_start, subscription_id, total_minor, comparisons.plan_id
    """,
    "history": f"""
        select
            subscription_id, usage.plan_id, meter_id, meters.name as meter, meters.unit,
            usage.quantity, usage.included_quantity, usage.used_ratio, usage.overage_quantity,
            overages.amount as overage_amount, overages.currency,
            period_start, usage.period_end, usage.service_start, usage.service_end
        from ({_HISTORY}) as usage
        inner join meters using (meter_id)
        left join overages using (subscription_id, meter_id, period_start)
        order by period_start desc, subscription_id, meter_id
    """,
    "alerts": f"""
        select
            alert_id, kind, meter_id, subject, severity, threshold, observed, limit_value, currency,
            period_start, triggered_on, is_read, message
        from budget_alerts
        where
            customer_id = $customer_id
            and triggered_on >= coalesce(
                (select min(service_start) from ({_HISTORY})),
                (select min(service_start) from usage_projections where customer_id = $customer_id),
                triggered_on
            )
        order by triggered_on desc, alert_id
    """,
}
"""By section the query of its rows."""


@dataclass(frozen=True)
class Usage:
    """By section (the keys of ``SECTIONS``) its rows; every row of a section has the same columns.

    ``current`` and ``projection`` are of open cycles, one row per meter, ``history`` of those that are over,
    newest first; ``alerts`` reach as far back. ``*_minor`` are minor units, ``about_*`` quantities for people
    (two digits: more would claim to know what is to come), all other amounts and quantities exact.
    """

    sections: Mapping[str, Sequence[Row]]

    @property
    def customer(self) -> Row:
        """Who it is about, and as of when."""
        return self.sections["customer"][0]


def read_usage(home: Home, customer_id: str, periods: int = 12) -> Usage:
    """Everything about one customer.

    :param periods: how many cycles that are over the history holds.
    :raises MeterhouseError: nothing has been published.
    :raises ConfigurationError: no such customer.
    """
    with open_published(home.published_file) as tables:
        need_customer(tables, customer_id)
        sections = {}
        for name, query in SECTIONS.items():
            wanted = {"customer_id": customer_id, "periods": periods}
            parameters = {key: value for key, value in wanted.items() if f"${key}" in query}
            cursor = tables.execute(query, parameters)
            columns = [column[0] for column in cursor.description or []]
            sections[name] = [dict(zip(columns, row, strict=True)) for row in cursor.fetchall()]
    return Usage(sections)
