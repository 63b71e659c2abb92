{#- Levels at the end of open cycles. max and latest keep their current level. unique counts the values seen so far and,
    of those seen in the last 28 days but not yet in the cycle, the share of served days that is still to come (low: none
    of them, high: all). Windows that are still to come repeat the latest one. -#}

with periods as (

    select * from {{ ref('int_open_periods') }}

),

plan_charges as (

    select * from {{ ref('int_plan_charges') }}
    where aggregation in ('max', 'latest', 'unique')

),

period_levels as (

    select * from {{ ref('int_period_levels') }}

),

daily_values as (

    select * from {{ ref('int_daily_values') }}
    where {{ is_recent("usage_date") }}

),

seen as (

    select
        periods.open_number,
        plan_charges.meter_number,
        daily_values.value,
        max(daily_values.usage_date) >= max(periods.service_start) as is_in_period
    from periods
    inner join plan_charges on periods.plan_number = plan_charges.plan_number
    inner join daily_values
        on
            periods.customer_id = daily_values.customer_id
            and plan_charges.meter_id = daily_values.meter_id
            and periods.local_today - {{ trailing_days() }} <= daily_values.usage_date
            and periods.service_end > daily_values.usage_date
    where
        periods.scenario = 'projected'
        and plan_charges.aggregation = 'unique'
    group by
        periods.open_number,
        plan_charges.meter_number,
        daily_values.value

),

expected as (

    select
        open_number,
        meter_number,
        count(*) as value_count
    from seen
    where not is_in_period
    group by
        open_number,
        meter_number

),

returning_values as (

    select
        periods.period_number,
        expected.meter_number,
        case
            when periods.service_end <= periods.local_today or periods.scenario = 'low' then 0
            when periods.scenario = 'high' then expected.value_count
            else
                (2 * expected.value_count * (periods.service_end - periods.local_today) + periods.served_days)
                // (2 * periods.served_days)
        end as value_count
    from periods
    inner join expected on periods.open_number = expected.open_number

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

cycles as (

    select
        charges.period_number,
        charges.meter_number,
        case
            when period_levels.subscription_id is null then 0
            else period_levels.quantity
        end + coalesce(returning_values.value_count, 0) as quantity,
        charges.service_start as window_start
    from charges
    left join period_levels
        on
            charges.subscription_id = period_levels.subscription_id
            and charges.period_start = period_levels.period_start
            and charges.meter_id = period_levels.meter_id
            and period_levels.reset = 'cycle'
    left join returning_values
        on
            charges.period_number = returning_values.period_number
            and charges.meter_number = returning_values.meter_number

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
    where charges.reset != 'cycle'

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
    where
        reset != 'cycle'
        and service_end > local_today + 1

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
        'cycle' as reset,
        cast(quantity as decimal(38, 12)) as quantity,
        window_start
    from cycles
    union all
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
