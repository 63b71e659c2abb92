{{ config(materialized='view') }}

{#- What a closing would issue now, in figures and words, by currency. -#}

with due_invoices as (

    select * from {{ ref('int_due_invoices') }}

),

due_lines as (

    select * from {{ ref('int_due_lines') }}
    where line_type = 'adjustment'

),

due_credit_notes as (

    select * from {{ ref('int_due_credit_notes') }}

),

waiting as (

    select * from {{ ref('int_line_adjustments') }}
    where invoice_id is null

),

small as (

    select * from {{ ref('int_invoice_corrections') }}
    where not is_due

),

currencies as (

    select * from {{ ref('stg_catalog__currencies') }}

),

counted as (

    select
        currency,
        'invoice' as kind,
        total_minor as amount_minor
    from due_invoices
    union all
    select
        currency,
        'adjustment' as kind,
        amount_minor
    from due_lines
    union all
    select
        currency,
        'credit_note' as kind,
        amount_minor
    from due_credit_notes
    union all
    select
        currency,
        'waiting' as kind,
        amount_minor
    from waiting
    union all
    select
        currency,
        'small' as kind,
        net_minor as amount_minor
    from small

),

totals as (

    select
        currency,
        count(*) filter (where kind = 'invoice') as invoice_count,
        cast(coalesce(sum(amount_minor) filter (where kind = 'invoice'), 0) as bigint) as invoiced_minor,
        count(*) filter (where kind = 'adjustment') as adjustment_count,
        cast(coalesce(sum(amount_minor) filter (where kind = 'adjustment'), 0) as bigint) as adjusted_minor,
        count(*) filter (where kind = 'credit_note') as credit_note_count,
        cast(coalesce(sum(amount_minor) filter (where kind = 'credit_note'), 0) as bigint) as credited_minor,
        count(*) filter (where kind = 'waiting') as waiting_count,
        cast(coalesce(sum(amount_minor) filter (where kind = 'waiting'), 0) as bigint) as waiting_minor,
        count(*) filter (where kind = 'small') as small_count,
        cast(coalesce(sum(amount_minor) filter (where kind = 'small'), 0) as bigint) as small_minor
    from counted
    group by currency

),

final as (

    select
        totals.currency,
        totals.invoice_count,
        totals.invoiced_minor,
        {{ money_text("totals.invoiced_minor", "currencies.minor_units") }} as invoiced_text,
        totals.adjustment_count,
        totals.adjusted_minor,
        {{ money_text("totals.adjusted_minor", "currencies.minor_units") }} as adjusted_text,
        totals.credit_note_count,
        totals.credited_minor,
        {{ money_text("totals.credited_minor", "currencies.minor_units") }} as credited_text,
        totals.waiting_count,
        totals.waiting_minor,
        {{ money_text("totals.waiting_minor", "currencies.minor_units") }} as waiting_text,
        totals.small_count,
        totals.small_minor,
        {{ money_text("totals.small_minor", "currencies.minor_units") }} as small_text,
        {{ money_text("totals.invoiced_minor - totals.credited_minor", "currencies.minor_units") }} as net_text
    from totals
    inner join currencies on totals.currency = currencies.currency

)

select * from final
