{#- The ledger may not have been exported yet: then nothing was sent. -#}

with source as (

    select * from {{ exported_rows('stripe_outbox', {
        "outbox_id": "varchar",
        "invoice_id": "varchar",
        "subject_id": "varchar",
        "customer_id": "varchar",
        "op_id": "varchar",
        "stripe_customer_id": "varchar",
        "stripe_id": "varchar",
        "stripe_invoice_id": "varchar",
        "request_id": "varchar",
        "account": "varchar",
        "kind": "varchar",
        "state": "varchar",
        "currency": "varchar",
        "last_error": "varchar",
        "closing_number": "bigint",
        "generation": "bigint",
        "attempt_count": "bigint",
        "last_status": "bigint",
        "amount_minor": "bigint",
        "stripe_amount_minor": "bigint",
        "was_adopted": "boolean",
        "created_at": "timestamp with time zone",
        "sent_at": "timestamp with time zone",
    }) }}

),

renamed as (

    select
        outbox_id,
        invoice_id,
        subject_id,
        customer_id,
        op_id,
        stripe_customer_id,
        stripe_id,
        stripe_invoice_id,
        request_id,
        account,
        kind,
        state,
        currency,
        last_error,
        closing_number,
        generation,
        attempt_count,
        last_status,
        amount_minor,
        stripe_amount_minor,
        was_adopted,
        created_at,
        sent_at
    from source

)

select * from renamed
