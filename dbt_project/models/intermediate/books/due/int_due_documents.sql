{{ config(materialized='view') }}

{#- The documents that a closing would issue now, as they are listed before that. -#}

with due_invoices as (

    select * from {{ ref('int_due_invoices') }}

),

due_credit_notes as (

    select * from {{ ref('int_due_credit_notes') }}

),

due_credit_note_lines as (

    select * from {{ ref('int_due_credit_note_lines') }}

),

issued_invoices as (

    select * from {{ ref('stg_ledger__issued_invoices') }}

),

counted_lines as (

    select
        credit_note_id,
        cast(count(*) as integer) as line_count
    from due_credit_note_lines
    group by credit_note_id

),

documents as (

    select
        invoice_id as document_id,
        'invoice' as kind,
        customer_id,
        currency,
        minor_units,
        total_minor as amount_minor,
        line_count,
        content_hash,
        period_start,
        period_end
    from due_invoices
    union all
    select
        due_credit_notes.credit_note_id as document_id,
        'credit_note' as kind,
        due_credit_notes.customer_id,
        due_credit_notes.currency,
        issued_invoices.minor_units,
        -due_credit_notes.amount_minor as amount_minor,
        counted_lines.line_count,
        due_credit_notes.content_hash,
        issued_invoices.period_start,
        issued_invoices.period_end
    from due_credit_notes
    inner join counted_lines on due_credit_notes.credit_note_id = counted_lines.credit_note_id
    inner join issued_invoices on due_credit_notes.invoice_id = issued_invoices.invoice_id

),

final as (

    select
        document_id,
        kind,
        customer_id,
        currency,
        amount_minor,
        {{ in_major("amount_minor", "minor_units") }} as amount,
        {{ money_text("amount_minor", "minor_units") }} as amount_text,
        line_count,
        content_hash,
        period_start,
        period_end
    from documents

)

select * from final
