with issuers as (

    select * from {{ ref('int_document_issuers') }}

),

final as (

    select
        closing_number,
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
    from issuers

)

select * from final
