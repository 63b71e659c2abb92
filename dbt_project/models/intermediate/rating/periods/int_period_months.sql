{{ config(materialized='view') }}

{#- Service periods by the calendar months they touch, two at most: days find their period by customer and month, an
    equality, before the exact bounds are compared. -#}

with periods as (

    select * from {{ ref('int_periods_to_rate') }}

),

final as (

    select
        period_number,
        customer_id,
        service_start,
        service_end,
        {{ month_start("service_start") }} as month_start
    from periods
    union all
    select
        period_number,
        customer_id,
        service_start,
        service_end,
        {{ month_start("service_end - 1") }} as month_start
    from periods
    where {{ month_start("service_start") }} != {{ month_start("service_end - 1") }}

)

select * from final
