{{ config(materialized='ephemeral') }}

{#- Budgets of provider cost. What was spent counts at the rate of its day, as it does for alerts, and what is to come
    at the rate of the clock's day. -#}

with current_periods as (

    select * from {{ ref('int_current_budgets') }}

),

daily_spend as (

    select * from {{ ref('int_daily_spend') }}
    where {{ is_recent("usage_date") }}

),

currency_days as (

    select * from {{ ref('int_currency_days') }}

),

spent as (

    select
        current_periods.customer_id,
        current_periods.period,
        current_periods.currency,
        sum(daily_spend.amount) as amount,
        count(*) = count(daily_spend.amount) as is_known
    from current_periods
    inner join daily_spend
        on
            current_periods.customer_id = daily_spend.customer_id
            and current_periods.currency = daily_spend.currency
            and case current_periods.period
                when 'day' then daily_spend.usage_date else {{ month_start("daily_spend.usage_date") }}
            end = current_periods.period_start
    where current_periods.measure = 'provider_cost'
    group by
        current_periods.customer_id,
        current_periods.period,
        current_periods.currency

),

cost_budgets as (

    select
        current_periods.customer_id,
        current_periods.period,
        current_periods.measure,
        current_periods.currency,
        current_periods.amount,
        case when spent.customer_id is null then 0 when spent.is_known then spent.amount end as observed_amount,
        case
            when current_periods.currency = 'USD' or current_periods.expected_cost_usd = 0
                then current_periods.expected_cost_usd
            else {{ from_usd("current_periods.expected_cost_usd", "currency_days") }}
        end as expected_amount,
        current_periods.period_start,
        current_periods.local_today
    from current_periods
    left join spent
        on
            current_periods.customer_id = spent.customer_id
            and current_periods.period = spent.period
            and current_periods.currency = spent.currency
    left join currency_days
        on
            current_periods.currency = currency_days.currency
            and current_periods.local_today >= currency_days.valid_from
            and current_periods.local_today < currency_days.valid_to
    where current_periods.measure = 'provider_cost'

),

final as (

    select
        customer_id,
        period,
        measure,
        currency,
        amount,
        observed_amount,
        observed_amount + expected_amount as projected_amount,
        period_start,
        local_today
    from cost_budgets

)

select * from final
