-- depends_on: {{ ref('int_rated_periods') }}
{{ config(materialized='incremental', incremental_strategy='append', pre_hook="{{ delete_rerated() }}") }}

{#- The day on which a level went above its allowance. The level of a day is the sum over `per` values of the highest
    (max) or last (latest) reading so far; of unique meters, the values seen so far. -#}

with exceeded as (

    select * from {{ ref('int_exceeded_levels') }}

),

changes as (

    select * from {{ ref('int_exceeded_level_changes') }}

),

days as (

    select
        period_number,
        meter_number,
        usage_date,
        sum(sum(quantity_change)) over (
            partition by period_number, meter_number
            order by usage_date
            rows between unbounded preceding and current row
        ) as quantity
    from changes
    group by
        period_number,
        meter_number,
        usage_date

),

final as (

    select
        exceeded.subscription_id,
        exceeded.meter_id,
        exceeded.period_start,
        min(days.usage_date) as passed_on
    from exceeded
    inner join days
        on
            exceeded.period_number = days.period_number
            and exceeded.meter_number = days.meter_number
            and exceeded.included_quantity < days.quantity
    group by
        exceeded.subscription_id,
        exceeded.meter_id,
        exceeded.period_start

)

select * from final
