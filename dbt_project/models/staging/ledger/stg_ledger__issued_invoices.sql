{{ config(materialized='incremental', incremental_strategy='append') }}

with source as (

    select * from {{ closing_rows('issued_invoices', {
        "invoice_id": "varchar",
        "invoice_number": "varchar",
        "sequence_number": "bigint",
        "customer_id": "varchar",
        "customer_name": "varchar",
        "customer_email": "varchar",
        "currency": "varchar",
        "minor_units": "bigint",
        "timezone": "varchar",
        "period_start": "date",
        "period_end": "date",
        "total_minor": "bigint",
        "line_count": "bigint",
        "content_hash": "varchar",
        "issued_at": "timestamp with time zone",
    }, this if is_incremental() else none) }}

),

renamed as (

    select
        closing_number,
        invoice_id,
        invoice_number,
        sequence_number,
        customer_id,
        customer_name,
        customer_email,
        currency,
        minor_units,
        timezone,
        period_start,
        period_end,
        total_minor,
        line_count,
        content_hash,
        issued_at
    from source
    where {{ is_customer_known('source.customer_id') }}

)

select * from renamed
