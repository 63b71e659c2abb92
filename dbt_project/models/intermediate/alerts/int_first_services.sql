{{ config(materialized='ephemeral') }}

{#- Where the plans of a cycle first give a customer a meter. A plan change in mid-cycle gives the same cycle a second
    allowance; what is said of it begins with its own days. -#}

with rated_periods as (

    select * from {{ ref('int_rated_periods') }}

),

plan_charges as (

    select * from {{ ref('int_plan_charges') }}

),

final as (

    select
        rated_periods.customer_id,
        plan_charges.meter_id,
        rated_periods.period_start,
        min(rated_periods.service_start) as service_start
    from rated_periods
    inner join plan_charges on rated_periods.plan_number = plan_charges.plan_number
    group by
        rated_periods.customer_id,
        plan_charges.meter_id,
        rated_periods.period_start

)

select * from final
