{{ config(materialized='incremental', incremental_strategy='append', pre_hook="{{ delete_alert_months() }}") }}

{#- The alerts of budgets that provider cost reached: the first local day on which that of a day or calendar month
    reached a share of its budget. Once a day's cost is not known in the budget's currency, nothing can be said about
    the rest of that period. -#}

with spend as (

    select * from {{ ref('int_daily_spend') }}
    where {{ is_alert_month("customer_id", month_start("usage_date")) }}

),

thresholds as (

    select * from {{ ref('int_budget_thresholds') }}
    where measure = 'provider_cost'

),

periods as (

    select distinct
        customer_id,
        period,
        currency
    from thresholds

),

windowed as (

    select
        spend.customer_id,
        spend.currency,
        periods.period,
        case periods.period when 'day' then spend.usage_date else {{ month_start("spend.usage_date") }} end
            as window_start,
        spend.usage_date,
        spend.amount
    from spend
    inner join periods
        on
            spend.customer_id = periods.customer_id
            and spend.currency = periods.currency

),

running as (

    select
        customer_id,
        currency,
        period,
        window_start,
        usage_date,
        cast(sum(amount) over so_far as decimal(38, 12)) as amount,
        count(*) over so_far = count(amount) over so_far as is_known
    from windowed
    window so_far as (partition by customer_id, currency, period, window_start order by usage_date)

),

reached as (

    select
        running.customer_id,
        running.currency,
        running.period,
        thresholds.kind,
        thresholds.threshold,
        min_by(running.amount, running.usage_date) as observed,
        thresholds.amount as limit_value,
        running.window_start as period_start,
        min(running.usage_date) as triggered_on
    from running
    inner join thresholds
        on
            running.customer_id = thresholds.customer_id
            and running.currency = thresholds.currency
            and running.period = thresholds.period
            and running.amount >= thresholds.bar
    where running.is_known
    group by all

),

final as (

    select
        customer_id,
        kind,
        {{ budget_subject("'provider_cost'", "currency", "period") }} as subject,
        threshold,
        observed,
        limit_value,
        currency,
        case kind when 'pause_reached' then 'critical' else {{ severity_of("threshold") }} end as severity,
        {{ month_start("period_start") }} as calendar_month,
        period_start,
        triggered_on,
        {{ budget_message(
            "'Provider cost ' || case period when 'day' then 'of ' else 'of the month from ' end"
            ~ " || period_start || ' is'"
        ) }} as message
    from reached

)

select * from final
