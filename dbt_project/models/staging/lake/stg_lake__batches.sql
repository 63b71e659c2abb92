{{ config(materialized='incremental', incremental_strategy='append') }}

{#- Only commits that the warehouse does not hold yet are read: a day's cost must not grow with the files of past
    years. Rows of this build carry its build_id, which is how later models know what is new. -#}
{%- set lineage = source("lake", "batches") %}

with source as (

    select
        commit_number,
        unnest(batches) as batch
    from {{ read_files(new_commit_files(this if is_incremental() else none)) }}

),

renamed as (

    select
        batch['batch_id'] as batch_id,
        batch['source_file'] as source_file,
        batch['source'] as source,
        batch['status'] as status,
        batch['message'] as message,
        batch['mapping_hash'] as mapping_hash,
        batch['replaces'] as replaces,
        {{ quoted(build_id()) }} as build_id,
        commit_number,
        batch['rows_read'] as rows_read,
        batch['accepted_count'] as accepted_count,
        batch['duplicate_count'] as duplicate_count,
        batch['rejected_count'] as rejected_count,
        batch['separate_event_count'] as separate_event_count,
        batch['max_revision'] as max_revision,
        batch['event_dates'] as event_dates,
        batch['ingested_at'] as ingested_at
    from source

)

select * from renamed
where {{ is_batch_known("batch_id") }}
