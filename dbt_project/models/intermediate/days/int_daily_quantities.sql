{{ config(materialized='view') }}

{#- The usage that can be added over days: that of sum and count meters. -#}

with daily_usage as (

    select * from {{ ref('int_daily_usage') }}

),

meters as (

    select * from {{ ref('stg_catalog__meters') }}

),

final as (

    select
        daily_usage.customer_id,
        daily_usage.meter_id,
        daily_usage.event_count,
        daily_usage.unpriced_count,
        daily_usage.quantity,
        daily_usage.cost_usd,
        daily_usage.usage_date
    from daily_usage
    inner join meters on daily_usage.meter_id = meters.meter_id
    where meters.aggregation in ('count', 'sum')

)

select * from final
