{#- Allowances that hold so far and are projected to be passed before the cycle is over. Where an allowance resets
    within the cycle, the window that is passed first counts; once one has been passed, nothing is left to foretell. -#}

with periods as (

    select * from {{ ref('int_open_periods') }}
    where scenario = 'projected'

),

exhausted_allowances as (

    select * from {{ ref('int_exhausted_allowances') }}

),

allowances as (

    select * from {{ ref('int_projected_allowances') }}

),

plan_charges as (

    select * from {{ ref('int_plan_charges') }}

),

projected_usage as (

    select * from {{ ref('int_projected_usage') }}

),

projected_days as (

    select * from {{ ref('int_projected_days') }}

),

period_levels as (

    select * from {{ ref('int_period_levels') }}

),

charges as (

    select
        periods.period_number,
        periods.open_number,
        periods.customer_id,
        periods.subscription_id,
        plan_charges.charge_number,
        plan_charges.meter_number,
        plan_charges.meter_id,
        allowances.reset,
        allowances.included_quantity,
        plan_charges."limit" = 'hard' as is_hard,
        periods.period_start,
        periods.service_start,
        {{ window_start("allowances.reset", "periods.service_start", "exhausted_allowances.exhausted_on") }}
            as window_start,
        periods.local_today,
        exhausted_allowances.exhausted_on
    from exhausted_allowances
    inner join periods on exhausted_allowances.period_number = periods.period_number
    inner join plan_charges on exhausted_allowances.charge_number = plan_charges.charge_number
    inner join allowances
        on
            exhausted_allowances.period_number = allowances.period_number
            and exhausted_allowances.charge_number = allowances.charge_number
    where exhausted_allowances.exhausted_on >= periods.local_today

),

used as (

    select
        charges.period_number,
        charges.charge_number,
        case when count(*) = count(projected_days.quantity) then sum(projected_days.quantity) end as quantity
    from charges
    inner join projected_days
        on
            charges.open_number = projected_days.open_number
            and charges.charge_number = projected_days.charge_number
            and charges.window_start = projected_days.window_start
    group by
        charges.period_number,
        charges.charge_number
    union all
    select
        charges.period_number,
        charges.charge_number,
        period_levels.quantity
    from charges
    inner join period_levels
        on
            charges.subscription_id = period_levels.subscription_id
            and charges.period_start = period_levels.period_start
            and charges.meter_id = period_levels.meter_id
            and charges.reset = period_levels.reset
            and charges.window_start = period_levels.window_start

),

final as (

    select
        charges.customer_id,
        charges.subscription_id,
        charges.meter_id,
        charges.reset,
        case when used.period_number is null then 0 else used.quantity end as quantity,
        projected_usage.quantity as projected_quantity,
        charges.included_quantity,
        charges.is_hard,
        charges.period_start,
        charges.service_start,
        charges.window_start,
        charges.local_today as projected_on,
        charges.exhausted_on
    from charges
    inner join projected_usage
        on
            charges.period_number = projected_usage.period_number
            and charges.meter_number = projected_usage.meter_number
            and charges.reset = projected_usage.reset
            and charges.window_start = projected_usage.window_start
    left join used
        on
            charges.period_number = used.period_number
            and charges.charge_number = used.charge_number
    where used.period_number is null or used.quantity <= charges.included_quantity

)

select * from final
