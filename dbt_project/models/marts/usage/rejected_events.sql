{{ config(materialized='view') }}

with rejects as (

    select * from {{ ref('stg_lake__rejects') }}

),

replaced_batches as (

    select * from {{ ref('int_replaced_batches') }}

),

final as (

    select
        batch_id,
        source_file,
        source_row,
        reason,
        raw_record
    from rejects
    where batch_id not in (select replaced_batches.batch_id from replaced_batches)

)

select * from final
