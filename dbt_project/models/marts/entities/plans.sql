with plans as (

    select * from {{ ref('stg_catalog__plans') }}

),

final as (

    select
        plan_id,
        name,
        currency,
        proration,
        features,
        rank,
        price,
        effective_from
    from plans

)

select * from final
