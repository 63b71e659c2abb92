{{ config(materialized='view') }}

{#- What an issued charge is priced by: the plan's months, units beyond the allowance, or the charge as a whole where
    a model has no single unit price. A level and bought capacity are priced for the part of the cycle that they serve.
    The list price is the plan's own; where the amount says otherwise, another was agreed. Corrections have none. -#}

with charges as (

    select * from {{ ref('int_issued_charges') }}
    where not is_correction

),

plan_versions as (

    select * from {{ ref('int_plan_versions') }}

),

plan_charges as (

    select * from {{ ref('int_plan_charges') }}

),

terms as (

    select
        charges.charge_id,
        charges.charge_type,
        charges.quantity,
        charges.amount,
        plan_charges.unit,
        case charges.charge_type
            when 'price' then 'recurring'
            when 'capacity' then 'capacity'
            else plan_charges.overage_model
        end as pricing_model,
        case charges.charge_type
            when 'price' then plan_versions.price
            when 'capacity' then plan_charges.capacity_unit_amount
            else plan_charges.unit_amount
        end as list_price,
        charges.charge_type in ('price', 'capacity') or coalesce(plan_charges.is_level, false) as is_shared,
        case when plan_versions.proration = 'none' then 1 else charges.service_end - charges.service_start end
            as served_days,
        case when plan_versions.proration = 'none' then 1 else charges.period_end - charges.period_start end
            as cycle_days
    from charges
    left join plan_versions
        on
            charges.plan_id = plan_versions.plan_id
            and charges.plan_version = plan_versions.effective_from
    left join plan_charges
        on
            charges.plan_id = plan_charges.plan_id
            and charges.plan_version = plan_charges.effective_from
            and charges.meter_id = plan_charges.meter_id

),

priced as (

    select
        *,
        coalesce(pricing_model in ('recurring', 'capacity', 'per_unit') and list_price is not null, false)
            as has_unit_price,
        case when is_shared then {{ exact_ratio("quantity", "served_days", "cycle_days") }} else quantity end
            as unit_quantity
    from terms

),

compared as (

    select
        *,
        {{ exact_product("list_price", "unit_quantity") }} as list_amount,
        case
            when has_unit_price and unit_quantity > 0
                then {{ exact_ratio("amount", "1000000000000", scaled("unit_quantity")) }}
        end as average_price
    from priced

),

final as (

    select
        charge_id,
        coalesce(pricing_model, 'other') as pricing_model,
        case when has_unit_price then unit_quantity else cast(1 as decimal(38, 12)) end as pricing_quantity,
        case
            when not has_unit_price then 'Charges'
            when charge_type = 'price' then 'Months'
            when is_shared then {{ unit_months("unit") }}
            else {{ unit_text("unit") }}
        end as pricing_unit,
        case when has_unit_price then list_price else amount end as list_unit_price,
        case
            when not has_unit_price then amount
            -- A share is rounded to 12 digits, so amounts this close are one.
            when average_price is null or abs(list_amount - amount) < cast(0.000001 as decimal(12, 12))
                then list_price
            else average_price
        end as contracted_unit_price
    from compared

)

select * from final
