{#- Plans with what rating needs beside them: minor_count is a minor unit of the currency, price_count the price, both
    counted in 10^-12. -#}

with plans as (

    select * from {{ ref('stg_catalog__plans') }}

),

currencies as (

    select * from {{ ref('stg_catalog__currencies') }}

),

final as (

    select
        plans.plan_id,
        plans.name,
        plans.currency,
        plans.proration,
        cast(row_number() over (order by plans.plan_id, plans.effective_from) as integer) as plan_number,
        cast(currencies.minor_units as integer) as minor_units,
        cast(
            case currencies.minor_units
                when 0 then 1000000000000
                when 1 then 100000000000
                when 2 then 10000000000
                when 3 then 1000000000
                when 4 then 100000000
            end as bigint
        ) as minor_count,
        plans.rank,
        plans.price,
        {{ scaled("plans.price") }} as price_count,
        plans.effective_from,
        lead(plans.effective_from) over (
            partition by plans.plan_id
            order by plans.effective_from
        ) as effective_to
    from plans
    inner join currencies on plans.currency = currencies.currency

)

select * from final
