{#- The ledger may not have been exported yet: then nothing was decided. -#}

with source as (

    select * from {{ exported_rows('decisions', {
        "decision_number": "bigint",
        "recommendation_id": "varchar",
        "decision": "varchar",
        "note": "varchar",
        "decided_at": "timestamp with time zone",
    }) }}

),

renamed as (

    select
        recommendation_id,
        decision,
        note,
        decision_number,
        decided_at
    from source

)

select * from renamed
