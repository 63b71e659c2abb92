{{ config(materialized='view') }}

with batches as (

    select * from {{ ref('stg_lake__batches') }}

),

replaced_batches as (

    select * from {{ ref('int_replaced_batches') }}

),

final as (

    select
        batches.batch_id,
        batches.source_file,
        batches.source,
        case when replaced_batches.batch_id is null then batches.status else 'replaced' end as status,
        batches.message,
        batches.replaces,
        batches.rows_read,
        batches.accepted_count,
        batches.duplicate_count,
        batches.rejected_count,
        batches.separate_event_count,
        batches.ingested_at
    from batches
    left join replaced_batches on batches.batch_id = replaced_batches.batch_id

)

select * from final
