{{ config(materialized='ephemeral') }}

{#- Levels in windows that are shorter than their cycle: what they are, and those still to come, which repeat the
    latest. -#}

with periods as (

    select * from {{ ref('int_open_periods') }}

),

plan_charges as (

    select * from {{ ref('int_plan_charges') }}
    where
        aggregation in ('max', 'latest', 'unique')
        and reset != 'cycle'

),

period_levels as (

    select * from {{ ref('int_period_levels') }}

),

charges as (

    select
        periods.period_number,
        periods.subscription_id,
        periods.period_start,
        periods.service_start,
        periods.service_end,
        periods.local_today,
        plan_charges.meter_id,
        plan_charges.meter_number,
        plan_charges.reset
    from periods
    inner join plan_charges on periods.plan_number = plan_charges.plan_number

),

windows as (

    select
        charges.period_number,
        charges.meter_number,
        charges.reset,
        period_levels.quantity,
        period_levels.window_start
    from charges
    inner join period_levels
        on
            charges.subscription_id = period_levels.subscription_id
            and charges.period_start = period_levels.period_start
            and charges.meter_id = period_levels.meter_id
            and charges.reset = period_levels.reset

),

latest_windows as (

    select
        period_number,
        meter_number,
        max(window_start) as window_start,
        max_by(quantity, window_start) as quantity
    from windows
    group by
        period_number,
        meter_number

),

days_ahead as (

    select
        period_number,
        meter_number,
        reset,
        service_start,
        {{ days_between("local_today + 1", "service_end - 1") }} as usage_date
    from charges
    where service_end > local_today + 1

),

windows_ahead as (

    select distinct
        period_number,
        meter_number,
        reset,
        {{ window_start("reset", "service_start", "usage_date") }} as window_start
    from days_ahead

),

final as (

    select
        period_number,
        meter_number,
        reset,
        quantity,
        window_start
    from windows
    union all
    select
        windows_ahead.period_number,
        windows_ahead.meter_number,
        windows_ahead.reset,
        latest_windows.quantity,
        windows_ahead.window_start
    from windows_ahead
    inner join latest_windows
        on
            windows_ahead.period_number = latest_windows.period_number
            and windows_ahead.meter_number = latest_windows.meter_number
            and windows_ahead.window_start > latest_windows.window_start

)

select * from final
