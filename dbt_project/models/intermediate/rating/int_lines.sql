{#- Every line of every assignment, with its share of the cycle and its one rounding. Lines of exactly 0 are left out
    unless they are asked for; a line that only rounds to 0 stays. A null amount is a fault, not a line. -#}

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
    where capacity_quantity is not null

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
        cast(1 as decimal(38, 12)) as quantity,
        {{ attempt("cast(plan_versions.price as decimal(38, 24))", "plan_versions.price") }} as full_amount,
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
        capacities.capacity_quantity as quantity,
        {{ attempt(
            exact_product("capacities.capacity_quantity", "plan_charges.capacity_unit_amount"),
            "capacities.capacity_quantity"
        ) }} as full_amount,
        true as is_shared,
        false as invoice_zero
    from capacities
    inner join plan_charges on capacities.charge_number = plan_charges.charge_number
    where plan_charges.capacity_unit_amount is not null
    union all
    select
        charges.period_number,
        charges.plan_number,
        'usage' as line_type,
        charges.charge_number,
        charges.overage_quantity as quantity,
        charges.full_amount,
        plan_charges.is_level as is_shared,
        charges.invoice_zero
    from charges
    inner join plan_charges on charges.charge_number = plan_charges.charge_number

),

counted as (

    select
        parts.period_number,
        parts.plan_number,
        parts.line_type,
        parts.charge_number,
        parts.quantity,
        parts.full_amount,
        assignments.share_days,
        assignments.share_base,
        case
            when parts.is_shared and assignments.share_days < assignments.share_base
                then {{ scaled_product("parts.full_amount") }}
        end as shared_count,
        assignments.is_current
    from parts
    inner join assignments
        on
            parts.period_number = assignments.period_number
            and parts.plan_number = assignments.plan_number
    where
        parts.full_amount is null
        or parts.full_amount != 0
        or parts.invoice_zero

),

exact as (

    select
        period_number,
        plan_number,
        line_type,
        charge_number,
        quantity,
        case
            when shared_count is not null then {{ exact_share("shared_count", "share_days", "share_base") }}
            else full_amount
        end as exact_amount,
        is_current
    from counted

),

final as (

    select
        exact.period_number,
        exact.plan_number,
        exact.line_type,
        exact.charge_number,
        exact.quantity,
        exact.exact_amount,
        {{ attempt(to_minor("exact.exact_amount", "plan_versions.minor_factor"), "exact.exact_amount") }}
            as amount_minor,
        exact.is_current
    from exact
    inner join plan_versions on exact.plan_number = plan_versions.plan_number

)

select * from final
