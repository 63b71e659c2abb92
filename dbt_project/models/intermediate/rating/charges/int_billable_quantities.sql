{#- Usage against allowance, per charge of an assignment, counted in 10^-12. Without usage the quantity is 0; a quantity
    beyond its type is null and so is what depends on it. -#}

with assigned_charges as (

    select * from {{ ref('int_assigned_charges') }}

),

usage as (

    select * from {{ ref('int_usage_in_periods') }}

),

{# Charges that reset within the cycle: what passes the allowance in one window is not made up for in another. #}
windowed as (

    select
        assigned_charges.period_number,
        assigned_charges.charge_number,
        max(usage.quantity_count) as peak_count,
        sum(greatest(usage.quantity_count - assigned_charges.included_count, 0)) as overage_count
    from assigned_charges
    inner join usage
        on
            assigned_charges.period_number = usage.period_number
            and assigned_charges.meter_number = usage.meter_number
            and assigned_charges.reset = usage.reset
    where assigned_charges.reset != 'cycle'
    group by
        assigned_charges.period_number,
        assigned_charges.charge_number

),

measured as (

    select
        assigned_charges.period_number,
        assigned_charges.plan_number,
        assigned_charges.charge_number,
        assigned_charges.reset,
        assigned_charges.included_count,
        assigned_charges.capacity_count,
        assigned_charges.override_unit_count,
        assigned_charges.is_current,
        case when usage.period_number is null then 0 else usage.quantity_count end as quantity_count,
        usage.cost_usd
    from assigned_charges
    left join usage
        on
            assigned_charges.period_number = usage.period_number
            and assigned_charges.meter_number = usage.meter_number
            and usage.reset = 'cycle'

),

final as (

    select
        measured.period_number,
        measured.plan_number,
        measured.charge_number,
        measured.quantity_count,
        case
            when measured.reset = 'cycle' then measured.quantity_count
            when windowed.period_number is null then 0
            else windowed.peak_count
        end as peak_count,
        measured.included_count,
        measured.capacity_count,
        case
            when measured.included_count is null then 0
            when measured.quantity_count is null then null
            when measured.reset = 'cycle' then greatest(measured.quantity_count - measured.included_count, 0)
            else coalesce(windowed.overage_count, 0)
        end as overage_count,
        measured.override_unit_count,
        measured.cost_usd,
        measured.is_current
    from measured
    left join windowed
        on
            measured.period_number = windowed.period_number
            and measured.charge_number = windowed.charge_number

)

select * from final
