{#- Tiers with what is below them, so that a graduated amount needs the last tier entered and no sum over tiers. -#}

with charge_tiers as (

    select * from {{ ref('stg_catalog__charge_tiers') }}

),

plan_charges as (

    select * from {{ ref('int_plan_charges') }}

),

bounds as (

    select
        plan_charges.charge_number,
        charge_tiers.tier_number,
        charge_tiers.up_to,
        charge_tiers.unit_amount,
        charge_tiers.flat_amount,
        coalesce(
            lag(charge_tiers.up_to) over (
                partition by plan_charges.charge_number
                order by charge_tiers.tier_number
            ),
            0
        ) as tier_from
    from charge_tiers
    inner join plan_charges
        on
            charge_tiers.plan_id = plan_charges.plan_id
            and charge_tiers.effective_from = plan_charges.effective_from
            and charge_tiers.meter_id = plan_charges.meter_id

),

{# A tier worth more than 10^12 counts as beyond the type, so that no sum of tiers can be. #}
full_tiers as (

    select
        charge_number,
        tier_number,
        tier_from,
        up_to,
        unit_amount,
        flat_amount,
        {{ attempt(
            "cast(" ~ volume_amount("(up_to - tier_from)", "unit_amount", "flat_amount") ~ " as decimal(36, 24))",
            "up_to"
        ) }} as full_amount
    from bounds

),

summed as (

    select
        charge_number,
        tier_number,
        tier_from,
        up_to,
        unit_amount,
        flat_amount,
        coalesce(sum(full_amount) over below, 0) as amount_below,
        count(full_amount) over below = count(*) over below as is_known
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
        tier_from,
        up_to,
        coalesce(up_to, cast(99999999999999999999999999 as decimal(38, 12))) as tier_to,
        unit_amount,
        flat_amount,
        case when is_known then cast(amount_below as decimal(38, 24)) end as amount_below
    from summed

)

select * from final
