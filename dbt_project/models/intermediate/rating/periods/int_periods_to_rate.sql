{#- The service periods that this build rates, with a number for narrow joins; the number means nothing elsewhere. -#}

with rated_periods as (

    select * from {{ ref('int_rated_periods') }}
    where is_due

),

final as (

    select
        subscription_id,
        customer_id,
        currency,
        cast(row_number() over (order by subscription_id, period_start) as integer) as period_number,
        plan_number,
        served_days,
        cycle_days,
        period_start,
        period_end,
        service_start,
        service_end,
        local_today
    from rated_periods

)

select * from final
