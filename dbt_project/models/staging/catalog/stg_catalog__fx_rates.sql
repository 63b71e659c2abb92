with source as (

    select * from {{ catalog_table('fx_rates') }}

),

renamed as (

    select
        base,
        quote,
        rate,
        rate_date
    from source

)

select * from renamed
