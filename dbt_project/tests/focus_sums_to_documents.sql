-- Guards against an export whose charges are not what the document says: lost, doubled or wrongly signed lines.
with focus_charges as (

    select * from {{ ref('focus_charges') }}

),

invoices as (

    select * from {{ ref('invoices') }}
    where invoice_number is not null

),

credit_notes as (

    select * from {{ ref('credit_notes') }}

),

documents as (

    select
        invoice_number as document_number,
        currency,
        total_minor
    from invoices
    union all
    select
        credit_note_number as document_number,
        currency,
        -amount_minor as total_minor
    from credit_notes

),

currencies as (

    select * from {{ ref('stg_catalog__currencies') }}

),

totals as (

    select
        documents.document_number,
        {{ in_major("documents.total_minor", "currencies.minor_units") }} as total
    from documents
    inner join currencies on documents.currency = currencies.currency

),

billed as (

    select
        InvoiceId as document_number,  -- noqa: CP02
        sum(BilledCost) as total  -- noqa: CP02
    from focus_charges
    group by InvoiceId  -- noqa: CP02

)

select
    coalesce(totals.document_number, billed.document_number) as document_number,
    totals.total,
    billed.total as billed_total
from totals
full outer join billed on totals.document_number = billed.document_number
where totals.total is distinct from billed.total
