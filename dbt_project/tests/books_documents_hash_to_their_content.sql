-- Guards against an issued document that is shown otherwise than it was issued: the canonical text of the invoices of
-- the last closing, put together from the marts, has the hash that the ledger kept.
with invoices as (

    select * from {{ ref('invoices') }}
    where closing_number in (select max(closings.closing_number) from {{ ref('stg_ledger__closings') }} as closings)

),

issued_invoices as (

    select * from {{ ref('stg_ledger__issued_invoices') }}

),

invoice_lines as (

    select * from {{ ref('invoice_lines') }}

),

issued as (

    select invoice_lines.*
    from invoice_lines
    inner join invoices on invoice_lines.invoice_id = invoices.invoice_id

),

records as (

    select
        invoice_id,
        count(*) as line_count,
        string_agg(
            {{ canonical_record([
                "line_number", "invoice_line_id", "subscription_id", "plan_id", "plan_version", "line_type", "meter_id",
                "description", "quantity", "amount", "amount_minor", "period_start", "period_end", "service_start",
                "service_end", "adjusts_line_id", "adjusts_invoice_id", "restated_quantity", "restated_amount_minor",
            ]) }},
            chr(10) order by line_number
        ) as records
    from issued
    group by invoice_id

)

select
    invoices.invoice_id,
    invoices.content_hash
from invoices
inner join issued_invoices on invoices.invoice_id = issued_invoices.invoice_id
left join records on invoices.invoice_id = records.invoice_id
where
    invoices.content_hash is distinct from {{ sha256_hex(
        canonical_record([
            "invoices.invoice_id", "invoices.customer_id", "issued_invoices.customer_name",
            "issued_invoices.customer_email", "invoices.currency", "invoices.period_start", "invoices.period_end",
            "invoices.total_minor", "records.line_count",
        ]) ~ " || chr(10) || records.records"
    ) }}
