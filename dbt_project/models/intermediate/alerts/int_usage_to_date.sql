-- depends_on: {{ ref('int_rated_periods') }}
{{ config(materialized='incremental', incremental_strategy='append', pre_hook="{{ delete_rerated() }}") }}

{#- How usage grew day by day against its allowance: what alerts are dated by. Only days on which it changed, and only
    charges with an allowance that can be used up. -#}

with charges as (

    select * from {{ ref('int_limited_charges') }}

),

changes as (

    select * from {{ ref('int_usage_changes') }}

),

daily_changes as (

    select
        period_number,
        meter_number,
        window_start,
        usage_date,
        cast({{ bounded_sum("quantity") }} as decimal(38, 12)) as quantity
    from changes
    group by
        period_number,
        meter_number,
        window_start,
        usage_date

),

running as (

    select
        period_number,
        meter_number,
        window_start,
        usage_date,
        sum(quantity) over (
            partition by period_number, meter_number, window_start
            order by usage_date
        ) as quantity
    from daily_changes

),

final as (

    select
        charges.customer_id,
        charges.subscription_id,
        charges.plan_id,
        charges.meter_id,
        charges.reset,
        cast(running.quantity as decimal(38, 12)) as quantity,
        charges.included_quantity,
        charges.is_hard,
        charges.period_start,
        charges.service_start,
        running.window_start,
        running.usage_date
    from running
    inner join charges
        on
            running.period_number = charges.period_number
            and running.meter_number = charges.meter_number

)

select * from final
