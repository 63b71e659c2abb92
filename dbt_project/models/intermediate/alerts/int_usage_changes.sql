{{ config(materialized='ephemeral') }}

{#- What usage of charges with an allowance grew by on the days on which it changed: sums by their quantity, unique
    meters by each value that is new in its window, levels by their own changes. -#}

with charge_months as (

    select * from {{ ref('int_limited_charge_months') }}

),

level_changes as (

    select * from {{ ref('int_level_changes') }}

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

final as (

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
        quantity
    from level_changes

)

select * from final
