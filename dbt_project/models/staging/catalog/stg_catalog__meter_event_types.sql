with source as (

    select * from {{ catalog_table('meter_event_types') }}

),

renamed as (

    select
        meter_id,
        event_type
    from source

)

select * from renamed
