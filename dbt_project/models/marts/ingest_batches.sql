{{ config(materialized='view') }}

with batches as (

    select * from {{ ref('stg_lake__batches') }}

),

final as (

    select
        batch_id,
        source_file,
        status,
        message,
        rows_read,
        accepted_count,
        duplicate_count,
        rejected_count,
        separate_event_count,
        ingested_at
    from batches

)

select * from final
