with source as (

    select * from {{ catalog_table('meter_filters') }}

),

renamed as (

    select
        meter_id,
        field,
        value
    from source

)

select * from renamed
