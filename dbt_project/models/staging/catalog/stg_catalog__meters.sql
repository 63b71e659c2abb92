with source as (

    select * from {{ catalog_table('meters') }}

),

renamed as (

    select
        meter_id,
        name,
        unit,
        aggregation,
        field,
        per,
        carry_forward,
        billable
    from source

)

select * from renamed
