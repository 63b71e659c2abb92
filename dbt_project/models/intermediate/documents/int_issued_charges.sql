{{ config(materialized='view') }}

{#- Lines of issued invoices and credit notes side by side, a credit as a negative amount, each with the billing period
    of its document: an invoice's cycle. What only corrects closed cycles is billed in the month in which it is issued. -#}

with issued_invoices as (

    select * from {{ ref('stg_ledger__issued_invoices') }}

),

issued_lines as (

    select * from {{ ref('stg_ledger__issued_lines') }}

),

credit_notes as (

    select * from {{ ref('stg_ledger__credit_notes') }}

),

credit_note_lines as (

    select * from {{ ref('stg_ledger__credit_note_lines') }}

),

correction_invoices as (

    select invoice_id
    from issued_lines
    group by invoice_id
    having sum(case when line_type = 'adjustment' then 0 else 1 end) = 0

),

lines as (

    select
        issued_lines.invoice_line_id as charge_id,
        'invoice' as document_type,
        issued_invoices.invoice_number as document_number,
        issued_invoices.closing_number,
        issued_lines.invoice_id,
        issued_lines.adjusts_invoice_id as corrected_invoice_id,
        issued_lines.subscription_id,
        issued_lines.plan_id,
        issued_lines.plan_version,
        issued_lines.line_type,
        issued_lines.adjusts_line_id as corrected_line_id,
        issued_lines.meter_id,
        issued_lines.description,
        issued_lines.quantity,
        issued_lines.amount,
        issued_lines.amount_minor,
        issued_lines.line_type = 'adjustment' as is_correction,
        correction_invoices.invoice_id is not null as is_billed_by_month,
        issued_invoices.issued_at,
        issued_lines.period_start,
        issued_lines.period_end,
        issued_lines.service_start,
        issued_lines.service_end
    from issued_lines
    inner join issued_invoices on issued_lines.invoice_id = issued_invoices.invoice_id
    left join correction_invoices on issued_lines.invoice_id = correction_invoices.invoice_id
    union all
    select
        credit_note_lines.credit_note_line_id as charge_id,
        'credit_note' as document_type,
        credit_notes.credit_note_number as document_number,
        credit_notes.closing_number,
        credit_notes.invoice_id,
        credit_notes.invoice_id as corrected_invoice_id,
        issued_lines.subscription_id,
        issued_lines.plan_id,
        issued_lines.plan_version,
        'credit' as line_type,
        credit_note_lines.corrects_line_id as corrected_line_id,
        issued_lines.meter_id,
        credit_note_lines.description,
        credit_note_lines.quantity,
        cast(null as decimal(38, 12)) as amount,
        -credit_note_lines.amount_minor as amount_minor,
        true as is_correction,
        true as is_billed_by_month,
        credit_notes.issued_at,
        credit_note_lines.period_start,
        credit_note_lines.period_end,
        issued_lines.service_start,
        issued_lines.service_end
    from credit_note_lines
    inner join credit_notes on credit_note_lines.credit_note_id = credit_notes.credit_note_id
    inner join issued_lines on credit_note_lines.invoice_line_id = issued_lines.invoice_line_id

),

final as (

    select
        lines.charge_id,
        lines.document_type,
        lines.document_number,
        lines.closing_number,
        corrected_invoices.invoice_number as corrected_invoice_number,
        issued_invoices.customer_id,
        issued_invoices.customer_name,
        issued_invoices.currency,
        issued_invoices.timezone,
        lines.subscription_id,
        lines.plan_id,
        lines.plan_version,
        lines.line_type,
        -- What a correction puts right; the line may never have been issued itself.
        case
            when not lines.is_correction then lines.line_type
            when corrected_lines.line_type is not null then corrected_lines.line_type
            when lines.meter_id is null then 'price'
            else 'usage'
        end as charge_type,
        lines.meter_id,
        lines.description,
        lines.quantity,
        lines.amount,
        lines.amount_minor,
        {{ in_major("lines.amount_minor", "issued_invoices.minor_units") }} as billed_amount,
        lines.is_correction,
        case
            when lines.is_billed_by_month
                then {{ month_start(local_date("lines.issued_at", "issued_invoices.timezone")) }}
            else issued_invoices.period_start
        end as billing_start,
        case
            when lines.is_billed_by_month
                then cast(last_day({{ local_date("lines.issued_at", "issued_invoices.timezone") }}) + 1 as date)
            else issued_invoices.period_end
        end as billing_end,
        lines.period_start,
        lines.period_end,
        lines.service_start,
        lines.service_end
    from lines
    inner join issued_invoices on lines.invoice_id = issued_invoices.invoice_id
    left join issued_invoices as corrected_invoices on lines.corrected_invoice_id = corrected_invoices.invoice_id
    left join issued_lines as corrected_lines
        on
            lines.corrected_line_id = corrected_lines.invoice_line_id
            and corrected_lines.line_type != 'adjustment'

)

select * from final
