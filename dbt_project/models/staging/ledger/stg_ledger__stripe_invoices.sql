{#- The ledger may not have been exported yet: then nothing was sent. -#}

with source as (

    select * from {{ exported_rows('stripe_invoices', {
        "invoice_id": "varchar",
        "stripe_invoice_id": "varchar",
        "stripe_customer_id": "varchar",
        "account": "varchar",
        "status": "varchar",
        "hosted_invoice_url": "varchar",
        "invoice_pdf_url": "varchar",
        "stripe_total_minor": "bigint",
        "amount_due_minor": "bigint",
        "amount_paid_minor": "bigint",
        "amount_remaining_minor": "bigint",
        "starting_balance_minor": "bigint",
        "ending_balance_minor": "bigint",
        "pre_payment_credit_minor": "bigint",
        "post_payment_credit_minor": "bigint",
        "is_payment_failed": "boolean",
        "finalized_at": "timestamp with time zone",
        "paid_at": "timestamp with time zone",
        "voided_at": "timestamp with time zone",
        "known_at": "timestamp with time zone",
    }) }}

),

renamed as (

    select
        invoice_id,
        stripe_invoice_id,
        stripe_customer_id,
        account,
        status,
        hosted_invoice_url,
        invoice_pdf_url,
        stripe_total_minor,
        amount_due_minor,
        amount_paid_minor,
        amount_remaining_minor,
        starting_balance_minor,
        ending_balance_minor,
        pre_payment_credit_minor,
        post_payment_credit_minor,
        is_payment_failed,
        finalized_at,
        paid_at,
        voided_at,
        known_at
    from source

)

select * from renamed
