{{ config(materialized='incremental', incremental_strategy='append', pre_hook="{{ delete_alert_days() }}") }}

{#- What the days of customers with a budget of provider cost cost, in the budget's currency. A day's cost is worth what
    the currency was worth on that day; without a rate the amount is not known. -#}

with activity as (

    select * from {{ ref('int_daily_activity') }}
    where
        cost_usd is not null
        and {{ is_alert_day("customer_id", "usage_date") }}

),

budgets as (

    select * from {{ ref('stg_accounts__budgets') }}

),

currencies as (

    select * from {{ ref('int_currency_days') }}

),

budget_currencies as (

    select distinct
        customer_id,
        currency
    from budgets
    where measure = 'provider_cost'

),

costs as (

    select
        customer_id,
        usage_date,
        cast(sum(cost_usd) as decimal(38, 12)) as cost_usd
    from activity
    where customer_id in (select budget_currencies.customer_id from budget_currencies)
    group by
        customer_id,
        usage_date

),

final as (

    select
        costs.customer_id,
        budget_currencies.currency,
        costs.cost_usd,
        case
            when budget_currencies.currency = 'USD' or costs.cost_usd = 0 then costs.cost_usd
            else {{ from_usd("costs.cost_usd", "currencies") }}
        end as amount,
        costs.usage_date
    from costs
    inner join budget_currencies on costs.customer_id = budget_currencies.customer_id
    left join currencies
        on
            budget_currencies.currency = currencies.currency
            and costs.usage_date >= currencies.valid_from
            and costs.usage_date < currencies.valid_to

)

select * from final
