{#- Each budget against what its period is projected to come to, in the budget's currency. What was spent counts at the
    rate of its day, as it does for alerts, and what is to come at the rate of the clock's day; an invoice counts in the
    month of its cycle's last day, at that day's rate. Nothing predicts an invoice by day. -#}

with budgets as (

    select * from {{ ref('stg_accounts__budgets') }}

),

costs as (

    select * from {{ ref('int_projected_costs') }}

),

daily_spend as (

    select * from {{ ref('int_daily_spend') }}
    where {{ is_recent("usage_date") }}

),

invoices as (

    select * from {{ ref('invoices') }}

),

projected_invoices as (

    select * from {{ ref('projected_invoices') }}

),

currencies as (

    select * from {{ ref('stg_catalog__currencies') }}

),

currency_days as (

    select * from {{ ref('int_currency_days') }}

),

current_periods as (

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

totals as (

    select
        coalesce(invoices.customer_id, projected_invoices.customer_id) as customer_id,
        coalesce(invoices.currency, projected_invoices.currency) as currency,
        coalesce(invoices.total_minor, 0) as total_minor,
        case
            when projected_invoices.customer_id is null then invoices.total_minor
            else projected_invoices.projected_total_minor
        end as projected_total_minor,
        cast(coalesce(invoices.period_end, projected_invoices.period_end) - 1 as date) as last_day
    from invoices
    full outer join projected_invoices
        on
            invoices.customer_id = projected_invoices.customer_id
            and invoices.currency = projected_invoices.currency
            and invoices.period_start = projected_invoices.period_start
            and invoices.period_end = projected_invoices.period_end

),

invoiced as (

    select
        totals.customer_id,
        totals.currency,
        cast(totals.total_minor * cast('1e-' || currencies.minor_units as decimal(38, 12)) as decimal(38, 12))
            as amount,
        cast(
            totals.projected_total_minor * cast('1e-' || currencies.minor_units as decimal(38, 12)) as decimal(38, 12)
        ) as projected_amount,
        totals.last_day
    from totals
    inner join currencies on totals.currency = currencies.currency

),

converted as (

    select
        current_periods.customer_id,
        current_periods.currency,
        case
            when invoiced.currency = current_periods.currency then invoiced.amount
            when invoice_rates.currency is not null
                then {{ from_usd(in_usd("invoiced.amount", "invoice_rates"), "budget_rates") }}
        end as amount,
        case
            when invoiced.currency = current_periods.currency then invoiced.projected_amount
            when invoice_rates.currency is not null
                then {{ from_usd(in_usd("invoiced.projected_amount", "invoice_rates"), "budget_rates") }}
        end as projected_amount,
        {{ month_start("invoiced.last_day") }} as period_start
    from current_periods
    inner join invoiced
        on
            current_periods.customer_id = invoiced.customer_id
            and current_periods.month_start <= invoiced.last_day
    left join currency_days as invoice_rates
        on
            invoiced.currency = invoice_rates.currency
            and invoiced.last_day >= invoice_rates.valid_from
            and invoiced.last_day < invoice_rates.valid_to
    left join currency_days as budget_rates
        on
            current_periods.currency = budget_rates.currency
            and invoiced.last_day >= budget_rates.valid_from
            and invoiced.last_day < budget_rates.valid_to
    where
        current_periods.measure = 'invoice'
        and current_periods.period = 'month'

),

invoice_months as (

    select
        customer_id,
        currency,
        case when count(*) = count(amount) then sum(amount) end as amount,
        case when count(*) = count(projected_amount) then sum(projected_amount) end as projected_amount,
        period_start
    from converted
    group by
        customer_id,
        currency,
        period_start

),

invoice_budgets as (

    select
        current_periods.customer_id,
        current_periods.period,
        current_periods.measure,
        current_periods.currency,
        current_periods.amount,
        case
            when current_periods.period = 'day' then null
            when invoice_months.customer_id is null then 0
            else invoice_months.amount
        end as observed_amount,
        case
            when current_periods.period = 'day' then null
            when invoice_months.customer_id is null then 0
            else invoice_months.projected_amount
        end as projected_amount,
        coalesce(invoice_months.period_start, current_periods.period_start) as period_start,
        current_periods.local_today
    from current_periods
    left join invoice_months
        on
            current_periods.customer_id = invoice_months.customer_id
            and current_periods.currency = invoice_months.currency
            and current_periods.period = 'month'
    where current_periods.measure = 'invoice'

),

measured as (

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
    union all
    select
        customer_id,
        period,
        measure,
        currency,
        amount,
        observed_amount,
        projected_amount,
        period_start,
        local_today
    from invoice_budgets

),

counted as (

    select
        measured.*,
        {{ scaled("measured.projected_amount") }} * cast(1000000000000 as hugeint) as projected_count,
        {{ scaled("cast('1e-' || currencies.minor_units as decimal(38, 12))") }} as minor_count
    from measured
    inner join currencies on measured.currency = currencies.currency

),

final as (

    select
        customer_id,
        period,
        measure,
        currency,
        amount,
        cast(observed_amount as decimal(38, 12)) as observed_amount,
        cast(projected_amount as decimal(38, 12)) as projected_amount,
        cast({{ to_minor("projected_count", "minor_count") }} as bigint) as projected_minor,
        projected_amount > amount as is_exceeded,
        period_start,
        local_today as projected_on
    from counted

)

select * from final
