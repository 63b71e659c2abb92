with closings as (

    select * from {{ ref('stg_ledger__closings') }}

),

final as (

    select
        closing_number,
        closed_by,
        catalog_version,
        accounts_version,
        prices_version,
        code_version,
        corrections_from,
        batch_count,
        invoice_count,
        credit_note_count,
        through,
        as_of,
        recorded_at
    from closings

)

select * from final
