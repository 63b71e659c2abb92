{#- The exact amount of each overage before share and rounding (contract section 5, rules 6, 7 and 11). Null where it is
    beyond the type, or where cost_plus knows no cost. -#}

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

counted as (

    select
        billable_quantities.period_number,
        billable_quantities.plan_number,
        billable_quantities.charge_number,
        billable_quantities.overage_quantity,
        billable_quantities.overage_count,
        billable_quantities.quantity_count,
        billable_quantities.is_current,
        plan_charges.overage_model,
        coalesce(billable_quantities.override_unit_amount, plan_charges.unit_amount) as unit_amount,
        plan_charges.package_amount,
        plan_charges.package_size_count,
        plan_charges.flat_amount,
        plan_charges.invoice_zero,
        case
            when plan_charges.overage_model = 'cost_plus'
                then {{ attempt(
                    scaled("billable_quantities.cost_usd") ~ " * plan_charges.multiplier_count",
                    "plan_charges.multiplier_count"
                ) }}
        end as charged_count
    from billable_quantities
    inner join plan_charges on billable_quantities.charge_number = plan_charges.charge_number
    where
        billable_quantities.overage_quantity is null
        or billable_quantities.overage_quantity > 0
        or plan_charges.invoice_zero

),

divided as (

    select
        *,
        case when quantity_count > 0 then charged_count % quantity_count end as charged_rest
    from counted

),

priced as (

    select
        divided.period_number,
        divided.plan_number,
        divided.charge_number,
        divided.overage_quantity,
        case
            when divided.overage_quantity = 0 then cast(0 as decimal(38, 24))
            else {{ overage_amount("divided", "charge_tiers") }}
        end as full_amount,
        divided.invoice_zero,
        divided.is_current
    from divided
    left join charge_tiers
        on
            divided.charge_number = charge_tiers.charge_number
            and divided.overage_quantity > charge_tiers.tier_from
            and divided.overage_quantity <= charge_tiers.tier_to

),

final as (

    select
        period_number,
        plan_number,
        charge_number,
        overage_quantity,
        full_amount,
        invoice_zero,
        is_current
    from priced

)

select * from final
