{{ config(materialized='ephemeral') }}

{#- The alerts of budgets that invoices reached. The share of a line that had grown by a day dates the alert; amounts
    are the invoice's own, at the rate of its cycle's last day. -#}

with accruals as (

    select * from {{ ref('int_invoice_accruals') }}

),

thresholds as (

    select * from {{ ref('int_budget_thresholds') }}
    where measure = 'invoice'

),

currency_days as (

    select * from {{ ref('int_currency_days') }}

),

budgets as (

    select distinct
        customer_id,
        period,
        currency
    from thresholds

),

converted as (

    select
        accruals.customer_id,
        budgets.period,
        budgets.currency,
        case budgets.period when 'day' then accruals.accrued_on else {{ month_start("accruals.last_day") }} end
            as window_start,
        accruals.accrued_on,
        case
            when accruals.currency = budgets.currency then accruals.amount
            when invoiced.currency is not null
                then {{ from_usd(in_usd("accruals.amount", "invoiced"), "budgeted") }}
        end as amount
    from accruals
    inner join budgets on accruals.customer_id = budgets.customer_id
    left join currency_days as invoiced
        on
            accruals.currency = invoiced.currency
            and accruals.last_day >= invoiced.valid_from
            and accruals.last_day < invoiced.valid_to
    left join currency_days as budgeted
        on
            budgets.currency = budgeted.currency
            and accruals.last_day >= budgeted.valid_from
            and accruals.last_day < budgeted.valid_to

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

reached as (

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

final as (

    select
        customer_id,
        kind,
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
    from reached

)

select * from final
