{#- Tiers with what is below them, so that a graduated amount needs the last tier entered and no sum over tiers. Counted
    like int_plan_charges; amount_below is a count of 10^-24. -#}

with charge_tiers as (

    select * from {{ ref('stg_catalog__charge_tiers') }}

),

plan_charges as (

    select * from {{ ref('int_plan_charges') }}

),

counted as (

    select
        plan_charges.charge_number,
        charge_tiers.tier_number,
        {{ scaled("charge_tiers.up_to") }} as up_to_count,
        {{ scaled("charge_tiers.unit_amount") }} as unit_count,
        {{ scaled("charge_tiers.flat_amount") }} as flat_count
    from charge_tiers
    inner join plan_charges
        on
            charge_tiers.plan_id = plan_charges.plan_id
            and charge_tiers.effective_from = plan_charges.effective_from
            and charge_tiers.meter_id = plan_charges.meter_id

),

bounds as (

    select
        charge_number,
        tier_number,
        up_to_count,
        unit_count,
        flat_count,
        coalesce(lag(up_to_count) over (partition by charge_number order by tier_number), 0) as from_count
    from counted

),

full_tiers as (

    select
        charge_number,
        tier_number,
        from_count,
        up_to_count,
        unit_count,
        flat_count,
        {{ attempt(volume_amount("(up_to_count - from_count)", "unit_count", "flat_count"), "up_to_count") }}
            as full_amount
    from bounds

),

summed as (

    select
        charge_number,
        tier_number,
        from_count,
        up_to_count,
        unit_count,
        flat_count,
        coalesce(sum(full_amount) filter (where {{ is_within_type("full_amount") }}) over below, 0) as amount_below,
        count(*) over below = count(full_amount) filter (where {{ is_within_type("full_amount") }}) over below
            as is_known
    from full_tiers
    window below as (
        partition by charge_number
        order by tier_number
        rows between unbounded preceding and 1 preceding
    )

),

final as (

    select
        charge_number,
        tier_number,
        from_count,
        coalesce(up_to_count, cast('99999999999999999999999999999999999999' as hugeint)) as up_to_count,
        unit_count,
        flat_count,
        case when is_known then cast(amount_below as hugeint) end as amount_below
    from summed

)

select * from final
