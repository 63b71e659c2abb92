{{ config(materialized='incremental', incremental_strategy='append') }}

with source as (

    select * from {{ closing_rows('closings', {
        "through": "date",
        "as_of": "timestamp with time zone",
        "closed_at": "timestamp with time zone",
        "closed_by": "varchar",
        "recorded_at": "timestamp with time zone",
        "corrections_from": "decimal(38, 12)",
        "catalog_version": "varchar",
        "accounts_version": "varchar",
        "prices_version": "varchar",
        "code_version": "varchar",
        "batch_count": "bigint",
        "invoice_count": "bigint",
        "credit_note_count": "bigint",
    }, this if is_incremental() else none) }}

),

renamed as (

    select
        closing_number,
        through,
        as_of,
        closed_at,
        closed_by,
        recorded_at,
        corrections_from,
        catalog_version,
        accounts_version,
        prices_version,
        code_version,
        batch_count,
        invoice_count,
        credit_note_count
    from source

)

select * from renamed
