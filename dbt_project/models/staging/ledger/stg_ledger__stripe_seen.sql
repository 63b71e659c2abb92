{#- The ledger may not have been exported yet: then nothing was sent. -#}

with source as (

    select * from {{ exported_rows('stripe_seen', {
        "stripe_id": "varchar",
        "op_id": "varchar",
        "stripe_customer_id": "varchar",
        "stripe_invoice_id": "varchar",
        "object": "varchar",
        "currency": "varchar",
        "status": "varchar",
        "amount_minor": "bigint",
        "created_at": "timestamp with time zone",
        "seen_at": "timestamp with time zone",
    }) }}

),

renamed as (

    select
        stripe_id,
        op_id,
        stripe_customer_id,
        stripe_invoice_id,
        object,
        currency,
        status,
        amount_minor,
        created_at,
        seen_at
    from source

)

select * from renamed
