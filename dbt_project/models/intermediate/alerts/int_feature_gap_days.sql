{{ config(materialized='incremental', incremental_strategy='append', pre_hook="{{ delete_alert_days() }}") }}

{#- Days with usage that needs a feature which no plan serving the customer has. Without any plan there is no gap: that
    usage is unbilled. Where several plans serve, the alert belongs to the cycle that began first. -#}

with daily_usage as (

    select * from {{ ref('int_daily_usage') }}
    where
        event_count > 0
        and {{ is_alert_day("customer_id", "usage_date") }}

),

meter_features as (

    select * from {{ ref('stg_catalog__meter_features') }}

),

service_periods as (

    select * from {{ ref('int_service_periods') }}

),

plans as (

    select * from {{ ref('stg_catalog__plans') }}

),

final as (

    select
        daily_usage.customer_id,
        daily_usage.meter_id,
        meter_features.feature,
        min_by(plans.name, (service_periods.period_start, service_periods.subscription_id)) as plan_name,
        daily_usage.quantity,
        daily_usage.event_count,
        min(service_periods.period_start) as period_start,
        daily_usage.usage_date
    from daily_usage
    inner join meter_features on daily_usage.meter_id = meter_features.meter_id
    inner join service_periods
        on
            daily_usage.customer_id = service_periods.customer_id
            and daily_usage.usage_date >= service_periods.service_start
            and daily_usage.usage_date < service_periods.service_end
    inner join plans
        on
            service_periods.plan_id = plans.plan_id
            and service_periods.plan_version = plans.effective_from
    group by
        daily_usage.customer_id,
        daily_usage.meter_id,
        meter_features.feature,
        daily_usage.quantity,
        daily_usage.event_count,
        daily_usage.usage_date
    having not bool_or({{ has_feature("plans.features", "meter_features.feature") }})

)

select * from final
