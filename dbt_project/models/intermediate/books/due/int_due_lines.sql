{{ config(materialized='view') }}

{#- Lines of the invoices that a closing would issue now: the rated ones, then the adjustments that these invoices
    carry. Numbered as people read them: by subscription, its price first. -#}

with unpinned_lines as (

    select * from {{ ref('int_unpinned_lines') }}

),

unissued_invoices as (

    select * from {{ ref('int_unissued_invoices') }}
    where
        status = 'ready'
        and {{ is_within_closing("period_end") }}

),

adjustments as (

    select * from {{ ref('int_line_adjustments') }}
    where invoice_id is not null

),

causes as (

    select * from {{ ref('int_correction_causes') }}

),

lines as (

    select
        unpinned_lines.invoice_line_id,
        unpinned_lines.invoice_id,
        unpinned_lines.customer_id,
        unpinned_lines.subscription_id,
        unpinned_lines.plan_id,
        unpinned_lines.plan_version,
        unpinned_lines.line_type,
        unpinned_lines.meter_id,
        unpinned_lines.description,
        unpinned_lines.quantity,
        unpinned_lines.amount,
        unpinned_lines.amount_minor,
        unpinned_lines.currency,
        unpinned_lines.period_start,
        unpinned_lines.period_end,
        unpinned_lines.service_start,
        unpinned_lines.service_end,
        cast(null as varchar) as adjusts_line_id,
        cast(null as varchar) as adjusts_invoice_id,
        cast(null as decimal(38, 12)) as restated_quantity,
        cast(null as bigint) as restated_amount_minor,
        cast(null as varchar) as causes
    from unpinned_lines
    inner join unissued_invoices on unpinned_lines.invoice_id = unissued_invoices.invoice_id
    union all
    select
        adjustments.invoice_line_id,
        adjustments.invoice_id,
        adjustments.customer_id,
        adjustments.subscription_id,
        adjustments.plan_id,
        adjustments.plan_version,
        'adjustment' as line_type,
        adjustments.meter_id,
        adjustments.description,
        adjustments.quantity,
        adjustments.amount,
        adjustments.amount_minor,
        adjustments.currency,
        adjustments.period_start,
        adjustments.period_end,
        adjustments.service_start,
        adjustments.service_end,
        adjustments.rated_line_id as adjusts_line_id,
        adjustments.adjusts_invoice_id,
        adjustments.restated_quantity,
        adjustments.restated_amount_minor,
        causes.causes
    from adjustments
    left join causes on adjustments.rated_line_id = causes.rated_line_id

),

final as (

    select
        *,
        cast(
            row_number() over (
                partition by invoice_id
                order by
                    line_type = 'adjustment',
                    period_start,
                    subscription_id,
                    case line_type when 'price' then 1 when 'capacity' then 2 else 3 end,
                    meter_id,
                    invoice_line_id
            ) as integer
        ) as line_number
    from lines

)

select * from final
