{{ config(materialized='view') }}

{#- Invoices that a closing would issue now. The content hash is the SHA-256 of their canonical text: the record of the
    invoice, then one record per line in order, between line feeds (macros/books.sql: canonical_record). The number is
    not part of it. -#}

with due_lines as (

    select * from {{ ref('int_due_lines') }}

),

unissued_invoices as (

    select * from {{ ref('int_unissued_invoices') }}

),

customers as (

    select * from {{ ref('stg_accounts__customers') }}

),

currencies as (

    select * from {{ ref('stg_catalog__currencies') }}

),

line_records as (

    select
        invoice_id,
        customer_id,
        currency,
        amount_minor,
        line_number,
        {{ canonical_record([
            "line_number", "invoice_line_id", "subscription_id", "plan_id", "plan_version", "line_type", "meter_id",
            "description", "quantity", "amount", "amount_minor", "period_start", "period_end", "service_start",
            "service_end", "adjusts_line_id", "adjusts_invoice_id", "restated_quantity", "restated_amount_minor",
        ]) }} as record,
        period_start,
        period_end
    from due_lines

),

documents as (

    select
        invoice_id,
        customer_id,
        currency,
        cast(sum(amount_minor) as bigint) as total_minor,
        cast(count(*) as integer) as line_count,
        string_agg(record, chr(10) order by line_number) as records,
        min(period_start) as first_period_start,
        min(period_end) as first_period_end
    from line_records
    group by
        invoice_id,
        customer_id,
        currency

),

{# An invoice of its own has the cycle that it puts right. #}
headed as (

    select
        documents.invoice_id,
        documents.customer_id,
        customers.name as customer_name,
        customers.email as customer_email,
        documents.currency,
        cast(currencies.minor_units as integer) as minor_units,
        customers.timezone,
        coalesce(unissued_invoices.period_start, documents.first_period_start) as period_start,
        coalesce(unissued_invoices.period_end, documents.first_period_end) as period_end,
        documents.total_minor,
        documents.line_count,
        documents.records
    from documents
    inner join currencies on documents.currency = currencies.currency
    left join customers on documents.customer_id = customers.customer_id
    left join unissued_invoices on documents.invoice_id = unissued_invoices.invoice_id

),

final as (

    select
        invoice_id,
        customer_id,
        customer_name,
        customer_email,
        currency,
        minor_units,
        coalesce(timezone, 'UTC') as timezone,
        period_start,
        period_end,
        total_minor,
        {{ money_text("total_minor", "minor_units") }} || ' ' || currency as total_text,
        line_count,
        {{ sha256_hex(
            canonical_record([
                "invoice_id", "customer_id", "customer_name", "customer_email", "currency", "period_start",
                "period_end", "total_minor", "line_count",
            ]) ~ " || chr(10) || records"
        ) }} as content_hash
    from headed

)

select * from final
