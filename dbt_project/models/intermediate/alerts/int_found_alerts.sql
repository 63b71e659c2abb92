{{ config(materialized='ephemeral') }}

{#- Every alert that usage, its cost and invoices give rise to, in one shape and in words. Each model says one kind of
    thing in the columns of an alert; another kind is one more model and its name here. An alert reaches, or for a spike
    and a projection passes, threshold * limit_value. `subject` tells apart what the other columns of the key do not:
    the budget, the model, the feature. -#}

{%- set kinds = [
    "int_usage_alerts", "int_cost_alerts", "int_spike_alerts", "int_forbidden_models", "int_feature_gaps",
    "int_projected_overruns", "int_invoice_budget_alerts"
] %}

{% for kind in kinds -%}
select
    customer_id,
    kind,
    meter_id,
    subject,
    threshold,
    observed,
    limit_value,
    currency,
    severity,
    period_start,
    triggered_on,
    message
from {{ ref(kind) }}
{%- if not loop.last %}
union all
{% endif %}
{%- endfor %}
