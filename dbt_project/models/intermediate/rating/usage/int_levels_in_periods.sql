{{ config(materialized='ephemeral') }}

{#- Usage of max and latest meters: the highest or last reading of each `per` value in a window, beginning with the
    level it opens at where the meter carries forward; values are added up. -#}

with daily_readings as (

    select * from {{ ref('int_daily_readings') }}
    where {{ in_rated_days("usage_date") }}

),

opening_levels as (

    select * from {{ ref('int_opening_levels') }}

),

period_months as (

    select * from {{ ref('int_period_months') }}

),

meter_windows as (

    select * from {{ ref('int_meter_windows') }}

),

read_in_windows as (

    select
        period_months.period_number,
        meter_windows.meter_number,
        meter_windows.reset,
        {{ window_start("meter_windows.reset", "period_months.service_start", "daily_readings.usage_date") }}
            as window_start,
        daily_readings.per_value,
        max(daily_readings.max_quantity) as max_quantity,
        max_by(daily_readings.latest_quantity, daily_readings.usage_date) as latest_quantity
    from daily_readings
    inner join period_months
        on
            daily_readings.customer_id = period_months.customer_id
            and {{ month_start("daily_readings.usage_date") }} = period_months.month_start
            and daily_readings.usage_date >= period_months.service_start
            and daily_readings.usage_date < period_months.service_end
    inner join meter_windows on daily_readings.meter_id = meter_windows.meter_id
    group by all

),

levels as (

    select
        coalesce(read_in_windows.period_number, opening_levels.period_number) as period_number,
        coalesce(read_in_windows.meter_number, opening_levels.meter_number) as meter_number,
        coalesce(read_in_windows.reset, opening_levels.reset) as reset,
        coalesce(read_in_windows.window_start, opening_levels.window_start) as window_start,
        greatest(read_in_windows.max_quantity, opening_levels.opening_quantity) as max_quantity,
        coalesce(read_in_windows.latest_quantity, opening_levels.opening_quantity) as latest_quantity
    from read_in_windows
    full outer join opening_levels
        on
            read_in_windows.period_number = opening_levels.period_number
            and read_in_windows.meter_number = opening_levels.meter_number
            and read_in_windows.reset = opening_levels.reset
            and read_in_windows.window_start = opening_levels.window_start
            and read_in_windows.per_value = opening_levels.per_value

),

chosen as (

    select
        levels.period_number,
        levels.meter_number,
        levels.reset,
        levels.window_start,
        case when meter_windows.aggregation = 'max' then levels.max_quantity else levels.latest_quantity end
            as quantity
    from levels
    inner join meter_windows
        on
            levels.meter_number = meter_windows.meter_number
            and levels.reset = meter_windows.reset

),

summed as (

    select
        period_number,
        meter_number,
        reset,
        window_start,
        {{ bounded_sum("quantity") }} as quantity
    from chosen
    group by
        period_number,
        meter_number,
        reset,
        window_start

),

final as (

    select
        period_number,
        meter_number,
        reset,
        window_start,
        case when quantity < {{ beyond_quantity() }} then quantity end as quantity
    from summed

)

select * from final
