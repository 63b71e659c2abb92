{#- Levels at the end of open cycles. max and latest keep their current level; unique counts the values seen so far and
    those expected to return. -#}

with periods as (

    select * from {{ ref('int_open_periods') }}

),

plan_charges as (

    select * from {{ ref('int_plan_charges') }}
    where aggregation in ('max', 'latest', 'unique')

),

period_levels as (

    select * from {{ ref('int_period_levels') }}

),

returning_values as (

    select * from {{ ref('int_returning_values') }}

),

windows as (

    select * from {{ ref('int_projected_windows') }}

),

charges as (

    select
        periods.period_number,
        periods.subscription_id,
        periods.period_start,
        periods.service_start,
        periods.service_end,
        periods.local_today,
        plan_charges.meter_id,
        plan_charges.meter_number,
        plan_charges.reset
    from periods
    inner join plan_charges on periods.plan_number = plan_charges.plan_number

),

cycles as (

    select
        charges.period_number,
        charges.meter_number,
        case
            when period_levels.subscription_id is null then 0
            else period_levels.quantity
        end + coalesce(returning_values.value_count, 0) as quantity,
        charges.service_start as window_start
    from charges
    left join period_levels
        on
            charges.subscription_id = period_levels.subscription_id
            and charges.period_start = period_levels.period_start
            and charges.meter_id = period_levels.meter_id
            and period_levels.reset = 'cycle'
    left join returning_values
        on
            charges.period_number = returning_values.period_number
            and charges.meter_number = returning_values.meter_number

),

final as (

    select
        period_number,
        meter_number,
        'cycle' as reset,
        cast(quantity as decimal(38, 12)) as quantity,
        window_start
    from cycles
    union all
    select
        period_number,
        meter_number,
        reset,
        quantity,
        window_start
    from windows

)

select * from final
