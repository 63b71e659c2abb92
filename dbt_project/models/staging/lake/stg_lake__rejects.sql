{{ config(materialized='incremental', incremental_strategy='append') }}

{%- set is_new = " and build_id = " ~ quoted(build_id()) if is_incremental() else "" %}
{%- set lineage = source("lake", "rejects") %}

with source as (

    select * from {{ lake_rejects('rejected_count > 0' ~ is_new) }}

),

renamed as (

    select
        batch_id,
        source_file,
        reason,
        raw_record,
        source_row
    from source

)

select * from renamed
