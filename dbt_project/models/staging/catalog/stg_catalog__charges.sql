with source as (

    select * from {{ catalog_table('charges', later=charge_term_types()) }}

),

renamed as (

    select
        plan_id,
        meter_id,
        reset,
        "limit",
        overage_model,
        position,
        included,
        capacity_unit_amount,
        {% for term in charge_terms() -%}
        {{ term.column }},
        {% endfor -%}
        prorate_included,
        invoice_zero,
        effective_from
    from source

)

select * from renamed
