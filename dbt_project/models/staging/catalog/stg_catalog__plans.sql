with source as (

    select * from {{ catalog_table('plans') }}

),

renamed as (

    select
        plan_id,
        name,
        currency,
        proration,
        features,
        rank,
        price,
        effective_from
    from source

)

select * from renamed
