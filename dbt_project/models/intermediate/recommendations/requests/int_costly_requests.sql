{{ config(materialized='ephemeral') }}

{#- Customers whose AI requests cost more than the limit in one of the months looked back over. What is above the limit
    in those months is what keeping to it would have saved. Up to ten days and models that passed it most are named. -#}

with model_days as (

    select * from {{ ref('int_model_days') }}

),

model_months as (

    select * from {{ ref('int_model_months') }}

),

settings as (

    select {{ json_decimal("value", "max_cost_per_request") }} as max_cost
    from {{ ref('stg_catalog__alert_settings') }}
    where key = 'recommendations'

),

months as (

    select
        model_months.customer_id,
        model_months.calendar_month,
        settings.max_cost,
        sum(model_months.request_count) as request_count,
        cast(sum(model_months.cost_usd) as decimal(38, 12)) as cost_usd,
        string_agg(model_months.evidence, ',' order by model_months.provider, model_months.model) as evidence
    from model_months
    cross join settings
    group by
        model_months.customer_id,
        model_months.calendar_month,
        settings.max_cost

),

costly_months as (

    select
        *,
        cast(cost_usd - max_cost * cast(request_count as decimal(18, 0)) as decimal(38, 12)) as excess_usd
    from months
    where cost_usd > max_cost * cast(request_count as decimal(18, 0))

),

costly_days as (

    select
        model_days.*,
        row_number() over (
            partition by model_days.customer_id
            order by
                model_days.cost_usd - costly_months.max_cost * cast(model_days.request_count as decimal(18, 0)) desc,
                model_days.usage_date asc, model_days.provider asc, model_days.model asc
        ) as day_number
    from model_days
    inner join costly_months
        on
            model_days.customer_id = costly_months.customer_id
            and model_days.calendar_month = costly_months.calendar_month
    where model_days.cost_usd > costly_months.max_cost * cast(model_days.request_count as decimal(18, 0))

),

causes as (

    select
        customer_id,
        max_by(model, -day_number) as model,
        max_by(usage_date, -day_number) as usage_date,
        string_agg(
            {{ evidence_row(
                "cost_per_request",
                {"customer_id": "customer_id", "provider": "provider", "model": "model", "usage_date": "usage_date"},
                {"request_count": "request_count", "cost_usd": decimal_text("cost_usd")},
            ) }}, ',' order by day_number
        ) as evidence
    from costly_days
    where day_number <= 10
    group by customer_id

),

summed as (

    select
        customer_id,
        max_cost,
        count(*) as month_count,
        sum(request_count) as request_count,
        cast(sum(cost_usd) as decimal(38, 12)) as cost_usd,
        cast(sum(excess_usd) as decimal(38, 12)) as excess_usd,
        string_agg({{ month_text("calendar_month") }}, ', ' order by calendar_month) as months,
        string_agg(evidence, ',' order by calendar_month) as evidence
    from costly_months
    group by
        customer_id,
        max_cost

),

final as (

    select
        summed.customer_id,
        summed.max_cost,
        summed.month_count,
        summed.request_count,
        summed.cost_usd,
        {{ exact_ratio("summed.cost_usd", 1, "summed.request_count") }} as cost_per_request_usd,
        summed.excess_usd,
        summed.months,
        causes.model,
        causes.usage_date,
        summed.evidence || ',' || causes.evidence as evidence
    from summed
    inner join causes on summed.customer_id = causes.customer_id

)

select * from final
