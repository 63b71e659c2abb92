{{ config(materialized='view') }}

{#- Each step's remainder is what goes in, less what comes out of it, less what is known to wait. Their absolute values
    are summed: two errors that cancel out are still two: D-stripe-tie-out-absolute. -#}

with issued_invoices as (

    select * from {{ ref('stg_ledger__issued_invoices') }}

),

tied_usage as (

    select * from {{ ref('int_tied_usage') }}

),

tied_items as (

    select * from {{ ref('int_tied_items') }}

),

stripe_invoices as (

    select * from {{ ref('stg_ledger__stripe_invoices') }}

),

statuses as (

    select * from {{ ref('int_stripe_statuses') }}

),

last_reconciliations as (

    select max_by(reconciliation_id, finished_at) as reconciliation_id
    from {{ ref('stg_ledger__stripe_reconciliations') }}

),

differences as (

    select
        differences.invoice_id,
        count(*) as difference_count
    from {{ ref('stg_ledger__stripe_differences') }} as differences
    inner join last_reconciliations
        on differences.reconciliation_id = last_reconciliations.reconciliation_id
    where differences.is_blocking
    group by differences.invoice_id

),

finalized as (

    select
        *,
        starting_balance_minor - ending_balance_minor as balance_minor
    from stripe_invoices
    where status in ('open', 'paid', 'uncollectible')

),

steps as (

    select
        issued_invoices.*,
        coalesce(statuses.status, 'issued') as status,
        coalesce(tied_usage.usage_minor, 0) as usage_minor,
        coalesce(tied_usage.billed_minor, 0) as billed_minor,
        coalesce(tied_usage.waiting_minor, 0) as waiting_minor,
        coalesce(tied_items.credit_minor, 0) as credit_minor,
        coalesce(tied_items.item_minor, 0) as item_minor,
        coalesce(tied_items.stripe_credit_minor, 0) as stripe_credit_minor,
        coalesce(tied_items.unsent_line_minor, 0) as unsent_minor,
        coalesce(tied_items.unsent_credit_minor, 0) as unsent_credit_minor,
        finalized.stripe_total_minor,
        finalized.balance_minor,
        finalized.pre_payment_credit_minor,
        finalized.amount_paid_minor as paid_minor,
        finalized.amount_remaining_minor as open_minor,
        coalesce(differences.difference_count, 0) as difference_count
    from issued_invoices
    left join tied_usage on issued_invoices.invoice_id = tied_usage.invoice_id
    left join tied_items on issued_invoices.invoice_id = tied_items.invoice_id
    left join finalized on issued_invoices.invoice_id = finalized.invoice_id
    left join statuses on issued_invoices.invoice_id = statuses.invoice_id
    left join differences on issued_invoices.invoice_id = differences.invoice_id

),

remainders as (

    select
        *,
        usage_minor - billed_minor - waiting_minor as usage_remainder_minor,
        total_minor - item_minor - unsent_minor as item_remainder_minor,
        credit_minor - stripe_credit_minor - unsent_credit_minor as credit_remainder_minor,
        coalesce(item_minor - stripe_total_minor, 0) as total_remainder_minor,
        coalesce(
            stripe_total_minor + balance_minor - pre_payment_credit_minor - paid_minor - open_minor, 0
        ) as payment_remainder_minor
    from steps

),

final as (

    select
        invoice_id,
        invoice_number,
        customer_id,
        currency,
        status,
        usage_minor,
        billed_minor,
        waiting_minor,
        total_minor,
        item_minor,
        unsent_minor,
        credit_minor,
        stripe_credit_minor,
        unsent_credit_minor,
        stripe_total_minor,
        balance_minor,
        pre_payment_credit_minor,
        paid_minor,
        open_minor,
        cast(usage_remainder_minor as bigint) as usage_remainder_minor,
        cast(item_remainder_minor + total_remainder_minor as bigint) as item_remainder_minor,
        cast(credit_remainder_minor as bigint) as credit_remainder_minor,
        cast(payment_remainder_minor as bigint) as payment_remainder_minor,
        cast(
            abs(usage_remainder_minor) + abs(item_remainder_minor) + abs(total_remainder_minor)
            + abs(credit_remainder_minor) + abs(payment_remainder_minor) as bigint
        ) as unexplained_minor,
        cast(difference_count as integer) as difference_count,
        period_start,
        period_end
    from remainders

)

select * from final
