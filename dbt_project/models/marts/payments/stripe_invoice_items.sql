{{ config(materialized='view') }}

with issued_lines as (

    select * from {{ ref('stg_ledger__issued_lines') }}

),

issued_invoices as (

    select * from {{ ref('stg_ledger__issued_invoices') }}

),

items as (

    select * from {{ ref('stg_ledger__stripe_outbox') }}
    where kind = 'item'

),

customers as (

    select * from {{ ref('stg_accounts__customers') }}

),

statuses as (

    select * from {{ ref('int_stripe_statuses') }}

),

final as (

    select
        issued_lines.invoice_line_id,
        issued_lines.invoice_id,
        issued_invoices.invoice_number,
        issued_lines.customer_id,
        coalesce(items.stripe_customer_id, customers.stripe_customer_id) as stripe_customer_id,
        statuses.stripe_invoice_id,
        items.stripe_id as stripe_invoice_item_id,
        items.op_id,
        items.request_id,
        issued_lines.currency,
        lower(coalesce(items.state, 'PENDING')) as status,
        statuses.payment_status,
        items.last_error,
        statuses.hosted_invoice_url,
        statuses.invoice_pdf_url,
        issued_lines.amount_minor,
        items.stripe_amount_minor,
        cast(coalesce(items.attempt_count, 0) as integer) as attempt_count,
        coalesce(items.was_adopted, false) as was_adopted,
        items.sent_at
    from issued_lines
    inner join issued_invoices on issued_lines.invoice_id = issued_invoices.invoice_id
    left join items on issued_lines.invoice_line_id = items.subject_id
    left join customers on issued_lines.customer_id = customers.customer_id
    left join statuses on issued_lines.invoice_id = statuses.invoice_id

)

select * from final
