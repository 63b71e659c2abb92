{{ config(materialized='ephemeral') }}

{#- How levels grew against their allowance. A level begins with what was carried into its window; one that is the sum
    over several values grows by what each of them grows. -#}

with charges as (

    select * from {{ ref('int_limited_charges') }}

),

charge_months as (

    select * from {{ ref('int_limited_charge_months') }}

),

daily_readings as (

    select * from {{ ref('int_daily_readings') }}
    where
        {{ in_rated_days("usage_date") }}
        and max_quantity < {{ beyond_quantity() }}

),

opening_levels as (

    select * from {{ ref('int_opening_levels') }}
    where opening_quantity < {{ beyond_quantity() }}

),

readings as (

    select
        charge_months.period_number,
        charge_months.meter_number,
        charge_months.aggregation,
        {{ window_start("charge_months.reset", "charge_months.service_start", "daily_readings.usage_date") }}
            as window_start,
        daily_readings.per_value,
        daily_readings.usage_date,
        1 as step,
        daily_readings.max_quantity,
        daily_readings.latest_quantity
    from daily_readings
    inner join charge_months
        on
            daily_readings.customer_id = charge_months.customer_id
            and daily_readings.meter_id = charge_months.meter_id
            and {{ month_start("daily_readings.usage_date") }} = charge_months.month_start
            and daily_readings.usage_date >= charge_months.service_start
            and daily_readings.usage_date < charge_months.service_end
    union all
    select
        charges.period_number,
        charges.meter_number,
        charges.aggregation,
        opening_levels.window_start,
        opening_levels.per_value,
        opening_levels.window_start as usage_date,
        0 as step,
        opening_levels.opening_quantity as max_quantity,
        opening_levels.opening_quantity as latest_quantity
    from opening_levels
    inner join charges
        on
            opening_levels.period_number = charges.period_number
            and opening_levels.meter_number = charges.meter_number
            and opening_levels.reset = charges.reset

),

daily_levels as (

    select
        period_number,
        meter_number,
        aggregation,
        window_start,
        per_value,
        usage_date,
        max(max_quantity) as max_quantity,
        max_by(latest_quantity, step) as latest_quantity
    from readings
    group by
        period_number,
        meter_number,
        aggregation,
        window_start,
        per_value,
        usage_date

),

levels as (

    select
        period_number,
        meter_number,
        window_start,
        per_value,
        usage_date,
        case
            when aggregation = 'max' then max(max_quantity) over so_far
            else latest_quantity
        end as quantity
    from daily_levels
    window so_far as (partition by period_number, meter_number, window_start, per_value order by usage_date)

),

final as (

    select
        period_number,
        meter_number,
        window_start,
        usage_date,
        quantity - coalesce(
            lag(quantity) over (
                partition by period_number, meter_number, window_start, per_value
                order by usage_date
            ), 0
        ) as quantity
    from levels

)

select * from final
