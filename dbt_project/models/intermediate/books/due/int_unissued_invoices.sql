{#- Invoices as rating says now that no closing has issued. Draft until the customer's local calendar has reached the
    day after the cycle; then ready. -#}

with unpinned_lines as (

    select * from {{ ref('int_unpinned_lines') }}

),

issued_invoices as (

    select * from {{ ref('stg_ledger__issued_invoices') }}

),

customers as (

    select * from {{ ref('stg_accounts__customers') }}

),

totals as (

    select
        unpinned_lines.invoice_id,
        unpinned_lines.customer_id,
        unpinned_lines.currency,
        sum(unpinned_lines.amount_minor) as total_minor,
        unpinned_lines.period_start,
        unpinned_lines.period_end
    from unpinned_lines
    left join issued_invoices on unpinned_lines.invoice_id = issued_invoices.invoice_id
    where issued_invoices.invoice_id is null
    group by
        unpinned_lines.invoice_id,
        unpinned_lines.customer_id,
        unpinned_lines.currency,
        unpinned_lines.period_start,
        unpinned_lines.period_end

),

final as (

    select
        totals.invoice_id,
        totals.customer_id,
        totals.currency,
        case
            when {{ local_date(as_of(), "customers.timezone") }} < totals.period_end then 'draft'
            else 'ready'
        end as status,
        cast(totals.total_minor as bigint) as total_minor,
        totals.period_start,
        totals.period_end
    from totals
    left join customers on totals.customer_id = customers.customer_id

)

select * from final
