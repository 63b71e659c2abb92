with source as (

    select * from {{ catalog_table('issuer') }}

),

renamed as (

    select
        name,
        address,
        tax_id,
        email,
        website,
        payment_instructions,
        note,
        service_category,
        service_subcategory,
        payment_terms_days
    from source

)

select * from renamed
