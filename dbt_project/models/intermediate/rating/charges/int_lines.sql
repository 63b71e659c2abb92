{#- Every line of every assignment, with its share of the cycle and its one rounding; amounts are counts of 10^-24.
    Lines of exactly 0 are left out unless they are asked for; a line that only rounds to 0 stays. A null amount is a fault,
    not a line. -#}

with assignments as (

    select * from {{ ref('int_assignments') }}

),

plan_versions as (

    select * from {{ ref('int_plan_versions') }}

),

plan_charges as (

    select * from {{ ref('int_plan_charges') }}

),

capacities as (

    select * from {{ ref('int_billable_quantities') }}
    where capacity_count is not null

),

charges as (

    select * from {{ ref('int_charges') }}

),

{# Prices and bought capacity are for the whole cycle; so is the overage of a level (rules 3, 4 and 6). #}
parts as (

    select
        assignments.period_number,
        assignments.plan_number,
        'price' as line_type,
        cast(null as integer) as charge_number,
        cast(1000000000000 as hugeint) as quantity_count,
        {{ attempt(flat_amount("plan_versions.price_count"), "plan_versions.price_count") }} as full_amount,
        true as is_shared,
        false as invoice_zero
    from assignments
    inner join plan_versions on assignments.plan_number = plan_versions.plan_number
    union all
    select
        capacities.period_number,
        capacities.plan_number,
        'capacity' as line_type,
        capacities.charge_number,
        capacities.capacity_count as quantity_count,
        {{ attempt(
            per_unit_amount("capacities.capacity_count", "plan_charges.capacity_unit_count"),
            "capacities.capacity_count"
        ) }} as full_amount,
        true as is_shared,
        false as invoice_zero
    from capacities
    inner join plan_charges on capacities.charge_number = plan_charges.charge_number
    where plan_charges.capacity_unit_count is not null
    union all
    select
        period_number,
        plan_number,
        'usage' as line_type,
        charge_number,
        overage_count as quantity_count,
        full_amount,
        is_level as is_shared,
        invoice_zero
    from charges

),

shared as (

    select
        parts.period_number,
        parts.plan_number,
        parts.line_type,
        parts.charge_number,
        parts.quantity_count,
        case
            when parts.is_shared and assignments.share_days < assignments.share_base
                then {{ amount_share("parts.full_amount", "assignments.share_days", "assignments.share_base") }}
            else parts.full_amount
        end as amount,
        parts.full_amount != 0 or parts.invoice_zero or parts.full_amount is null as is_kept,
        assignments.is_current
    from parts
    inner join assignments
        on
            parts.period_number = assignments.period_number
            and parts.plan_number = assignments.plan_number

),

final as (

    select
        shared.period_number,
        shared.plan_number,
        shared.line_type,
        shared.charge_number,
        shared.quantity_count,
        case when {{ is_within_type("shared.amount") }} then shared.amount end as amount,
        case
            when {{ is_within_type("shared.amount") }}
                then {{ to_minor("shared.amount", "plan_versions.minor_count") }}
        end as amount_minor,
        shared.is_current
    from shared
    inner join plan_versions on shared.plan_number = plan_versions.plan_number
    where shared.is_kept

)

select * from final
