{{ config(materialized='view') }}

{#- Issued lines are facts of the ledger, whatever rating says now; all other invoices are what rating says so far. -#}

with issued_lines as (

    select * from {{ ref('stg_ledger__issued_lines') }}

),

rated_lines as (

    select * from {{ ref('int_rated_lines') }}

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
        rated_lines.invoice_line_id,
        rated_lines.invoice_id,
        rated_lines.customer_id,
        rated_lines.subscription_id,
        rated_lines.plan_id,
        rated_lines.line_type,
        rated_lines.meter_id,
        rated_lines.description,
        rated_lines.currency,
        rated_lines.quantity,
        rated_lines.amount,
        rated_lines.amount_minor,
        cast(null as integer) as line_number,
        cast(null as varchar) as adjusts_line_id,
        cast(null as varchar) as adjusts_invoice_id,
        cast(null as decimal(38, 12)) as restated_quantity,
        cast(null as bigint) as restated_amount_minor,
        cast(null as varchar) as causes,
        rated_lines.plan_version,
        rated_lines.period_start,
        rated_lines.period_end,
        rated_lines.service_start,
        rated_lines.service_end
    from rated_lines
    inner join unissued_invoices on rated_lines.invoice_id = unissued_invoices.invoice_id

)

select * from final
