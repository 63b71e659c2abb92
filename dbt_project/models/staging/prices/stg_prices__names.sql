{%- set columns = {
    "provider": "varchar", "model": "varchar", "event_type": "varchar", "may_be_batch": "boolean", "price_provider": "varchar",
    "price_model": "varchar", "is_own": "boolean"
} %}

with source as (

    select * from {{ price_table('names', 'names/*.parquet', columns) }}

),

renamed as (

    select
        provider,
        model,
        event_type,
        price_provider,
        price_model,
        may_be_batch,
        is_own
    from source

)

select * from renamed
