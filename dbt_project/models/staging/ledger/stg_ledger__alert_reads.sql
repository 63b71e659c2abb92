{#- The ledger may not have been exported yet: then nothing was read. -#}

with source as (

    select * from {{ exported_rows('alert_reads', {
        "alert_id": "varchar",
        "read_by": "varchar",
        "read_at": "timestamp with time zone",
    }) }}

),

renamed as (

    select
        alert_id,
        read_by,
        read_at
    from source

)

select * from renamed
