{#- The allowances to try: as it is, and raised by the whole units that each window of the recent cycles was short of.
    The cheapest allowance is one of them where a unit of overage has one price. A trial is a period to the rating
    models, in the shape of int_assigned_charges. -#}

with windows as (

    select * from {{ ref('int_capacity_windows') }}

),

charges as (

    select
        subscription_id,
        plan_number,
        charge_number,
        meter_number,
        reset,
        period_start,
        max(included_count) as included_count,
        max(plan_included_count) as plan_included_count,
        max(override_unit_count) as override_unit_count
    from windows
    group by
        subscription_id,
        plan_number,
        charge_number,
        meter_number,
        reset,
        period_start

),

additions as (

    select distinct
        subscription_id,
        meter_number,
        {{ scaled("cast(ceil(" ~ unscaled("(quantity_count - included_count)") ~ ") as decimal(38, 12))") }}
            as added_count
    from windows
    where quantity_count > included_count
    union
    select distinct
        subscription_id,
        meter_number,
        cast(0 as hugeint) as added_count
    from windows
    where quantity_count > included_count

),

final as (

    select
        charges.subscription_id,
        cast(
            row_number() over (
                order by charges.subscription_id, charges.charge_number, charges.period_start, additions.added_count
            ) as integer
        ) as period_number,
        charges.plan_number,
        charges.charge_number,
        charges.meter_number,
        charges.reset,
        charges.included_count + additions.added_count as included_count,
        {{ unscaled("(charges.included_count + additions.added_count)") }} as included_quantity,
        case
            when charges.included_count + additions.added_count > charges.plan_included_count
                then charges.included_count + additions.added_count - charges.plan_included_count
        end as capacity_count,
        charges.override_unit_count,
        additions.added_count,
        1 as share_days,
        1 as share_base,
        true as is_current,
        charges.period_start
    from charges
    inner join additions
        on
            charges.subscription_id = additions.subscription_id
            and charges.meter_number = additions.meter_number

)

select * from final
