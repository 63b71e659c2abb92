{#- Usage of recent cycles in the windows that its allowance is for, where more allowance is for sale; a cycle without
    any counts too, since what is bought is paid in it. A cost_plus overage is left aside: its price follows the
    provider's. -#}

with cycles as (

    select * from {{ ref('int_recent_cycles') }}

),

usage_to_date as (

    select * from {{ ref('int_usage_to_date') }}
    where {{ is_looked_back_on("usage_date") }}

),

plan_charges as (

    select * from {{ ref('int_plan_charges') }}
    where
        capacity_unit_count is not null
        and included_count is not null
        and overage_model != 'cost_plus'

),

overrides as (

    select * from {{ ref('stg_accounts__overrides') }}

),

windows as (

    select
        subscription_id,
        meter_id,
        period_start,
        window_start,
        max_by(quantity, usage_date) as quantity
    from usage_to_date
    group by
        subscription_id,
        meter_id,
        period_start,
        window_start

),

final as (

    select
        cycles.subscription_id,
        cycles.plan_number,
        plan_charges.charge_number,
        plan_charges.meter_number,
        plan_charges.reset,
        {{ scaled("windows.quantity") }} as quantity_count,
        coalesce({{ scaled("overrides.included") }}, plan_charges.included_count) as included_count,
        plan_charges.included_count as plan_included_count,
        {{ scaled("overrides.unit_amount") }} as override_unit_count,
        cycles.period_start,
        windows.window_start
    from cycles
    inner join plan_charges on cycles.plan_number = plan_charges.plan_number
    left join overrides
        on
            cycles.subscription_id = overrides.subscription_id
            and plan_charges.meter_id = overrides.meter_id
            and (cycles.period_start >= overrides.valid_from or overrides.valid_from is null)
            and (cycles.period_start < overrides.valid_to or overrides.valid_to is null)
    left join windows
        on
            cycles.subscription_id = windows.subscription_id
            and cycles.period_start = windows.period_start
            and plan_charges.meter_id = windows.meter_id
    where coalesce(overrides.is_unlimited, false) = false

)

select * from final
