{{ config(materialized='ephemeral') }}

{#- Values of unique meters that were seen in the last 28 days and not yet in the cycle: the share of served days that
    is still to come says how many of them return (low: none of them, high: all). -#}

with periods as (

    select * from {{ ref('int_open_periods') }}

),

plan_charges as (

    select * from {{ ref('int_plan_charges') }}
    where aggregation = 'unique'

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
    where periods.scenario = 'projected'
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

final as (

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

)

select * from final
