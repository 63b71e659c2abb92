{{ config(materialized='ephemeral') }}

{#- The latest complete month of a customer's AI requests against what it is measured by: its own months before, and the
    median of the customers that are on the same plan. Cost is per request with a known cost, tokens per request. -#}

with model_months as (

    select * from {{ ref('int_model_months') }}

),

periods as (

    select * from {{ ref('int_rated_periods') }}

),

settings as (

    select {{ json_decimal("value", "min_quantity") }} as min_requests
    from {{ ref('stg_catalog__alert_settings') }}
    where key = 'spike'

),

spans as (

    select
        customer_id,
        month_number = 1 as is_latest,
        cast(sum(request_count) as bigint) as request_count,
        cast(sum(request_count - unpriced_request_count) as bigint) as priced_count,
        cast(sum(token_count) as decimal(38, 12)) as token_count,
        cast(sum(cost_usd) as decimal(38, 12)) as cost_usd,
        string_agg(evidence, ',' order by calendar_month, provider, model) as evidence,
        max(calendar_month) as calendar_month
    from model_months
    group by
        customer_id,
        month_number = 1

),

{# Too few requests say nothing about how they are made. -#}
measured as (

    select
        spans.*,
        {{ exact_ratio("spans.cost_usd", 1, "spans.priced_count") }} as cost_per_request_usd,
        {{ exact_ratio("spans.token_count", 1, "spans.request_count") }} as tokens_per_request
    from spans
    cross join settings
    where
        spans.priced_count > 0
        and spans.request_count >= settings.min_requests

),

plans_served as (

    select distinct
        customer_id,
        plan_id
    from periods
    where
        service_start <= local_today
        and service_end > local_today

),

on_plans as (

    select
        plans_served.plan_id,
        measured.calendar_month,
        measured.cost_per_request_usd,
        measured.tokens_per_request,
        count(*) over same_plan as customer_count,
        row_number() over (
            partition by plans_served.plan_id, measured.calendar_month
            order by measured.cost_per_request_usd, measured.customer_id
        ) as cost_number,
        row_number() over (
            partition by plans_served.plan_id, measured.calendar_month
            order by measured.tokens_per_request, measured.customer_id
        ) as tokens_number
    from measured
    inner join plans_served on measured.customer_id = plans_served.customer_id
    where measured.is_latest
    window same_plan as (partition by plans_served.plan_id, measured.calendar_month)

),

{# The middle one, or half of the sum of the middle two. -#}
medians as (

    select
        plan_id,
        calendar_month,
        customer_count,
        sum(cost_per_request_usd) filter (
            where 2 * cost_number between customer_count and customer_count + 2
        ) as cost_sum,
        sum(tokens_per_request) filter (
            where 2 * tokens_number between customer_count and customer_count + 2
        ) as tokens_sum,
        2 - customer_count % 2 as middle_count
    from on_plans
    group by
        plan_id,
        calendar_month,
        customer_count

),

baselines as (

    select
        'own_past' as baseline,
        customer_id,
        cast(null as varchar) as plan_id,
        cast(null as bigint) as customer_count,
        cost_per_request_usd,
        tokens_per_request,
        evidence
    from measured
    where not is_latest
    union all
    select
        'plan_median' as baseline,
        plans_served.customer_id,
        medians.plan_id,
        medians.customer_count,
        {{ exact_ratio("cast(medians.cost_sum as decimal(38, 12))", 1, "medians.middle_count") }}
            as cost_per_request_usd,
        {{ exact_ratio("cast(medians.tokens_sum as decimal(38, 12))", 1, "medians.middle_count") }}
            as tokens_per_request,
        cast(null as varchar) as evidence
    from medians
    inner join plans_served on medians.plan_id = plans_served.plan_id
    inner join measured
        on
            plans_served.customer_id = measured.customer_id
            and medians.calendar_month = measured.calendar_month
            and measured.is_latest
    where medians.customer_count >= 3

),

final as (

    select
        latest.customer_id,
        baselines.baseline,
        baselines.plan_id,
        baselines.customer_count,
        latest.request_count,
        latest.priced_count,
        latest.cost_usd,
        latest.cost_per_request_usd,
        latest.tokens_per_request,
        baselines.cost_per_request_usd as usual_cost_per_request_usd,
        baselines.tokens_per_request as usual_tokens_per_request,
        latest.cost_usd - cast(
            baselines.cost_per_request_usd * cast(latest.priced_count as decimal(18, 0)) as decimal(38, 12)
        ) as excess_usd,
        latest.evidence || coalesce(',' || baselines.evidence, '') as evidence,
        latest.calendar_month
    from measured as latest
    inner join baselines on latest.customer_id = baselines.customer_id
    where latest.is_latest

)

select * from final
