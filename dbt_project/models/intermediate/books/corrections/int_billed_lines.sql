{{ config(materialized='view') }}

{#- What was billed so far for a rated line: issued, plus adjustments, less credits. A correction states what the line
    should be; the last statement is what a next one is compared with. -#}

with issued_lines as (

    select * from {{ ref('stg_ledger__issued_lines') }}

),

credit_note_lines as (

    select * from {{ ref('stg_ledger__credit_note_lines') }}

),

statements as (

    select
        coalesce(adjusts_line_id, invoice_line_id) as rated_line_id,
        coalesce(adjusts_invoice_id, invoice_id) as invoice_id,
        subscription_id,
        meter_id,
        cast(line_type = 'adjustment' as integer) as is_correction,
        amount_minor,
        coalesce(restated_quantity, quantity) as quantity,
        closing_number
    from issued_lines
    union all
    select
        corrects_line_id as rated_line_id,
        cast(null as varchar) as invoice_id,
        cast(null as varchar) as subscription_id,
        cast(null as varchar) as meter_id,
        1 as is_correction,
        -amount_minor as amount_minor,
        restated_quantity as quantity,
        closing_number
    from credit_note_lines

),

final as (

    select
        rated_line_id,
        max(invoice_id) as invoice_id,
        max(subscription_id) as subscription_id,
        max(meter_id) as meter_id,
        sum(is_correction) as correction_count,
        min(is_correction) = 0 as is_issued,
        cast(sum(amount_minor) as bigint) as billed_minor,
        max_by(quantity, closing_number) as stated_quantity,
        max(closing_number) as stated_in_closing
    from statements
    group by rated_line_id

)

select * from final
