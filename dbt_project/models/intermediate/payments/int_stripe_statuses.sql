{{ config(materialized='view') }}

{#- An issued invoice is sent once all its operations are; from then on Stripe's word counts. -#}

with outbox as (

    select * from {{ ref('stg_ledger__stripe_outbox') }}
    where kind in ('invoice', 'item')

),

stripe_invoices as (

    select * from {{ ref('stg_ledger__stripe_invoices') }}

),

progress as (

    select
        invoice_id,
        sum(cast(state != 'SENT' as integer)) as unsent_count
    from outbox
    group by invoice_id

),

final as (

    select
        progress.invoice_id,
        stripe_invoices.stripe_invoice_id,
        {{ invoice_status("stripe_invoices.status", "progress.unsent_count") }} as status,
        case
            when stripe_invoices.status in ('paid', 'void', 'uncollectible') then stripe_invoices.status
            when stripe_invoices.is_payment_failed then 'failed'
            when stripe_invoices.status = 'open' then 'open'
        end as payment_status,
        stripe_invoices.hosted_invoice_url,
        stripe_invoices.invoice_pdf_url,
        stripe_invoices.finalized_at,
        stripe_invoices.paid_at
    from progress
    left join stripe_invoices on progress.invoice_id = stripe_invoices.invoice_id

)

select * from final
