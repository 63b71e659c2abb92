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
        case currencies.minor_units when 0 then 1 when 1 then 10 when 2 then 100 when 3 then 1000 when 4 then 10000 end
            as minor_factor,
        plans.rank,
        plans.price,
        plans.effective_from,
        lead(plans.effective_from) over (
            partition by plans.plan_id
            order by plans.effective_from
        ) as effective_to
    from plans
    inner join currencies on plans.currency = currencies.currency

)

select * from final
