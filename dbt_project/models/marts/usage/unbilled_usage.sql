{{ config(materialized='view') }}

with unbilled_activity as (

    select * from {{ ref('int_unbilled_activity') }}

),

final as (

    select
        usage_date,
        customer_id,
        event_type,
        reason,
        event_count,
        quantity
    from unbilled_activity

)

select * from final
