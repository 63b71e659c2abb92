{{ config(materialized='view') }}

{#- Credit notes that a closing would issue now. The content hash is that of the canonical text, as for invoices. -#}

with due_lines as (

    select * from {{ ref('int_due_credit_note_lines') }}

),

line_records as (

    select
        credit_note_id,
        invoice_id,
        customer_id,
        currency,
        amount_minor,
        line_number,
        reason,
        {{ canonical_record([
            "line_number", "credit_note_line_id", "invoice_line_id", "corrects_line_id", "description", "quantity",
            "amount_minor", "restated_quantity", "restated_amount_minor", "period_start", "period_end",
        ]) }} as record
    from due_lines

),

documents as (

    select
        credit_note_id,
        invoice_id,
        customer_id,
        currency,
        cast(sum(amount_minor) as bigint) as amount_minor,
        string_agg(distinct reason, ', ' order by reason) as reason,
        string_agg(record, chr(10) order by line_number) as records
    from line_records
    group by
        credit_note_id,
        invoice_id,
        customer_id,
        currency

),

final as (

    select
        credit_note_id,
        invoice_id,
        customer_id,
        currency,
        amount_minor,
        reason,
        {{ sha256_hex(
            canonical_record(["credit_note_id", "invoice_id", "customer_id", "currency", "amount_minor", "reason"])
            ~ " || chr(10) || records"
        ) }} as content_hash
    from documents

)

select * from final
