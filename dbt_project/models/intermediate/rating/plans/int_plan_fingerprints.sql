{#- A hash over everything in the catalog that a plan version's rating depends on: change any of it, and the periods
    that use it are rated again. -#}

with plan_versions as (

    select * from {{ ref('int_plan_versions') }}

),

plan_charges as (

    select * from {{ ref('int_plan_charges') }}

),

charge_tiers as (

    select * from {{ ref('int_charge_tiers') }}

),

meter_event_types as (

    select * from {{ ref('stg_catalog__meter_event_types') }}

),

meter_filters as (

    select * from {{ ref('stg_catalog__meter_filters') }}

),

meters as (

    select * from {{ ref('stg_catalog__meters') }}

),

tier_hashes as (

    select
        charge_number,
        string_agg(
            {{ fingerprint(["up_to_count", "unit_count", "flat_count"]) }}, ',' order by tier_number
        ) as tiers
    from charge_tiers
    group by charge_number

),

sources as (

    select
        meter_id,
        {{ fingerprint(["'event_type'", "event_type"]) }} as source_hash
    from meter_event_types
    union all
    select
        meter_id,
        {{ fingerprint(["field", "value"]) }} as source_hash
    from meter_filters

),

source_hashes as (

    select
        meter_id,
        string_agg(source_hash, ',' order by source_hash) as sources
    from sources
    group by meter_id

),

charge_hashes as (

    select
        plan_charges.plan_number,
        bool_or(plan_charges.carry_forward) as has_levels,
        bool_or(plan_charges.carry_forward and plan_charges.reset != 'cycle') as has_daily_levels,
        string_agg(
            {{ fingerprint([
                "plan_charges.meter_id", "plan_charges.meter_name", "plan_charges.unit", "plan_charges.aggregation",
                "meters.field", "meters.per", "plan_charges.carry_forward",
                "source_hashes.sources", "plan_charges.reset", 'plan_charges."limit"', "plan_charges.overage_model",
                "plan_charges.included", "plan_charges.prorate_included", "plan_charges.capacity_unit_amount",
            ] + charge_term_columns("plan_charges") + ["plan_charges.invoice_zero", "tier_hashes.tiers"]) }},
            ',' order by plan_charges.meter_id
        ) as charges
    from plan_charges
    inner join meters on plan_charges.meter_id = meters.meter_id
    left join tier_hashes on plan_charges.charge_number = tier_hashes.charge_number
    left join source_hashes on plan_charges.meter_id = source_hashes.meter_id
    group by plan_charges.plan_number

),

final as (

    select
        plan_versions.plan_number,
        {{ fingerprint([
            "plan_versions.plan_id", "plan_versions.effective_from", "plan_versions.name", "plan_versions.currency",
            "plan_versions.minor_units", "plan_versions.price", "plan_versions.proration", "charge_hashes.charges",
        ]) }} as fingerprint,
        coalesce(charge_hashes.has_levels, false) as has_levels,
        coalesce(charge_hashes.has_daily_levels, false) as has_daily_levels
    from plan_versions
    left join charge_hashes on plan_versions.plan_number = charge_hashes.plan_number

)

select * from final
