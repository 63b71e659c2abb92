-- Guards against a stale or missing result: monthly_usage holds each charge of each period begun, and no other.
with rated_periods as (

    select * from {{ ref('int_rated_periods') }}

),

plan_charges as (

    select * from {{ ref('int_plan_charges') }}

),

monthly_usage as (

    select * from {{ ref('monthly_usage') }}

),

expected as (

    select
        rated_periods.subscription_id,
        rated_periods.period_start,
        rated_periods.service_end,
        plan_charges.meter_id
    from rated_periods
    inner join plan_charges on rated_periods.plan_number = plan_charges.plan_number

)

select
    coalesce(expected.subscription_id, monthly_usage.subscription_id) as subscription_id,
    coalesce(expected.period_start, monthly_usage.period_start) as period_start,
    coalesce(expected.meter_id, monthly_usage.meter_id) as meter_id
from expected
full outer join monthly_usage
    on
        expected.subscription_id = monthly_usage.subscription_id
        and expected.period_start = monthly_usage.period_start
        and expected.meter_id = monthly_usage.meter_id
        and expected.service_end = monthly_usage.service_end
where
    expected.subscription_id is null
    or monthly_usage.subscription_id is null
