{#- The exact amount of each overage before share and rounding (contract section 5, rules 6, 7 and 11), counted in
    10^-24. Null where it is beyond the type, or where cost_plus knows no cost. -#}

with billable_quantities as (

    select * from {{ ref('int_billable_quantities') }}

),

plan_charges as (

    select * from {{ ref('int_plan_charges') }}
    where overage_model is not null

),

charge_tiers as (

    select * from {{ ref('int_charge_tiers') }}

),

priced as (

    select
        billable_quantities.period_number,
        billable_quantities.plan_number,
        billable_quantities.charge_number,
        billable_quantities.overage_count,
        billable_quantities.quantity_count,
        billable_quantities.is_current,
        plan_charges.overage_model,
        coalesce(billable_quantities.override_unit_count, plan_charges.unit_count) as unit_count,
        {% for term in charge_terms() if term.count != "unit_count" -%}
        plan_charges.{{ term.count }},
        {% endfor -%}
        plan_charges.is_level,
        plan_charges.invoice_zero,
        case
            when plan_charges.overage_model = 'cost_plus'
                then {{ attempt(
                    scaled("billable_quantities.cost_usd") ~ " * plan_charges.multiplier_count",
                    "plan_charges.multiplier_count"
                ) }}
        end as charged_amount
    from billable_quantities
    inner join plan_charges on billable_quantities.charge_number = plan_charges.charge_number
    where
        billable_quantities.overage_count is null
        or billable_quantities.overage_count > 0
        or plan_charges.invoice_zero

),

divided as (

    select
        *,
        case when quantity_count > 0 then charged_amount % quantity_count end as charged_rest
    from priced

),

final as (

    select
        divided.period_number,
        divided.plan_number,
        divided.charge_number,
        divided.overage_count,
        case
            when divided.overage_count = 0 then cast(0 as hugeint)
            else {{ overage_amount("divided", "charge_tiers") }}
        end as full_amount,
        divided.is_level,
        divided.invoice_zero,
        divided.is_current
    from divided
    left join charge_tiers
        on
            divided.charge_number = charge_tiers.charge_number
            and divided.overage_count > charge_tiers.from_count
            and divided.overage_count <= charge_tiers.up_to_count

)

select * from final
