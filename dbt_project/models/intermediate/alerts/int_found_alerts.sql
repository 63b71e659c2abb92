{{ config(materialized='ephemeral') }}

{#- Every alert that usage, its cost and invoices give rise to, in one shape and in words. Each model says one kind of
    thing in the columns of an alert; another kind is one more model and its name here, with the columns that it has
    nothing for. An alert reaches, or for a spike and a projection passes, threshold * limit_value. `subject` tells apart
    what the other columns of the key do not: the budget, the model, the feature. -#}

{%- set kinds = {
    "int_usage_alerts": ["subject", "currency"],
    "int_cost_alerts": ["meter_id"],
    "int_spike_alerts": ["subject", "currency"],
    "int_forbidden_models": ["meter_id", "threshold", "limit_value", "currency"],
    "int_feature_gaps": ["threshold", "limit_value", "currency"],
    "int_projected_overruns": ["subject", "currency"],
    "int_invoice_budget_alerts": ["meter_id"],
} -%}
{%- set columns = {
    "meter_id": "varchar",
    "subject": "varchar",
    "threshold": "decimal(38, 12)",
    "observed": "decimal(38, 12)",
    "limit_value": "decimal(38, 12)",
    "currency": "varchar",
} %}

{% for kind, lacking in kinds.items() -%}
select
    customer_id,
    kind,
    {% for column, type in columns.items() -%}
    {{ "cast(null as " ~ type ~ ") as " ~ column if column in lacking else column }},
    {% endfor -%}
    severity,
    period_start,
    triggered_on,
    message
from {{ ref(kind) }}
{%- if not loop.last %}
union all
{% endif %}
{%- endfor %}
