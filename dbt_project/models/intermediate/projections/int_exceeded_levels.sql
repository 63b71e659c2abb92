{{ config(materialized='ephemeral') }}

{#- Levels that are above their allowance for the cycle. Nothing else needs its days looked at. -#}

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

usage as (

    select * from {{ ref('int_usage_in_periods') }}
    where reset = 'cycle'

),

final as (

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

)

select * from final
