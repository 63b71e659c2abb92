{{ config(materialized='view') }}

with credit_notes as (

    select * from {{ ref('stg_ledger__credit_notes') }}

),

issued_invoices as (

    select * from {{ ref('stg_ledger__issued_invoices') }}

),

final as (

    select
        credit_notes.credit_note_id,
        credit_notes.credit_note_number,
        credit_notes.invoice_id,
        issued_invoices.invoice_number,
        credit_notes.customer_id,
        credit_notes.currency,
        credit_notes.reason,
        credit_notes.amount_minor,
        credit_notes.closing_number,
        credit_notes.content_hash,
        credit_notes.issued_at
    from credit_notes
    inner join issued_invoices on credit_notes.invoice_id = issued_invoices.invoice_id

)

select * from final
