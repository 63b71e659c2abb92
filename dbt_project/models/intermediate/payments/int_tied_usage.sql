{{ config(materialized='ephemeral') }}

{#- From usage to lines: what the usage of an issued cycle comes to as known now, what was billed for it so far with its
    corrections, and what a next correction will bring. A repriced period tells nothing: only the closing rates it
    again with the terms that it pinned. -#}

with issued_invoices as (

    select * from {{ ref('stg_ledger__issued_invoices') }}

),

unpinned_lines as (

    select * from {{ ref('int_unpinned_lines') }}

),

billed_lines as (

    select * from {{ ref('int_billed_lines') }}

),

differences as (

    select * from {{ ref('int_line_differences') }}

),

repriced_periods as (

    select * from {{ ref('int_repriced_periods') }}

),

amounts as (

    select
        invoice_id,
        subscription_id,
        amount_minor as usage_minor,
        0 as billed_minor,
        0 as waiting_minor
    from unpinned_lines
    union all
    select
        invoice_id,
        subscription_id,
        0 as usage_minor,
        billed_minor,
        0 as waiting_minor
    from billed_lines
    union all
    select
        invoice_id,
        subscription_id,
        0 as usage_minor,
        0 as billed_minor,
        difference_minor as waiting_minor
    from differences

),

final as (

    select
        amounts.invoice_id,
        cast(sum(amounts.usage_minor) as bigint) as usage_minor,
        cast(sum(amounts.billed_minor) as bigint) as billed_minor,
        cast(sum(amounts.waiting_minor) as bigint) as waiting_minor
    from amounts
    inner join issued_invoices on amounts.invoice_id = issued_invoices.invoice_id
    left join repriced_periods
        on
            amounts.invoice_id = repriced_periods.invoice_id
            and amounts.subscription_id = repriced_periods.subscription_id
    where repriced_periods.invoice_id is null
    group by amounts.invoice_id

)

select * from final
