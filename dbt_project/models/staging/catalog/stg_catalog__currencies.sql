with source as (

    select * from {{ catalog_table('currencies') }}

),

renamed as (

    select
        currency,
        minor_units
    from source

)

select * from renamed
