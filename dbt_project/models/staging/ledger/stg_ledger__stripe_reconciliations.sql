{#- The ledger may not have been exported yet: then nothing was sent. -#}

with source as (

    select * from {{ exported_rows('stripe_reconciliations', {
        "reconciliation_id": "varchar",
        "account": "varchar",
        "seen_count": "bigint",
        "difference_count": "bigint",
        "since": "timestamp with time zone",
        "started_at": "timestamp with time zone",
        "finished_at": "timestamp with time zone",
    }) }}

),

renamed as (

    select
        reconciliation_id,
        account,
        seen_count,
        difference_count,
        since,
        started_at,
        finished_at
    from source

)

select * from renamed
