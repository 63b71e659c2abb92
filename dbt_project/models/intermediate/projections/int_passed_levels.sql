-- depends_on: {{ ref('int_rated_periods') }}
{{ config(materialized='incremental', incremental_strategy='append', pre_hook="{{ delete_rerated() }}") }}

{#- The day on which a level went above its allowance. The level of a day is the sum over `per` values of the highest
    (max) or last (latest) reading so far; of unique meters, the values seen so far. -#}

with allowances as (

    select * from {{ ref('int_assigned_charges') }}
    where
        is_current
        and reset = 'cycle'
        and included_quantity is not null

),

plan_charges as (

    select * from {{ ref('int_plan_charges') }}
    where is_level

),

periods as (

    select * from {{ ref('int_periods_to_rate') }}

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

usage as (

    select * from {{ ref('int_usage_in_periods') }}
    where reset = 'cycle'

),

{# Only levels that ended above: nothing else needs its days looked at. #}
exceeded as (

    select
        periods.subscription_id,
        periods.customer_id,
        periods.period_start,
        periods.service_start,
        periods.service_end,
        allowances.period_number,
        allowances.meter_number,
        allowances.included_quantity,
        plan_charges.meter_id,
        plan_charges.aggregation
    from allowances
    inner join plan_charges on allowances.charge_number = plan_charges.charge_number
    inner join periods on allowances.period_number = periods.period_number
    inner join usage
        on
            allowances.period_number = usage.period_number
            and allowances.meter_number = usage.meter_number
    where usage.quantity_count > allowances.included_count

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

changes as (

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

),

days as (

    select
        period_number,
        meter_number,
        usage_date,
        sum(sum(quantity_change)) over (
            partition by period_number, meter_number
            order by usage_date
            rows between unbounded preceding and current row
        ) as quantity
    from changes
    group by
        period_number,
        meter_number,
        usage_date

),

final as (

    select
        exceeded.subscription_id,
        exceeded.meter_id,
        exceeded.period_start,
        min(days.usage_date) as passed_on
    from exceeded
    inner join days
        on
            exceeded.period_number = days.period_number
            and exceeded.meter_number = days.meter_number
            and exceeded.included_quantity < days.quantity
    group by
        exceeded.subscription_id,
        exceeded.meter_id,
        exceeded.period_start

)

select * from final
