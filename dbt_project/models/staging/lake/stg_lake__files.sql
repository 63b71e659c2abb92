{{ config(materialized='incremental', incremental_strategy='append') }}

{#- A file holds records of one batch or of several; none of its rows says which days and batches count. -#}
{%- set lineage = source("lake", "batches") %}

with source as (

    select
        commit_number,
        unnest(files) as lake_file
    from {{ read_files(new_commit_files(this if is_incremental() else none)) }}

),

listed as (

    select
        commit_number,
        lake_file,
        unnest(lake_file['batch_ids']) as batch_id
    from source

),

renamed as (

    select
        lake_file['path'] as file_path,
        batch_id,
        lake_file['kind'] as kind,
        commit_number,
        lake_file['row_count'] as row_count,
        lake_file['event_date'] as event_date
    from listed

)

select * from renamed
