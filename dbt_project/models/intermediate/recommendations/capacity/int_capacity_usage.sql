{{ config(materialized='view') }}

{#- The usage that every trial is measured against, in the shape of int_usage_in_periods; of the whole cycle too, where
    its windows are shorter. -#}

with allowances as (

    select * from {{ ref('int_capacity_allowances') }}

),

windows as (

    select * from {{ ref('int_capacity_windows') }}

),

used as (

    select
        allowances.period_number,
        allowances.meter_number,
        allowances.reset,
        windows.quantity_count,
        windows.window_start
    from allowances
    inner join windows
        on
            allowances.subscription_id = windows.subscription_id
            and allowances.charge_number = windows.charge_number
            and allowances.period_start = windows.period_start
    where windows.quantity_count is not null

),

final as (

    select
        period_number,
        meter_number,
        reset,
        quantity_count,
        cast(null as decimal(38, 12)) as cost_usd,
        window_start
    from used
    union all
    select
        period_number,
        meter_number,
        'cycle' as reset,
        cast(sum(quantity_count) as hugeint) as quantity_count,
        cast(null as decimal(38, 12)) as cost_usd,
        min(window_start) as window_start
    from used
    where reset != 'cycle'
    group by
        period_number,
        meter_number

)

select * from final
