{{ config(materialized='view') }}

{#- What a closing would put right now, and what it would leave waiting: for an invoice that is still open, or until the
    corrections of one invoice come to what its terms ask for. -#}

with differences as (

    select * from {{ ref('int_line_differences') }}

),

invoice_corrections as (

    select * from {{ ref('int_invoice_corrections') }}

),

due_lines as (

    select * from {{ ref('int_due_lines') }}
    where line_type = 'adjustment'

),

waiting_adjustments as (

    select * from {{ ref('int_line_adjustments') }}
    where invoice_id is null

),

due_credits as (

    select * from {{ ref('int_due_credit_note_lines') }}

),

causes as (

    select * from {{ ref('int_correction_causes') }}

),

issued_invoices as (

    select * from {{ ref('stg_ledger__issued_invoices') }}

),

issued_lines as (

    select * from {{ ref('stg_ledger__issued_lines') }}

),

small as (

    select
        differences.rated_line_id,
        differences.difference_minor,
        {{ correction_text(
            "differences", "coalesce(differences.description, issued_lines.description, differences.rated_line_id)"
        ) }} as description
    from differences
    inner join invoice_corrections on differences.invoice_id = invoice_corrections.invoice_id
    left join issued_lines on differences.rated_line_id = issued_lines.invoice_line_id
    where not invoice_corrections.is_due

),

corrections as (

    select
        adjusts_line_id as rated_line_id,
        invoice_line_id as line_id,
        invoice_id as document_id,
        line_number,
        'adjustment' as kind,
        cast(null as varchar) as waits_for,
        description,
        amount_minor
    from due_lines
    union all
    select
        corrects_line_id as rated_line_id,
        credit_note_line_id as line_id,
        credit_note_id as document_id,
        line_number,
        'credit' as kind,
        cast(null as varchar) as waits_for,
        description,
        -amount_minor as amount_minor
    from due_credits
    union all
    select
        rated_line_id,
        invoice_line_id as line_id,
        cast(null as varchar) as document_id,
        cast(null as integer) as line_number,
        'adjustment' as kind,
        'invoice' as waits_for,
        description,
        amount_minor
    from waiting_adjustments
    union all
    select
        rated_line_id,
        cast(null as varchar) as line_id,
        cast(null as varchar) as document_id,
        cast(null as integer) as line_number,
        case when difference_minor > 0 then 'adjustment' else 'credit' end as kind,
        'amount' as waits_for,
        description,
        difference_minor as amount_minor
    from small

),

final as (

    select
        corrections.rated_line_id,
        corrections.line_id,
        corrections.document_id,
        corrections.line_number,
        differences.invoice_id,
        issued_invoices.invoice_number,
        differences.customer_id,
        corrections.kind,
        corrections.waits_for,
        corrections.description,
        causes.reason,
        causes.cause_text,
        causes.causes,
        differences.currency,
        cast(corrections.amount_minor as bigint) as amount_minor,
        {{ in_major("corrections.amount_minor", "differences.minor_units") }} as amount,
        {{ money_text("corrections.amount_minor", "differences.minor_units") }} as amount_text,
        invoice_corrections.net_minor as invoice_net_minor,
        {{ money_text("invoice_corrections.net_minor", "differences.minor_units") }} as invoice_net_text,
        differences.period_start,
        differences.period_end
    from corrections
    inner join differences on corrections.rated_line_id = differences.rated_line_id
    inner join invoice_corrections on differences.invoice_id = invoice_corrections.invoice_id
    inner join issued_invoices on differences.invoice_id = issued_invoices.invoice_id
    left join causes on corrections.rated_line_id = causes.rated_line_id

)

select * from final
