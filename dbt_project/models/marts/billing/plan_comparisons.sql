-- depends_on: {{ ref('int_rated_periods') }}
{{ config(materialized='incremental', incremental_strategy='append', pre_hook="{{ delete_rerated() }}") }}

with assignments as (

    select * from {{ ref('int_assignments') }}

),

periods as (

    select * from {{ ref('int_periods_to_rate') }}

),

plan_versions as (

    select * from {{ ref('int_plan_versions') }}

),

plan_charges as (

    select * from {{ ref('int_plan_charges') }}

),

lines as (

    select * from {{ ref('int_lines') }}

),

billable_quantities as (

    select * from {{ ref('int_billable_quantities') }}

),

usage as (

    select * from {{ ref('int_usage_in_periods') }}
    where
        reset = 'cycle'
        and (quantity_count > 0 or quantity_count is null)

),

totals as (

    select
        period_number,
        plan_number,
        sum(amount) as amount,
        sum(amount_minor) as total_minor,
        count(*) = count(amount_minor) as is_known
    from lines
    group by
        period_number,
        plan_number

),

{# Usage passes an allowance that is hard or has no price. #}
exceeded as (

    select distinct
        billable_quantities.period_number,
        billable_quantities.plan_number
    from billable_quantities
    inner join plan_charges on billable_quantities.charge_number = plan_charges.charge_number
    where
        billable_quantities.overage_count > 0
        and (plan_charges."limit" = 'hard' or plan_charges.overage_model is null)

),

{# Meters that the subscription's own plan charges for and the other plan does not have. #}
missing_meters as (

    select
        own.plan_number as own_plan_number,
        plan_versions.plan_number,
        own.meter_number
    from plan_charges as own
    cross join plan_versions
    left join plan_charges as other
        on
            plan_versions.plan_number = other.plan_number
            and own.meter_number = other.meter_number
    where other.meter_number is null

),

missing as (

    select distinct
        assignments.period_number,
        assignments.plan_number
    from assignments
    inner join periods on assignments.period_number = periods.period_number
    inner join missing_meters
        on
            periods.plan_number = missing_meters.own_plan_number
            and assignments.plan_number = missing_meters.plan_number
    inner join usage
        on
            assignments.period_number = usage.period_number
            and missing_meters.meter_number = usage.meter_number

),

final as (

    select
        periods.customer_id,
        periods.subscription_id,
        plan_versions.plan_id,
        plan_versions.currency,
        case
            when totals.period_number is null then cast(0 as decimal(38, 12))
            when totals.is_known then {{ amount_decimal("totals.amount") }}
        end as amount,
        case
            when totals.period_number is null then cast(0 as bigint)
            when totals.is_known then cast(totals.total_minor as bigint)
        end as total_minor,
        assignments.is_current,
        exceeded.period_number is null and missing.period_number is null as is_feasible,
        plan_versions.effective_from as plan_version,
        periods.period_start,
        periods.period_end,
        periods.service_start,
        periods.service_end
    from assignments
    inner join periods on assignments.period_number = periods.period_number
    inner join plan_versions on assignments.plan_number = plan_versions.plan_number
    left join totals
        on
            assignments.period_number = totals.period_number
            and assignments.plan_number = totals.plan_number
    left join exceeded
        on
            assignments.period_number = exceeded.period_number
            and assignments.plan_number = exceeded.plan_number
    left join missing
        on
            assignments.period_number = missing.period_number
            and assignments.plan_number = missing.plan_number

)

select * from final
