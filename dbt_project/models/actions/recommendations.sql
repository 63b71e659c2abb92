{#- Every advice there is reason for now, with what was decided about it. -#}

{%- set columns = [
    "recommendation_id", "customer_id", "subscription_id", "meter_id", "type", "rule", "priority", "title",
    "description", "impact", "implementation", "evidence", "potential_savings", "currency"
] %}

with plan_advice as (

    select * from {{ ref('plan_advice') }}

),

capacity_advice as (

    select * from {{ ref('int_capacity_advice') }}

),

model_advice as (

    select * from {{ ref('int_model_advice') }}

),

usage_advice as (

    select * from {{ ref('int_usage_advice') }}

),

decisions as (

    select * from {{ ref('stg_ledger__decisions') }}

),

found as (

    {% for advice in ["plan_advice", "capacity_advice", "model_advice", "usage_advice"] -%}
    select {{ columns | join(", ") }} from {{ advice }}
    {%- if not loop.last %}
    union all
    {% endif %}
    {%- endfor %}

),

last_decisions as (

    select
        recommendation_id,
        max_by(decision, decision_number) as decision,
        max_by(decided_at, decision_number) as decided_at
    from decisions
    group by recommendation_id

),

final as (

    select
        found.recommendation_id,
        found.customer_id,
        found.subscription_id,
        found.meter_id,
        found.type,
        found.rule,
        found.priority,
        found.title,
        found.description,
        found.impact,
        found.implementation,
        found.evidence,
        found.currency,
        coalesce(last_decisions.decision, 'open') as status,
        cast(found.potential_savings as decimal(38, 12)) as potential_savings,
        last_decisions.decided_at,
        {{ as_of() }} as as_of
    from found
    left join last_decisions on found.recommendation_id = last_decisions.recommendation_id

)

select * from final
