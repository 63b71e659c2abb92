-- depends_on: {{ ref('int_rated_periods') }}
{{ config(materialized='incremental', incremental_strategy='append', pre_hook="{{ delete_rerated() }}") }}

with billable_quantities as (

    select * from {{ ref('int_billable_quantities') }}
    where is_current

),

periods as (

    select * from {{ ref('int_periods_to_rate') }}

),

plan_charges as (

    select * from {{ ref('int_plan_charges') }}

),

final as (

    select
        periods.customer_id,
        periods.subscription_id,
        plan_charges.plan_id,
        plan_charges.meter_id,
        plan_charges.reset,
        {{ unscaled("billable_quantities.quantity_count") }} as quantity,
        {{ unscaled("billable_quantities.included_count") }} as included_quantity,
        {{ unscaled("billable_quantities.overage_count") }} as overage_quantity,
        case
            when billable_quantities.included_count > 0
                then {{ usage_ratio("billable_quantities.peak_count", "billable_quantities.included_count") }}
        end as used_ratio,
        billable_quantities.cost_usd,
        plan_charges.effective_from as plan_version,
        periods.period_start,
        periods.period_end,
        periods.service_start,
        periods.service_end
    from billable_quantities
    inner join periods on billable_quantities.period_number = periods.period_number
    inner join plan_charges on billable_quantities.charge_number = plan_charges.charge_number

)

select * from final
