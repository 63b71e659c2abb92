{{ config(materialized='incremental', incremental_strategy='append') }}

with source as (

    select * from {{ closing_rows('credit_note_lines', {
        "credit_note_line_id": "varchar",
        "credit_note_id": "varchar",
        "line_number": "bigint",
        "invoice_line_id": "varchar",
        "corrects_line_id": "varchar",
        "amount_minor": "bigint",
        "description": "varchar",
        "quantity": "decimal(38, 12)",
        "restated_quantity": "decimal(38, 12)",
        "restated_amount_minor": "bigint",
        "period_start": "date",
        "period_end": "date",
        "causes": "varchar",
    }, this if is_incremental() else none) }}

),

renamed as (

    select
        closing_number,
        credit_note_line_id,
        credit_note_id,
        line_number,
        invoice_line_id,
        corrects_line_id,
        amount_minor,
        description,
        quantity,
        restated_quantity,
        restated_amount_minor,
        period_start,
        period_end,
        causes
    from source

)

select * from renamed
