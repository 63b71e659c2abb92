{{ config(materialized='view') }}

with daily_usage as (

    select * from {{ ref('int_daily_usage') }}

),

final as (

    select
        usage_date,
        customer_id,
        meter_id,
        case when quantity < {{ beyond_quantity() }} then quantity end as quantity,
        event_count,
        cost_usd
    from daily_usage

)

select * from final
