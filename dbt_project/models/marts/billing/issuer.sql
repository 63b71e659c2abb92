{#- Who issued what: the issuer of the catalog version that a closing pinned, whatever issuer.yml says today. What is
    not issued yet has that of the catalog in use. -#}

{%- set closings = ref("stg_ledger__closings") %}
{%- set versions = column_values("select distinct catalog_version from " ~ closings ~ " order by 1") %}

with closings as (

    select * from {{ closings }}

),

issuer as (

    select * from {{ ref('stg_catalog__issuer') }}

),

pinned_issuers as (

    select * from {{ pinned_table("catalog", "issuer", versions, [
        "name", "address", "tax_id", "email", "website", "payment_instructions", "note", "service_category",
        "service_subcategory", "payment_terms_days",
    ], {"payment_terms_days": "bigint"}) }}

),

final as (

    select
        closings.closing_number,
        pinned_issuers.name,
        pinned_issuers.address,
        pinned_issuers.tax_id,
        pinned_issuers.email,
        pinned_issuers.website,
        pinned_issuers.payment_instructions,
        pinned_issuers.note,
        pinned_issuers.service_category,
        pinned_issuers.service_subcategory,
        pinned_issuers.payment_terms_days
    from closings
    inner join pinned_issuers on closings.catalog_version = pinned_issuers.catalog_version
    union all
    select
        cast(null as integer) as closing_number,
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
