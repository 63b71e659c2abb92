{{ config(materialized='view') }}

{#- What cannot be held against a budget because fx_rates.csv has no rate for that day: costs, and invoices in another
    currency, which count at the rate of their cycle's last day. -#}

with daily_spend as (

    select * from {{ ref('int_daily_spend') }}

),

budgets as (

    select * from {{ ref('stg_accounts__budgets') }}

),

rated_periods as (

    select * from {{ ref('int_rated_periods') }}

),

currencies as (

    select * from {{ ref('int_currency_days') }}

),

unconverted_cycles as (

    select
        budgets.customer_id,
        budgets.currency,
        rated_periods.period_end - 1 as last_day
    from budgets
    inner join rated_periods
        on
            budgets.customer_id = rated_periods.customer_id
            and budgets.currency != rated_periods.currency
    left join currencies as invoiced
        on
            rated_periods.currency = invoiced.currency
            and rated_periods.period_end - 1 >= invoiced.valid_from
            and rated_periods.period_end - 1 < invoiced.valid_to
    left join currencies as budgeted
        on
            budgets.currency = budgeted.currency
            and rated_periods.period_end - 1 >= budgeted.valid_from
            and rated_periods.period_end - 1 < budgeted.valid_to
    where
        budgets.measure = 'invoice'
        and (invoiced.currency is null or budgeted.currency is null)

),

final as (

    select
        customer_id,
        'provider_cost' as measure,
        currency,
        count(*) as day_count,
        min(usage_date) as first_day
    from daily_spend
    where amount is null
    group by
        customer_id,
        currency
    union all
    select
        customer_id,
        'invoice' as measure,
        currency,
        count(distinct last_day) as day_count,
        min(last_day) as first_day
    from unconverted_cycles
    group by
        customer_id,
        currency

)

select * from final
