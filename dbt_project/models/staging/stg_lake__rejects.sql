{{ config(materialized='incremental', incremental_strategy='append') }}

{%- set rejecting_batches -%}
    select {{ quoted(lake_path("rejects/")) }} || batch_id || '.parquet'
    from {{ ref("stg_lake__batches") }}
    where rejected_count > 0
    {% if is_incremental() -%} and build_id = {{ quoted(build_id()) }} {%- endif %}
    order by batch_id
{%- endset %}
{%- set lineage = source("lake", "rejects") %}

with source as (

    select * from {{ read_files([lake_path("schema/rejects.parquet")] + (column_values(rejecting_batches) | list)) }}

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
