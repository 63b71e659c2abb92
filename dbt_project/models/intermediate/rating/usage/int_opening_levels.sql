{#- Meters that carry forward: the last reading before each window, also from before the subscription. Windows and
    readings are put in one order per customer, meter and `per` value; a window takes the last reading ahead of it.
    Windows begin up to the clock's day, and later only where they hold a reading themselves. -#}

with daily_readings as (

    select * from {{ ref('int_daily_readings') }}
    where {{ in_rated_days("usage_date", and_before=true) }}

),

periods as (

    select * from {{ ref('int_periods_to_rate') }}

),

meter_windows as (

    select * from {{ ref('int_meter_windows') }}
    where carry_forward

),

readings as (

    select
        daily_readings.customer_id,
        meters.meter_number,
        daily_readings.per_value,
        daily_readings.usage_date,
        daily_readings.latest_quantity
    from daily_readings
    inner join meter_windows as meters
        on
            daily_readings.meter_id = meters.meter_id
            and meters.reset = 'cycle'
    where daily_readings.customer_id in (select periods.customer_id from periods)

),

period_days as (

    select
        period_number,
        customer_id,
        service_start,
        local_today,
        {{ days_between("service_start", "service_end - 1") }} as usage_date
    from periods
    where
        exists (
            select 1 from meter_windows
            where meter_windows.reset != 'cycle'
        )

),

windows as (

    select
        periods.period_number,
        periods.customer_id,
        meter_windows.meter_number,
        meter_windows.reset,
        periods.service_start as window_start
    from periods
    cross join meter_windows
    where meter_windows.reset = 'cycle'
    union
    select
        period_days.period_number,
        period_days.customer_id,
        meter_windows.meter_number,
        meter_windows.reset,
        {{ window_start("meter_windows.reset", "period_days.service_start", "period_days.usage_date") }} as window_start
    from period_days
    cross join meter_windows
    where
        meter_windows.reset != 'cycle'
        and (
            period_days.usage_date <= period_days.local_today
            or (period_days.customer_id, meter_windows.meter_number, period_days.usage_date) in (
                select (readings.customer_id, readings.meter_number, readings.usage_date)
                from readings
            )
        )

),

series as (

    select distinct
        customer_id,
        meter_number,
        per_value
    from readings

),

ordered as (

    select
        readings.customer_id,
        readings.meter_number,
        readings.per_value,
        readings.usage_date,
        1 as step,
        readings.latest_quantity,
        cast(null as integer) as period_number,
        cast(null as varchar) as reset
    from readings
    union all
    select
        windows.customer_id,
        windows.meter_number,
        series.per_value,
        windows.window_start as usage_date,
        0 as step,
        cast(null as decimal(38, 12)) as latest_quantity,
        windows.period_number,
        windows.reset
    from windows
    inner join series
        on
            windows.customer_id = series.customer_id
            and windows.meter_number = series.meter_number

),

carried as (

    select
        period_number,
        meter_number,
        reset,
        per_value,
        usage_date as window_start,
        last_value(latest_quantity ignore nulls) over (
            partition by customer_id, meter_number, per_value
            order by usage_date, step
            rows between unbounded preceding and current row
        ) as opening_quantity
    from ordered

),

final as (

    select
        period_number,
        meter_number,
        reset,
        per_value,
        window_start,
        opening_quantity
    from carried
    where
        period_number is not null
        and opening_quantity is not null

)

select * from final
