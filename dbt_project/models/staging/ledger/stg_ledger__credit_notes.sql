{{ config(materialized='incremental', incremental_strategy='append') }}

with source as (

    select * from {{ closing_rows('credit_notes', {
        "credit_note_id": "varchar",
        "credit_note_number": "varchar",
        "sequence_number": "bigint",
        "invoice_id": "varchar",
        "customer_id": "varchar",
        "currency": "varchar",
        "amount_minor": "bigint",
        "reason": "varchar",
        "content_hash": "varchar",
        "issued_at": "timestamp with time zone",
    }, this if is_incremental() else none) }}

),

renamed as (

    select
        closing_number,
        credit_note_id,
        credit_note_number,
        sequence_number,
        invoice_id,
        customer_id,
        currency,
        amount_minor,
        reason,
        content_hash,
        issued_at
    from source

)

select * from renamed
