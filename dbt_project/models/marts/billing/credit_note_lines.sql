{{ config(materialized='view') }}

with credit_note_lines as (

    select * from {{ ref('stg_ledger__credit_note_lines') }}

),

credit_notes as (

    select * from {{ ref('stg_ledger__credit_notes') }}

),

final as (

    select
        credit_note_lines.credit_note_line_id,
        credit_note_lines.credit_note_id,
        credit_notes.credit_note_number,
        credit_notes.invoice_id,
        credit_note_lines.invoice_line_id,
        credit_note_lines.corrects_line_id,
        credit_notes.customer_id,
        credit_notes.currency,
        credit_note_lines.description,
        credit_notes.reason,
        credit_note_lines.causes,
        cast(credit_note_lines.line_number as integer) as line_number,
        credit_note_lines.quantity,
        credit_note_lines.amount_minor,
        credit_note_lines.restated_quantity,
        credit_note_lines.restated_amount_minor,
        credit_note_lines.period_start,
        credit_note_lines.period_end
    from credit_note_lines
    inner join credit_notes on credit_note_lines.credit_note_id = credit_notes.credit_note_id

)

select * from final
