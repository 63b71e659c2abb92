with source as (

    select * from {{ catalog_table('prices') }}

),

renamed as (

    select
        provider,
        model,
        event_type,
        unit,
        usd_per_unit,
        valid_from,
        valid_to
    from source

)

select * from renamed
