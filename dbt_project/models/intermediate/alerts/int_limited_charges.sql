{{ config(materialized='ephemeral') }}

{#- The charges of the periods to rate whose allowance can be used up. -#}

with periods as (

    select * from {{ ref('int_periods_to_rate') }}

),

assigned_charges as (

    select * from {{ ref('int_assigned_charges') }}

),

plan_charges as (

    select * from {{ ref('int_plan_charges') }}

),

final as (

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

)

select * from final
