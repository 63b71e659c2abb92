{#- Draft until the cycle is over, ready until a closing issues it; from then on it is a fact of the ledger. -#}

with issued_invoices as (

    select * from {{ ref('stg_ledger__issued_invoices') }}

),

issued_lines as (

    select * from {{ ref('stg_ledger__issued_lines') }}
    where line_type != 'adjustment'

),

credit_notes as (

    select * from {{ ref('stg_ledger__credit_notes') }}

),

unissued_invoices as (

    select * from {{ ref('int_unissued_invoices') }}

),

credited as (

    select
        invoice_id,
        sum(amount_minor) as credited_minor
    from credit_notes
    group by invoice_id

),

rated_invoices as (

    select distinct invoice_id
    from issued_lines

),

stripe_statuses as (

    select * from {{ ref('int_stripe_statuses') }}

),

final as (

    select
        issued_invoices.invoice_id,
        issued_invoices.invoice_number,
        issued_invoices.customer_id,
        issued_invoices.customer_name,
        issued_invoices.customer_email,
        issued_invoices.timezone,
        issued_invoices.currency,
        coalesce(stripe_statuses.status, 'issued') as status,
        stripe_statuses.payment_status,
        stripe_statuses.hosted_invoice_url,
        stripe_statuses.invoice_pdf_url,
        issued_invoices.total_minor,
        cast(coalesce(credited.credited_minor, 0) as bigint) as credited_minor,
        issued_invoices.closing_number,
        issued_invoices.content_hash,
        rated_invoices.invoice_id is null as is_adjustment,
        issued_invoices.period_start,
        issued_invoices.period_end,
        issued_invoices.issued_at
    from issued_invoices
    left join credited on issued_invoices.invoice_id = credited.invoice_id
    left join rated_invoices on issued_invoices.invoice_id = rated_invoices.invoice_id
    left join stripe_statuses on issued_invoices.invoice_id = stripe_statuses.invoice_id
    union all
    select
        invoice_id,
        cast(null as varchar) as invoice_number,
        customer_id,
        cast(null as varchar) as customer_name,
        cast(null as varchar) as customer_email,
        cast(null as varchar) as timezone,
        currency,
        status,
        cast(null as varchar) as payment_status,
        cast(null as varchar) as hosted_invoice_url,
        cast(null as varchar) as invoice_pdf_url,
        total_minor,
        cast(0 as bigint) as credited_minor,
        cast(null as integer) as closing_number,
        cast(null as varchar) as content_hash,
        false as is_adjustment,
        period_start,
        period_end,
        cast(null as timestamp with time zone) as issued_at
    from unissued_invoices

)

select * from final
