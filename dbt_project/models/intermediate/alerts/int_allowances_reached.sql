{{ config(materialized='incremental', incremental_strategy='append', pre_hook="{{ delete_alert_periods() }}") }}

{#- The first day on which usage reached a share of its allowance. A hard limit is reached with its whole allowance, or
    with the first unit where nothing is included. -#}

with usage_to_date as (

    select * from {{ ref('int_usage_to_date') }}
    where {{ is_alert_period("subscription_id", "period_start") }}

),

settings as (

    select * from {{ ref('stg_catalog__alert_settings') }}

),

ratios as (

    select unnest({{ json_texts("value") }}) as threshold
    from settings
    where key = 'usage_thresholds'

),

thresholds as (

    select
        'usage_threshold' as kind,
        cast(threshold as decimal(38, 12)) as threshold,
        false as is_for_hard
    from ratios
    union all
    select
        'limit_reached' as kind,
        cast(1 as decimal(38, 12)) as threshold,
        true as is_for_hard

),

allowances as (

    select distinct
        subscription_id,
        meter_id,
        period_start,
        included_quantity,
        is_hard
    from usage_to_date

),

bars as (

    select
        allowances.subscription_id,
        allowances.meter_id,
        allowances.period_start,
        thresholds.kind,
        thresholds.threshold,
        case
            when allowances.included_quantity > 0
                then {{ alert_bar("allowances.included_quantity", "thresholds.threshold") }}
            when thresholds.is_for_hard then cast(0.000000000001 as decimal(38, 12))
        end as bar
    from allowances
    inner join thresholds on allowances.is_hard or not thresholds.is_for_hard

),

final as (

    select
        usage_to_date.customer_id,
        usage_to_date.subscription_id,
        usage_to_date.plan_id,
        usage_to_date.meter_id,
        bars.kind,
        usage_to_date.reset,
        bars.threshold,
        min_by(usage_to_date.quantity, usage_to_date.usage_date) as observed,
        usage_to_date.included_quantity,
        usage_to_date.period_start,
        usage_to_date.service_start,
        usage_to_date.window_start,
        min(usage_to_date.usage_date) as triggered_on
    from usage_to_date
    inner join bars
        on
            usage_to_date.subscription_id = bars.subscription_id
            and usage_to_date.meter_id = bars.meter_id
            and usage_to_date.period_start = bars.period_start
            and usage_to_date.quantity >= bars.bar
    group by all

)

select * from final
