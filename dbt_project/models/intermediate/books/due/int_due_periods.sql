{{ config(materialized='view') }}

{#- What a closing would pin: the terms of every subscription that serves a cycle which is issued, also where it has no
    line, and those that an adjustment or a credit note goes by, if nothing held the period to them yet. -#}

with due_lines as (

    select * from {{ ref('int_due_lines') }}

),

unissued_invoices as (

    select * from {{ ref('int_unissued_invoices') }}

),

period_terms as (

    select * from {{ ref('int_period_terms') }}

),

due_credit_note_lines as (

    select * from {{ ref('int_due_credit_note_lines') }}

),

differences as (

    select * from {{ ref('int_line_differences') }}

),

issued_invoices as (

    select * from {{ ref('stg_ledger__issued_invoices') }}

),

period_pins as (

    select * from {{ ref('int_period_pins') }}

),

served as (

    select
        unissued_invoices.invoice_id,
        period_terms.subscription_id,
        period_terms.period_start
    from unissued_invoices
    inner join period_terms
        on
            unissued_invoices.customer_id = period_terms.customer_id
            and unissued_invoices.currency = period_terms.currency
            and unissued_invoices.period_start = period_terms.period_start
            and unissued_invoices.period_end = period_terms.period_end
    where unissued_invoices.invoice_id in (select due_lines.invoice_id from due_lines)

),

corrected_lines as (

    select adjusts_line_id as rated_line_id
    from due_lines
    union
    select corrects_line_id as rated_line_id
    from due_credit_note_lines

),

corrected as (

    select distinct
        differences.invoice_id,
        differences.subscription_id,
        differences.period_start
    from differences
    inner join corrected_lines on differences.rated_line_id = corrected_lines.rated_line_id
    inner join issued_invoices on differences.invoice_id = issued_invoices.invoice_id
    inner join period_terms
        on
            differences.subscription_id = period_terms.subscription_id
            and issued_invoices.customer_id = period_terms.customer_id
            and issued_invoices.currency = period_terms.currency
            and issued_invoices.period_start = period_terms.period_start
            and issued_invoices.period_end = period_terms.period_end

),

due as (

    select * from served
    union
    select * from corrected

),

final as (

    select
        due.invoice_id,
        due.subscription_id,
        period_terms.customer_id,
        period_terms.plan_id,
        period_terms.plan_version,
        period_terms.cycle_days,
        period_terms.terms_hash,
        period_terms.accounts_hash,
        period_terms.period_start,
        period_terms.period_end,
        period_terms.service_start,
        period_terms.service_end
    from due
    inner join period_terms
        on
            due.subscription_id = period_terms.subscription_id
            and due.period_start = period_terms.period_start
    left join period_pins
        on
            period_terms.subscription_id = period_pins.subscription_id
            and period_terms.period_start = period_pins.period_start
            and period_terms.period_end = period_pins.period_end
    where period_pins.subscription_id is null

)

select * from final
