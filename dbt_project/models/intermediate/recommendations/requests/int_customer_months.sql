{#- The complete local calendar months that provider cost is judged over. -#}

with customers as (

    select * from {{ ref('stg_accounts__customers') }}

),

clocks as (

    select
        customer_id,
        inactive_from,
        {{ local_date(as_of(), "timezone") }} as local_today
    from customers

),

months as (

    select
        customer_id,
        local_today,
        unnest({{ lookback_numbers() }}) as month_number
    from clocks
    where
        inactive_from is null
        or inactive_from > local_today

),

final as (

    select
        customer_id,
        cast(month_number as integer) as month_number,
        {{ months_before(month_start("local_today"), "month_number") }} as calendar_month
    from months

)

select * from final
