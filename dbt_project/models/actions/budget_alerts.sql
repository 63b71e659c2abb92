{{ config(materialized='table') }}

{#- Every alert there is reason for, whenever it was raised; the ledger remembers which were. Longer than other models
    because budgets of invoices can only be measured beside invoices: prices and bought capacity count from the first
    day served, an overage as it grew over the days. That share dates the alert; amounts are the invoice's own. -#}

with found_alerts as (

    select * from {{ ref('int_found_alerts') }}

),

rated_lines as (

    select * from {{ ref('int_rated_lines') }}

),

usage_to_date as (

    select * from {{ ref('int_usage_to_date') }}

),

budget_projections as (

    select * from {{ ref('budget_projections') }}

),

thresholds as (

    select * from {{ ref('int_budget_thresholds') }}
    where measure = 'invoice'

),

currencies as (

    select * from {{ ref('stg_catalog__currencies') }}

),

currency_days as (

    select * from {{ ref('int_currency_days') }}

),

alert_reads as (

    select * from {{ ref('stg_ledger__alert_reads') }}

),

budgets as (

    select distinct
        customer_id,
        period,
        currency
    from thresholds

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

accrued as (

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

),

converted as (

    select
        accrued.customer_id,
        budgets.period,
        budgets.currency,
        case budgets.period when 'day' then accrued.accrued_on else {{ month_start("accrued.last_day") }} end
            as window_start,
        accrued.accrued_on,
        case
            when accrued.currency = budgets.currency then accrued.amount
            when invoiced.currency is not null
                then {{ from_usd(in_usd("accrued.amount", "invoiced"), "budgeted") }}
        end as amount
    from accrued
    inner join budgets on accrued.customer_id = budgets.customer_id
    left join currency_days as invoiced
        on
            accrued.currency = invoiced.currency
            and accrued.last_day >= invoiced.valid_from
            and accrued.last_day < invoiced.valid_to
    left join currency_days as budgeted
        on
            budgets.currency = budgeted.currency
            and accrued.last_day >= budgeted.valid_from
            and accrued.last_day < budgeted.valid_to

),

running as (

    select
        customer_id,
        period,
        currency,
        window_start,
        accrued_on,
        sum(amount) over so_far as amount_to_date,
        cast(sum(amount) over whole as decimal(38, 12)) as amount,
        count(*) over whole = count(amount) over whole as is_known
    from converted
    window
        whole as (partition by customer_id, period, currency, window_start),
        so_far as (partition by customer_id, period, currency, window_start order by accrued_on)

),

invoice_alerts as (

    select
        running.customer_id,
        thresholds.kind,
        running.period,
        running.currency,
        thresholds.threshold,
        running.amount as observed,
        thresholds.amount as limit_value,
        running.window_start as period_start,
        min(running.accrued_on) as triggered_on
    from running
    inner join thresholds
        on
            running.customer_id = thresholds.customer_id
            and running.period = thresholds.period
            and running.currency = thresholds.currency
            and running.amount_to_date >= thresholds.bar
            and running.amount >= thresholds.bar
    where running.is_known
    group by all

),

alerts as (

    select
        customer_id,
        kind,
        meter_id,
        subject,
        threshold,
        observed,
        limit_value,
        currency,
        severity,
        period_start,
        triggered_on,
        message
    from found_alerts
    union all
    select
        customer_id,
        kind,
        cast(null as varchar) as meter_id,
        {{ budget_subject("'invoice'", "currency", "period") }} as subject,
        threshold,
        observed,
        limit_value,
        currency,
        case kind when 'pause_reached' then 'critical' else {{ severity_of("threshold") }} end as severity,
        period_start,
        triggered_on,
        {{ budget_message(
            "case period when 'day' then 'Invoices grew on ' else 'Invoices of the month from ' end || period_start"
            ~ " || case period when 'day' then ' by' else ' stand at' end"
        ) }} as message
    from invoice_alerts
    union all
    select
        customer_id,
        'projected_overrun' as kind,
        cast(null as varchar) as meter_id,
        {{ budget_subject("measure", "currency", "period") }} as subject,
        cast(1 as decimal(38, 12)) as threshold,
        projected_amount as observed,
        amount as limit_value,
        currency,
        'warning' as severity,
        period_start,
        projected_on as triggered_on,
        case measure when 'invoice' then 'Invoices' else 'Provider cost' end || ' projected for '
        || case period when 'day' then '' else 'the month from ' end || period_start || ': '
        || {{ plain_number("round(projected_amount, 2)") }} || ' ' || currency || ', '
        || {{ plain_number("round(observed_amount, 2)") }} || ' so far; the budget is '
        || {{ plain_number("amount") }} || ' ' || currency || ' per ' || period as message
    from budget_projections
    where
        is_exceeded
        and observed_amount <= amount

),

identified as (

    select
        *,
        'alert_' || left(
            {{ fingerprint(["customer_id", "kind", "meter_id", "subject", "threshold", "period_start"]) }}, 24
        ) as alert_id
    from alerts

),

final as (

    select
        identified.alert_id,
        identified.customer_id,
        identified.kind,
        identified.meter_id,
        identified.subject,
        identified.severity,
        identified.message,
        identified.currency,
        cast(identified.threshold as decimal(18, 6)) as threshold,
        identified.observed,
        identified.limit_value,
        alert_reads.alert_id is not null as is_read,
        identified.period_start,
        identified.triggered_on,
        alert_reads.read_at
    from identified
    left join alert_reads on identified.alert_id = alert_reads.alert_id

)

select * from final
