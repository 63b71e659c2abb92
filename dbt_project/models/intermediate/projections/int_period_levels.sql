-- depends_on: {{ ref('int_rated_periods') }}
{{ config(materialized='incremental', incremental_strategy='append', pre_hook="{{ delete_rerated() }}") }}

{#- Usage of max, latest and unique meters as last rated, by the windows of the plan's own charges: what a projection of
    every open cycle starts from, without reading the readings of the past again. -#}

with usage as (

    select * from {{ ref('int_usage_in_periods') }}

),

periods as (

    select * from {{ ref('int_periods_to_rate') }}

),

plan_charges as (

    select * from {{ ref('int_plan_charges') }}
    where aggregation in ('max', 'latest', 'unique')

),

final as (

    select
        periods.subscription_id,
        plan_charges.meter_id,
        usage.reset,
        {{ unscaled("usage.quantity_count") }} as quantity,
        periods.period_start,
        usage.window_start
    from usage
    inner join periods on usage.period_number = periods.period_number
    inner join plan_charges
        on
            periods.plan_number = plan_charges.plan_number
            and usage.meter_number = plan_charges.meter_number
            and (usage.reset = 'cycle' or usage.reset = plan_charges.reset)

)

select * from final
