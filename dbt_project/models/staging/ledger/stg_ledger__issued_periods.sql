{{ config(materialized='incremental', incremental_strategy='append') }}

with source as (

    select * from {{ closing_rows('issued_periods', {
        "invoice_id": "varchar",
        "subscription_id": "varchar",
        "customer_id": "varchar",
        "plan_id": "varchar",
        "plan_version": "date",
        "cycle_days": "bigint",
        "terms_hash": "varchar",
        "accounts_hash": "varchar",
        "period_start": "date",
        "period_end": "date",
        "service_start": "date",
        "service_end": "date",
    }, this if is_incremental() else none) }}

),

renamed as (

    select
        closing_number,
        invoice_id,
        subscription_id,
        customer_id,
        plan_id,
        plan_version,
        cast(cycle_days as integer) as cycle_days,
        terms_hash,
        accounts_hash,
        period_start,
        period_end,
        service_start,
        service_end
    from source
    where {{ is_customer_known('source.customer_id') }}

)

select * from renamed
