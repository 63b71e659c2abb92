{{ config(materialized='view') }}

{#- The cycles that explain usage: those of today, and those that were issued under an anchor that was edited since. -#}

with service_periods as (

    select * from {{ ref('int_service_periods') }}

),

issued_periods as (

    select * from {{ ref('int_issued_periods') }}

),

subscriptions as (

    select * from {{ ref('stg_accounts__subscriptions') }}

),

final as (

    select
        subscription_id,
        customer_id,
        plan_id,
        plan_version,
        period_start,
        period_end,
        service_start,
        service_end
    from service_periods
    union all
    select
        issued_periods.subscription_id,
        issued_periods.customer_id,
        issued_periods.plan_id,
        issued_periods.plan_version,
        issued_periods.period_start,
        issued_periods.period_end,
        issued_periods.service_start,
        issued_periods.service_end
    from issued_periods
    inner join subscriptions
        on
            issued_periods.subscription_id = subscriptions.subscription_id
            and issued_periods.customer_id = subscriptions.customer_id
            and issued_periods.billing_anchor_day != subscriptions.billing_anchor_day
    left join service_periods
        on
            issued_periods.subscription_id = service_periods.subscription_id
            and issued_periods.period_start = service_periods.period_start
            and issued_periods.period_end = service_periods.period_end
    where service_periods.subscription_id is null

)

select * from final
