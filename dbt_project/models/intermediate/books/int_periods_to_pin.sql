{{ config(materialized='view') }}

{#- Issued periods that today's documents would rate by other terms than those they were issued with: the catalog or
    the prices say something else, or the time zone or the anchor was edited. What they should come to is only known by rating
    them again with the versions that their closing pinned. A subscription that is gone, that has another customer or
    plan, or that does not serve the cycle, is none of these: account rows known later apply. -#}

with issued_periods as (

    select * from {{ ref('int_issued_periods') }}

),

issued_invoices as (

    select * from {{ ref('stg_ledger__issued_invoices') }}

),

closings as (

    select * from {{ ref('stg_ledger__closings') }}

),

subscriptions as (

    select * from {{ ref('stg_accounts__subscriptions') }}

),

customers as (

    select * from {{ ref('stg_accounts__customers') }}

),

period_terms as (

    select * from {{ ref('int_period_terms') }}

),

final as (

    select
        issued_periods.invoice_id,
        issued_periods.subscription_id,
        issued_periods.customer_id,
        closings.catalog_version,
        closings.prices_version,
        closings.accounts_version,
        issued_invoices.timezone,
        issued_periods.billing_anchor_day,
        issued_periods.period_start,
        issued_periods.period_end
    from issued_periods
    inner join issued_invoices on issued_periods.invoice_id = issued_invoices.invoice_id
    inner join closings on issued_invoices.closing_number = closings.closing_number
    inner join subscriptions
        on
            issued_periods.subscription_id = subscriptions.subscription_id
            and issued_periods.customer_id = subscriptions.customer_id
            and issued_periods.plan_id = subscriptions.plan_id
    inner join customers on issued_periods.customer_id = customers.customer_id
    left join period_terms
        on
            issued_periods.subscription_id = period_terms.subscription_id
            and issued_periods.period_start = period_terms.period_start
            and issued_periods.period_end = period_terms.period_end
    where
        customers.timezone != issued_invoices.timezone
        or (
            period_terms.terms_hash is null
            and subscriptions.billing_anchor_day != issued_periods.billing_anchor_day
        )
        or period_terms.terms_hash != issued_periods.terms_hash

)

select * from final
