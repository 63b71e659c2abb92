{{ config(materialized='view') }}

{#- Lines of the credit notes that a closing would issue now: one credit note per invoice and closing. -#}

with credits as (

    select * from {{ ref('int_line_credits') }}

),

closings as (

    select * from {{ ref('stg_ledger__closings') }}

),

causes as (

    select * from {{ ref('int_correction_causes') }}

),

next_closing as (

    select coalesce(max(closing_number), 0) + 1 as closing_number
    from closings

),

final as (

    select
        'cn_' || left({{ fingerprint(["credits.invoice_id", "next_closing.closing_number"]) }}, 24) as credit_note_id,
        'cnl_' || left(
            {{ fingerprint(["credits.invoice_line_id", "credits.rated_line_id", "next_closing.closing_number"]) }}, 24
        ) as credit_note_line_id,
        cast(
            row_number() over (
                partition by credits.invoice_id
                order by credits.period_start, credits.rated_line_id, credits.invoice_line_id
            ) as integer
        ) as line_number,
        credits.invoice_id,
        credits.invoice_line_id,
        credits.rated_line_id as corrects_line_id,
        credits.customer_id,
        credits.currency,
        credits.amount_minor,
        credits.description,
        credits.quantity,
        credits.restated_quantity,
        credits.restated_amount_minor,
        credits.period_start,
        credits.period_end,
        causes.causes,
        coalesce(causes.reason, 'correction') as reason
    from credits
    cross join next_closing
    left join causes on credits.rated_line_id = causes.rated_line_id

)

select * from final
