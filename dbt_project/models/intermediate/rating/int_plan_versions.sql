{#- Plans with what rating needs beside them: minor_half is half a minor unit of the currency counted in 10^-24,
    price_count the price counted in 10^-12. -#}

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
                when 0 then '500000000000000000000000'
                when 1 then '50000000000000000000000'
                when 2 then '5000000000000000000000'
                when 3 then '500000000000000000000'
                when 4 then '50000000000000000000'
            end as hugeint
        ) as minor_half,
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
