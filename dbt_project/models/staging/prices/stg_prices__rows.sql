{%- set columns = {
    "provider": "varchar", "model": "varchar", "is_batch": "boolean", "valid_from": "date", "valid_to": "date",
    "day_from": "bigint", "day_to": "bigint", "input_tokens_above": "bigint", "input_tokens_up_to": "bigint",
    "unit": "varchar", "usd_per_unit": "decimal(38, 18)", "is_assumed": "boolean", "is_rounded": "boolean"
} %}

with source as (

    select * from {{ price_table('rows', 'rows.parquet', columns) }}

),

renamed as (

    select
        provider,
        model,
        unit,
        usd_per_unit,
        day_from,
        day_to,
        input_tokens_above,
        input_tokens_up_to,
        is_batch,
        is_assumed,
        is_rounded,
        valid_from,
        valid_to
    from source

)

select * from renamed
