{{ config(materialized='view') }}

{#- Issued periods that today's documents would rate by other terms than those they were issued with: the catalog or
    the prices say something else. What rating says of them now means nothing. A subscription that is gone, that has
    another customer or plan, or that does not serve the cycle, is none of these: account rows known later apply. -#}

with issued_periods as (

    select * from {{ ref('stg_ledger__issued_periods') }}

),

period_terms as (

    select * from {{ ref('int_period_terms') }}

),

final as (

    select
        issued_periods.invoice_id,
        issued_periods.subscription_id,
        issued_periods.customer_id,
        issued_periods.closing_number,
        coalesce(
            period_terms.accounts_hash = issued_periods.accounts_hash
            and period_terms.service_start = issued_periods.service_start
            and period_terms.service_end = issued_periods.service_end,
            false
        ) as has_same_accounts,
        issued_periods.period_start,
        issued_periods.period_end
    from issued_periods
    inner join period_terms
        on
            issued_periods.subscription_id = period_terms.subscription_id
            and issued_periods.customer_id = period_terms.customer_id
            and issued_periods.plan_id = period_terms.plan_id
            and issued_periods.period_start = period_terms.period_start
            and issued_periods.period_end = period_terms.period_end
    where period_terms.terms_hash != issued_periods.terms_hash

)

select * from final
