{{ config(materialized='incremental', incremental_strategy='append') }}

{#- Only manifests that the warehouse does not hold yet are read: a day's cost must not grow with the files of
    past years. Rows of this build carry its build_id, which is how later models know what is new. -#}
{%- set lineage = source("lake", "batches") %}

with source as (

    select * from {{ read_files(new_manifest_files(this if is_incremental() else none)) }}

),

renamed as (

    select
        batch_id,
        source_file,
        status,
        message,
        {{ quoted(build_id()) }} as build_id,
        rows_read,
        accepted_count,
        duplicate_count,
        rejected_count,
        separate_event_count,
        max_revision,
        event_dates,
        ingested_at
    from source

)

select * from renamed
