{{ config(materialized='view') }}

with rejects as (

    select * from {{ ref('stg_lake__rejects') }}

),

final as (

    select
        batch_id,
        source_file,
        source_row,
        reason,
        raw_record
    from rejects

)

select * from final
