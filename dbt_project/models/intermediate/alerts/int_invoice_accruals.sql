{{ config(materialized='ephemeral') }}

{#- How the lines of customers with a budget of invoices came about day by day: prices and bought capacity count from
    the first day served, an overage as it grew over the days. -#}

with rated_lines as (

    select * from {{ ref('int_rated_lines') }}

),

usage_to_date as (

    select * from {{ ref('int_usage_to_date') }}

),

currencies as (

    select * from {{ ref('stg_catalog__currencies') }}

),

budgets as (

    select distinct customer_id
    from {{ ref('int_budget_thresholds') }}
    where measure = 'invoice'

),

lines as (

    select
        rated_lines.customer_id,
        rated_lines.subscription_id,
        rated_lines.invoice_line_id,
        rated_lines.line_type,
        rated_lines.meter_id,
        rated_lines.currency,
        rated_lines.quantity,
        cast(rated_lines.amount_minor * cast('1e-' || currencies.minor_units as decimal(38, 12)) as decimal(38, 12))
            as amount,
        rated_lines.period_start,
        rated_lines.service_start,
        cast(rated_lines.period_end - 1 as date) as last_day
    from rated_lines
    inner join currencies on rated_lines.currency = currencies.currency
    where rated_lines.customer_id in (select budgets.customer_id from budgets)

),

overages_to_date as (

    select
        subscription_id,
        meter_id,
        period_start,
        window_start,
        usage_date,
        greatest(quantity - included_quantity, 0) - coalesce(
            lag(greatest(quantity - included_quantity, 0)) over (
                partition by subscription_id, meter_id, period_start, window_start
                order by usage_date
            ), 0
        ) as overage_quantity
    from usage_to_date
    where customer_id in (select budgets.customer_id from budgets)

),

shares as (

    select
        lines.invoice_line_id,
        overages_to_date.usage_date as accrued_on,
        {{ usage_ratio(
            scaled("cast(greatest(sum(overages_to_date.overage_quantity) over so_far, 0) as decimal(38, 12))"),
            scaled("lines.quantity"),
        ) }} as share_ratio
    from lines
    inner join overages_to_date
        on
            lines.subscription_id = overages_to_date.subscription_id
            and lines.meter_id = overages_to_date.meter_id
            and lines.period_start = overages_to_date.period_start
    where
        lines.line_type = 'usage'
        and lines.quantity > 0
    window so_far as (partition by lines.invoice_line_id order by overages_to_date.usage_date)

),

growing as (

    select distinct
        invoice_line_id,
        accrued_on,
        share_ratio
    from shares
    union all
    select
        invoice_line_id,
        service_start as accrued_on,
        cast(1 as decimal(18, 6)) as share_ratio
    from lines
    where line_type != 'usage'

),

final as (

    select
        lines.customer_id,
        lines.currency,
        lines.last_day,
        growing.accrued_on,
        cast(lines.amount * growing.share_ratio as decimal(38, 12)) - coalesce(
            lag(cast(lines.amount * growing.share_ratio as decimal(38, 12))) over (
                partition by growing.invoice_line_id
                order by growing.accrued_on
            ), 0
        ) as amount
    from growing
    inner join lines on growing.invoice_line_id = lines.invoice_line_id

)

select * from final
