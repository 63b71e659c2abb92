{{ config(materialized='incremental', incremental_strategy='append') }}

with source as (

    select * from {{ closing_rows('issued_lines', {
        "invoice_line_id": "varchar",
        "invoice_id": "varchar",
        "line_number": "bigint",
        "customer_id": "varchar",
        "subscription_id": "varchar",
        "plan_id": "varchar",
        "plan_version": "date",
        "line_type": "varchar",
        "meter_id": "varchar",
        "description": "varchar",
        "quantity": "decimal(38, 12)",
        "amount": "decimal(38, 12)",
        "amount_minor": "bigint",
        "currency": "varchar",
        "period_start": "date",
        "period_end": "date",
        "service_start": "date",
        "service_end": "date",
        "adjusts_line_id": "varchar",
        "adjusts_invoice_id": "varchar",
        "restated_quantity": "decimal(38, 12)",
        "restated_amount_minor": "bigint",
        "causes": "varchar",
    }, this if is_incremental() else none) }}

),

renamed as (

    select
        closing_number,
        invoice_line_id,
        invoice_id,
        line_number,
        customer_id,
        subscription_id,
        plan_id,
        plan_version,
        line_type,
        meter_id,
        description,
        quantity,
        amount,
        amount_minor,
        currency,
        period_start,
        period_end,
        service_start,
        service_end,
        adjusts_line_id,
        adjusts_invoice_id,
        restated_quantity,
        restated_amount_minor,
        causes
    from source
    where {{ is_customer_known('source.customer_id') }}

)

select * from renamed
