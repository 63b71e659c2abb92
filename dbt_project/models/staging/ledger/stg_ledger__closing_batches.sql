{{ config(materialized='incremental', incremental_strategy='append') }}

with source as (

    select * from {{ closing_rows('closing_batches', {
        "batch_id": "varchar",
    }, this if is_incremental() else none) }}

),

renamed as (

    select
        batch_id,
        closing_number
    from source

)

select * from renamed
