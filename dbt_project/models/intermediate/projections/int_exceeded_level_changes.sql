{{ config(materialized='ephemeral') }}

{#- What these levels grew or fell by, day by day: by `per` value the highest (max) or last (latest) reading so far, of
    unique meters each value that is new. -#}

with exceeded as (

    select * from {{ ref('int_exceeded_levels') }}

),

opening_levels as (

    select * from {{ ref('int_opening_levels') }}
    where reset = 'cycle'

),

daily_readings as (

    select * from {{ ref('int_daily_readings') }}
    where {{ in_rated_days("usage_date") }}

),

daily_values as (

    select * from {{ ref('int_daily_values') }}
    where {{ in_rated_days("usage_date") }}

),

readings as (

    select
        exceeded.period_number,
        exceeded.meter_number,
        opening_levels.per_value,
        exceeded.service_start as usage_date,
        0 as step,
        exceeded.aggregation,
        opening_levels.opening_quantity as quantity
    from exceeded
    inner join opening_levels
        on
            exceeded.period_number = opening_levels.period_number
            and exceeded.meter_number = opening_levels.meter_number
    union all
    select
        exceeded.period_number,
        exceeded.meter_number,
        daily_readings.per_value,
        daily_readings.usage_date,
        1 as step,
        exceeded.aggregation,
        case
            when exceeded.aggregation = 'max' then daily_readings.max_quantity else daily_readings.latest_quantity
        end as quantity
    from exceeded
    inner join daily_readings
        on
            exceeded.customer_id = daily_readings.customer_id
            and exceeded.meter_id = daily_readings.meter_id
            and exceeded.service_start <= daily_readings.usage_date
            and exceeded.service_end > daily_readings.usage_date

),

levels as (

    select
        period_number,
        meter_number,
        per_value,
        usage_date,
        step,
        case when aggregation = 'max' then max(quantity) over so_far else quantity end as quantity
    from readings
    window so_far as (
        partition by period_number, meter_number, per_value
        order by usage_date, step
        rows between unbounded preceding and current row
    )

),

final as (

    select
        period_number,
        meter_number,
        usage_date,
        quantity - coalesce(
            lag(quantity) over (
                partition by period_number, meter_number, per_value
                order by usage_date, step
            ),
            0
        ) as quantity_change
    from levels
    union all
    select
        exceeded.period_number,
        exceeded.meter_number,
        min(daily_values.usage_date) as usage_date,
        cast(1 as decimal(38, 12)) as quantity_change
    from exceeded
    inner join daily_values
        on
            exceeded.customer_id = daily_values.customer_id
            and exceeded.meter_id = daily_values.meter_id
            and exceeded.service_start <= daily_values.usage_date
            and exceeded.service_end > daily_values.usage_date
    group by
        exceeded.period_number,
        exceeded.meter_number,
        daily_values.value

)

select * from final
