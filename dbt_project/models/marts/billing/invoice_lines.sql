{{ config(materialized='view') }}

{#- Issued lines are facts of the ledger, whatever rating says now; all other invoices are what rating says so far. -#}

with issued_lines as (

    select * from {{ ref('stg_ledger__issued_lines') }}

),

unpinned_lines as (

    select * from {{ ref('int_unpinned_lines') }}

),

unissued_invoices as (

    select * from {{ ref('int_unissued_invoices') }}

),

final as (

    select
        invoice_line_id,
        invoice_id,
        customer_id,
        subscription_id,
        plan_id,
        line_type,
        meter_id,
        description,
        currency,
        quantity,
        amount,
        amount_minor,
        cast(line_number as integer) as line_number,
        adjusts_line_id,
        adjusts_invoice_id,
        restated_quantity,
        restated_amount_minor,
        causes,
        plan_version,
        period_start,
        period_end,
        service_start,
        service_end
    from issued_lines
    union all
    select
        unpinned_lines.invoice_line_id,
        unpinned_lines.invoice_id,
        unpinned_lines.customer_id,
        unpinned_lines.subscription_id,
        unpinned_lines.plan_id,
        unpinned_lines.line_type,
        unpinned_lines.meter_id,
        unpinned_lines.description,
        unpinned_lines.currency,
        unpinned_lines.quantity,
        unpinned_lines.amount,
        unpinned_lines.amount_minor,
        cast(null as integer) as line_number,
        cast(null as varchar) as adjusts_line_id,
        cast(null as varchar) as adjusts_invoice_id,
        cast(null as decimal(38, 12)) as restated_quantity,
        cast(null as bigint) as restated_amount_minor,
        cast(null as varchar) as causes,
        unpinned_lines.plan_version,
        unpinned_lines.period_start,
        unpinned_lines.period_end,
        unpinned_lines.service_start,
        unpinned_lines.service_end
    from unpinned_lines
    inner join unissued_invoices on unpinned_lines.invoice_id = unissued_invoices.invoice_id

)

select * from final
