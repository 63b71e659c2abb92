-- Guards against an invoice whose total is not what its lines say: lost, doubled or foreign lines.
with invoice_lines as (

    select * from {{ ref('invoice_lines') }}

),

invoices as (

    select * from {{ ref('invoices') }}

),

line_totals as (

    select
        customer_id,
        currency,
        period_start,
        period_end,
        sum(amount_minor) as total_minor
    from invoice_lines
    group by
        customer_id,
        currency,
        period_start,
        period_end

)

select
    coalesce(invoices.customer_id, line_totals.customer_id) as customer_id,
    coalesce(invoices.period_start, line_totals.period_start) as period_start,
    invoices.total_minor,
    line_totals.total_minor as lines_total_minor
from invoices
full outer join line_totals
    on
        invoices.customer_id = line_totals.customer_id
        and invoices.currency = line_totals.currency
        and invoices.period_start = line_totals.period_start
        and invoices.period_end = line_totals.period_end
where invoices.total_minor is distinct from line_totals.total_minor
