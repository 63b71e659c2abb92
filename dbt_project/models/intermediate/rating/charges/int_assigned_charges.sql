{{ config(materialized='view') }}

{#- The allowance and price of each charge of an assignment. Overrides belong to the subscription as it is, so they
    count where is_current and not on the plans it is compared with (contract section 5, rules 4, 9 and 11). -#}

with assignments as (

    select * from {{ ref('int_assignments') }}

),

plan_charges as (

    select * from {{ ref('int_plan_charges') }}

),

periods as (

    select * from {{ ref('int_periods_to_rate') }}

),

overrides as (

    select * from {{ ref('stg_accounts__overrides') }}

),

overrides_in_force as (

    select
        periods.period_number,
        plan_charges.charge_number,
        overrides.is_unlimited,
        {{ scaled("overrides.included") }} as included_count,
        {{ scaled("overrides.unit_amount") }} as unit_count,
        true as is_current
    from periods
    inner join overrides
        on
            periods.subscription_id = overrides.subscription_id
            and (periods.service_start >= overrides.valid_from or overrides.valid_from is null)
            and (periods.service_start < overrides.valid_to or overrides.valid_to is null)
    inner join plan_charges
        on
            periods.plan_number = plan_charges.plan_number
            and overrides.meter_id = plan_charges.meter_id

),

allowances as (

    select
        assignments.period_number,
        assignments.plan_number,
        plan_charges.charge_number,
        plan_charges.meter_number,
        assignments.share_days,
        assignments.share_base,
        plan_charges.reset,
        case
            when overrides_in_force.is_unlimited then null
            else coalesce(overrides_in_force.included_count, plan_charges.included_count)
        end as included_count,
        case
            when overrides_in_force.included_count > plan_charges.included_count
                then overrides_in_force.included_count - plan_charges.included_count
        end as capacity_count,
        overrides_in_force.unit_count as override_unit_count,
        plan_charges.prorate_included and assignments.share_days < assignments.share_base as is_prorated,
        assignments.is_current
    from assignments
    inner join plan_charges on assignments.plan_number = plan_charges.plan_number
    left join overrides_in_force
        on
            assignments.period_number = overrides_in_force.period_number
            and plan_charges.charge_number = overrides_in_force.charge_number
            and assignments.is_current = overrides_in_force.is_current

),

prorated as (

    select
        period_number,
        plan_number,
        charge_number,
        meter_number,
        reset,
        case
            when is_prorated then {{ count_share("included_count", "share_days", "share_base") }}
            else included_count
        end as included_count,
        capacity_count,
        override_unit_count,
        is_current
    from allowances

),

final as (

    select
        period_number,
        plan_number,
        charge_number,
        meter_number,
        reset,
        included_count,
        {{ unscaled("included_count") }} as included_quantity,
        capacity_count,
        override_unit_count,
        is_current
    from prorated

)

select * from final
