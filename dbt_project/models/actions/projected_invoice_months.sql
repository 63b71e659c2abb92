{{ config(materialized='ephemeral', contract={'enforced': false}) }}

{#- What invoices come to by month, in the currencies of budgets. An invoice counts in the month of its cycle's last
    day, at that day's rate. -#}

with current_periods as (

    select * from {{ ref('int_current_budgets') }}

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

final as (

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

)

select * from final
