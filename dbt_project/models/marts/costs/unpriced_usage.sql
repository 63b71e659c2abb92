{{ config(materialized='view') }}

{#- What no price was found for. An event that names neither model nor tokens is not expected to have a cost, unless a
    plan of its customer charges the meter by cost. -#}

with activity as (

    select * from {{ ref('int_daily_activity') }}

),

charges as (

    select * from {{ ref('stg_catalog__charges') }}

),

subscriptions as (

    select * from {{ ref('stg_accounts__subscriptions') }}

),

cost_plus_meters as (

    select
        subscriptions.customer_id,
        list(distinct charges.meter_id) as meter_ids
    from subscriptions
    inner join charges on subscriptions.plan_id = charges.plan_id
    where charges.overage_model = 'cost_plus'
    group by subscriptions.customer_id

),

unpriced as (

    select
        activity.*,
        coalesce(activity.unpriced_reason, 'no_usage') as reason
    from activity
    left join cost_plus_meters on activity.customer_id = cost_plus_meters.customer_id
    where
        activity.unpriced_reason is not null
        or (activity.cost_usd is null and list_has_any(activity.meter_ids, cost_plus_meters.meter_ids))

),

final as (

    select
        usage_date,
        customer_id,
        provider,
        model,
        event_type,
        reason,
        cast(sum(event_count) as bigint) as event_count,
        cast(coalesce(sum(input_tokens), 0) as decimal(38, 0)) as input_tokens,
        cast(coalesce(sum(output_tokens), 0) as decimal(38, 0)) as output_tokens,
        cast(coalesce(sum(cached_input_tokens), 0) as decimal(38, 0)) as cached_input_tokens
    from unpriced
    group by
        usage_date,
        customer_id,
        provider,
        model,
        event_type,
        reason

)

select * from final
