with source as (

    select * from {{ catalog_table('alert_settings') }}

),

renamed as (

    select
        key,
        value
    from source

)

select * from renamed
