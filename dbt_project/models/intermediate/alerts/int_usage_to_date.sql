-- depends_on: {{ ref('int_rated_periods') }}
{{ config(materialized='incremental', incremental_strategy='append', pre_hook="{{ delete_rerated() }}") }}

{#- How usage grew day by day against its allowance: what alerts are dated by. Only days on which it changed, and only
    charges with an allowance that can be used up. A level begins with what was carried into its window; one that is
    the sum over several values grows by what each of them grows. -#}

with periods as (

    select * from {{ ref('int_periods_to_rate') }}

),

period_months as (

    select * from {{ ref('int_period_months') }}

),

assigned_charges as (

    select * from {{ ref('int_assigned_charges') }}

),

plan_charges as (

    select * from {{ ref('int_plan_charges') }}

),

daily_quantities as (

    select * from {{ ref('int_daily_quantities') }}
    where
        {{ in_rated_days("usage_date") }}
        and quantity < {{ beyond_quantity() }}

),

daily_values as (

    select * from {{ ref('int_daily_values') }}
    where {{ in_rated_days("usage_date") }}

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

charges as (

    select
        periods.period_number,
        periods.customer_id,
        periods.subscription_id,
        plan_charges.plan_id,
        plan_charges.meter_id,
        plan_charges.aggregation,
        plan_charges.reset,
        plan_charges.meter_number,
        assigned_charges.included_quantity,
        plan_charges."limit" = 'hard' as is_hard,
        periods.period_start,
        periods.service_start
    from assigned_charges
    inner join periods on assigned_charges.period_number = periods.period_number
    inner join plan_charges on assigned_charges.charge_number = plan_charges.charge_number
    where
        assigned_charges.is_current
        and assigned_charges.included_quantity is not null

),

charge_months as (

    select
        charges.period_number,
        charges.customer_id,
        charges.meter_id,
        charges.meter_number,
        charges.aggregation,
        charges.reset,
        period_months.month_start,
        period_months.service_start,
        period_months.service_end
    from charges
    inner join period_months on charges.period_number = period_months.period_number

),

summed as (

    select
        charge_months.period_number,
        charge_months.meter_number,
        {{ window_start("charge_months.reset", "charge_months.service_start", "daily_quantities.usage_date") }}
            as window_start,
        daily_quantities.usage_date,
        daily_quantities.quantity
    from daily_quantities
    inner join charge_months
        on
            daily_quantities.customer_id = charge_months.customer_id
            and daily_quantities.meter_id = charge_months.meter_id
            and {{ month_start("daily_quantities.usage_date") }} = charge_months.month_start
            and daily_quantities.usage_date >= charge_months.service_start
            and daily_quantities.usage_date < charge_months.service_end

),

first_seen as (

    select
        charge_months.period_number,
        charge_months.meter_number,
        {{ window_start("charge_months.reset", "charge_months.service_start", "daily_values.usage_date") }}
            as window_start,
        daily_values.value,
        min(daily_values.usage_date) as usage_date
    from daily_values
    inner join charge_months
        on
            daily_values.customer_id = charge_months.customer_id
            and daily_values.meter_id = charge_months.meter_id
            and {{ month_start("daily_values.usage_date") }} = charge_months.month_start
            and daily_values.usage_date >= charge_months.service_start
            and daily_values.usage_date < charge_months.service_end
    group by all

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

changes as (

    select
        period_number,
        meter_number,
        window_start,
        usage_date,
        quantity
    from summed
    union all
    select
        period_number,
        meter_number,
        window_start,
        usage_date,
        cast(1 as decimal(38, 12)) as quantity
    from first_seen
    union all
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

),

daily_changes as (

    select
        period_number,
        meter_number,
        window_start,
        usage_date,
        cast({{ bounded_sum("quantity") }} as decimal(38, 12)) as quantity
    from changes
    group by
        period_number,
        meter_number,
        window_start,
        usage_date

),

running as (

    select
        period_number,
        meter_number,
        window_start,
        usage_date,
        sum(quantity) over (
            partition by period_number, meter_number, window_start
            order by usage_date
        ) as quantity
    from daily_changes

),

final as (

    select
        charges.customer_id,
        charges.subscription_id,
        charges.plan_id,
        charges.meter_id,
        charges.reset,
        cast(running.quantity as decimal(38, 12)) as quantity,
        charges.included_quantity,
        charges.is_hard,
        charges.period_start,
        charges.service_start,
        running.window_start,
        running.usage_date
    from running
    inner join charges
        on
            running.period_number = charges.period_number
            and running.meter_number = charges.meter_number

)

select * from final
