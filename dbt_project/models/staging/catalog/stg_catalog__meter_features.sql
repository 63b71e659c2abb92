with source as (

    select * from {{ catalog_table('meter_features') }}

),

renamed as (

    select
        meter_id,
        feature
    from source

)

select * from renamed
