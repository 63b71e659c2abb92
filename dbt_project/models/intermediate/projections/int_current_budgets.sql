{{ config(materialized='ephemeral') }}

{#- Budgets in the day or month of the clock, and what is still to come of their customer's provider cost in it. -#}

with budgets as (

    select * from {{ ref('stg_accounts__budgets') }}

),

costs as (

    select * from {{ ref('int_projected_costs') }}

),

final as (

    select
        budgets.customer_id,
        budgets.period,
        budgets.measure,
        budgets.currency,
        budgets.amount,
        case budgets.period
            when 'day' then costs.projected_day_cost_usd - costs.day_cost_usd
            else costs.projected_cost_usd - costs.cost_usd
        end as expected_cost_usd,
        case budgets.period when 'day' then costs.local_today else costs.month_start end as period_start,
        costs.month_start,
        costs.local_today
    from budgets
    inner join costs on budgets.customer_id = costs.customer_id

)

select * from final
