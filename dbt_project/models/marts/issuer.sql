with issuer as (

    select * from {{ ref('stg_catalog__issuer') }}

),

final as (

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
    from issuer

)

select * from final
