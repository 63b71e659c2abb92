{#- Each budget against what its period is projected to come to. Provider cost is compared in USD; invoices are those of
    the customer's open cycles in the budget's currency. Nothing predicts an invoice by day. -#}

with budgets as (

    select * from {{ ref('stg_accounts__budgets') }}

),

costs as (

    select * from {{ ref('int_projected_costs') }}

),

currency_days as (

    select * from {{ ref('int_currency_days') }}

),

lines as (

    select * from {{ ref('int_projected_lines') }}

),

periods as (

    select * from {{ ref('int_open_periods') }}
    where scenario = 'projected'

),

invoiced as (

    select
        periods.customer_id,
        periods.currency,
        sum(lines.amount_minor) as amount_minor,
        count(*) = count(lines.amount_minor) as is_known
    from periods
    inner join lines on periods.period_number = lines.period_number
    group by
        periods.customer_id,
        periods.currency

),

measured as (

    select
        budgets.customer_id,
        budgets.period,
        budgets.measure,
        budgets.currency,
        budgets.amount,
        budgets.pause_at,
        case
            when budgets.measure = 'provider_cost' then {{ in_usd("budgets.amount", "currency_days") }}
            else budgets.amount
        end as limit_amount,
        case
            when budgets.measure = 'provider_cost' and budgets.period = 'day' then costs.day_cost_usd
            when budgets.measure = 'provider_cost' then costs.cost_usd
        end as observed_amount,
        case
            when budgets.measure = 'provider_cost' and budgets.period = 'day' then costs.projected_day_cost_usd
            when budgets.measure = 'provider_cost' then costs.projected_cost_usd
            when budgets.period = 'month' and invoiced.customer_id is null then 0
            when budgets.period = 'month' and invoiced.is_known
                then cast(invoiced.amount_minor as decimal(38, 12)) * currency_days.minor_unit
        end as projected_amount
    from budgets
    left join costs on budgets.customer_id = costs.customer_id
    left join currency_days
        on
            budgets.currency = currency_days.currency
            and costs.local_today >= currency_days.valid_from
            and costs.local_today < currency_days.valid_to
    left join invoiced
        on
            budgets.customer_id = invoiced.customer_id
            and budgets.currency = invoiced.currency

),

final as (

    select
        customer_id,
        period,
        measure,
        currency,
        projected_amount > limit_amount as is_exceeded,
        observed_amount >= cast(round({{ exact_product("limit_amount", "pause_at") }}, 12) as decimal(38, 12))
            as is_pause_reached,
        amount,
        cast(limit_amount as decimal(38, 12)) as limit_amount,
        cast(projected_amount as decimal(38, 12)) as projected_amount
    from measured

)

select * from final
