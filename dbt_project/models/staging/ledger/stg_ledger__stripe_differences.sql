{#- The ledger may not have been exported yet: then nothing was sent. -#}

with source as (

    select * from {{ exported_rows('stripe_differences', {
        "difference_id": "varchar",
        "reconciliation_id": "varchar",
        "invoice_id": "varchar",
        "subject_id": "varchar",
        "op_id": "varchar",
        "stripe_id": "varchar",
        "kind": "varchar",
        "object": "varchar",
        "ledger_says": "varchar",
        "stripe_says": "varchar",
        "is_blocking": "boolean",
    }) }}

),

renamed as (

    select
        difference_id,
        reconciliation_id,
        invoice_id,
        subject_id,
        op_id,
        stripe_id,
        kind,
        object,
        ledger_says,
        stripe_says,
        is_blocking
    from source

)

select * from renamed
