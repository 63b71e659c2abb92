-- Guards against a document whose lines were lost or doubled on the way into the ledger, and against giving back more
-- than an invoice came to.
with issued_invoices as (

    select * from {{ ref('stg_ledger__issued_invoices') }}

),

issued_lines as (

    select * from {{ ref('stg_ledger__issued_lines') }}

),

credit_notes as (

    select * from {{ ref('stg_ledger__credit_notes') }}

),

credit_note_lines as (

    select * from {{ ref('stg_ledger__credit_note_lines') }}

),

invoice_sums as (

    select
        invoice_id,
        sum(amount_minor) as amount_minor,
        count(*) as line_count
    from issued_lines
    group by invoice_id

),

note_sums as (

    select
        credit_note_id,
        sum(amount_minor) as amount_minor
    from credit_note_lines
    group by credit_note_id

),

credits as (

    select
        invoice_id,
        sum(amount_minor) as amount_minor
    from credit_notes
    group by invoice_id

)

select
    issued_invoices.invoice_id as document_id,
    issued_invoices.total_minor
from issued_invoices
left join invoice_sums on issued_invoices.invoice_id = invoice_sums.invoice_id
left join credits on issued_invoices.invoice_id = credits.invoice_id
where
    issued_invoices.total_minor is distinct from invoice_sums.amount_minor
    or issued_invoices.line_count is distinct from invoice_sums.line_count
    or coalesce(credits.amount_minor, 0) > issued_invoices.total_minor
union all
select
    credit_notes.credit_note_id as document_id,
    credit_notes.amount_minor as total_minor
from credit_notes
left join note_sums on credit_notes.credit_note_id = note_sums.credit_note_id
where credit_notes.amount_minor is distinct from note_sums.amount_minor
