-- Guards against an invoice whose total is not what its lines say, issued or not: lost, doubled or foreign lines.
with invoice_lines as (

    select * from {{ ref('invoice_lines') }}

),

invoices as (

    select * from {{ ref('invoices') }}

),

line_totals as (

    select
        invoice_id,
        customer_id,
        currency,
        sum(amount_minor) as total_minor
    from invoice_lines
    group by
        invoice_id,
        customer_id,
        currency

)

select
    coalesce(invoices.invoice_id, line_totals.invoice_id) as invoice_id,
    invoices.total_minor,
    line_totals.total_minor as lines_total_minor
from invoices
full outer join line_totals
    on
        invoices.invoice_id = line_totals.invoice_id
        and invoices.customer_id = line_totals.customer_id
        and invoices.currency = line_totals.currency
where invoices.total_minor is distinct from line_totals.total_minor
