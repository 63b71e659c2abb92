{{ config(materialized='view') }}

{#- What a closing would pin: the terms of every subscription that serves a cycle which is issued, also where it has no
    line, and of those that an issued cycle gets through an adjustment. -#}

with due_lines as (

    select * from {{ ref('int_due_lines') }}

),

unissued_invoices as (

    select * from {{ ref('int_unissued_invoices') }}

),

period_terms as (

    select * from {{ ref('int_period_terms') }}

),

issued_periods as (

    select * from {{ ref('stg_ledger__issued_periods') }}

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

added as (

    select
        due_lines.adjusts_invoice_id as invoice_id,
        due_lines.subscription_id,
        due_lines.period_start
    from due_lines
    left join issued_periods
        on
            due_lines.adjusts_invoice_id = issued_periods.invoice_id
            and due_lines.subscription_id = issued_periods.subscription_id
    where
        due_lines.adjusts_invoice_id is not null
        and issued_periods.invoice_id is null

),

pinned as (

    select * from served
    union
    select * from added

),

final as (

    select
        pinned.invoice_id,
        pinned.subscription_id,
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
    from pinned
    inner join period_terms
        on
            pinned.subscription_id = period_terms.subscription_id
            and pinned.period_start = period_terms.period_start

)

select * from final
