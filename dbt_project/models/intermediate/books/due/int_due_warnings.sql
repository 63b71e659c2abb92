{{ config(materialized='view') }}

{#- What somebody should look at before the books are closed: invoices far from what the customer paid before, usage
    that nobody pays for, months that cost more than they bring, usage whose cost is not known. -#}

with due_invoices as (

    select * from {{ ref('int_due_invoices') }}

),

issued_invoices as (

    select * from {{ ref('stg_ledger__issued_invoices') }}

),

unbilled as (

    select * from {{ ref('int_unbilled_activity') }}
    where reason not in ('metered_only', 'inactive_customer')

),

activity as (

    select * from {{ ref('int_daily_activity') }}
    where unpriced_reason is not null

),

cycles as (

    select
        min(period_start) as first_day,
        max(period_end) as day_after
    from due_invoices

),

past as (

    select
        customer_id,
        currency,
        count(*) as invoice_count,
        min(total_minor) as least_minor,
        max(total_minor) as most_minor
    from issued_invoices
    group by
        customer_id,
        currency

),

{# More than twice the most of at least three invoices, or less than half of the least. #}
outliers as (

    select
        'outlier' as kind,
        due_invoices.customer_id,
        due_invoices.invoice_id as subject,
        {{ money_text("due_invoices.total_minor", "due_invoices.minor_units") }} || ' ' || due_invoices.currency
        || ' for ' || {{ cycle_text("due_invoices.period_start", "due_invoices.period_end") }}
        || '; before, from ' || {{ money_text("past.least_minor", "due_invoices.minor_units") }}
        || ' to ' || {{ money_text("past.most_minor", "due_invoices.minor_units") }} as message
    from due_invoices
    inner join past
        on
            due_invoices.customer_id = past.customer_id
            and due_invoices.currency = past.currency
    where
        past.invoice_count >= 3
        and (due_invoices.total_minor > 2 * past.most_minor or 2 * due_invoices.total_minor < past.least_minor)

),

unbilled_usage as (

    select
        'unbilled usage' as kind,
        unbilled.customer_id,
        unbilled.event_type as subject,
        {{ counted("sum(unbilled.event_count)", "event") }} || ' of ' || unbilled.event_type || ', not billed: '
        || replace(unbilled.reason, '_', ' ') as message
    from unbilled
    inner join cycles
        on
            unbilled.usage_date >= cycles.first_day
            and unbilled.usage_date < cycles.day_after
    group by
        unbilled.customer_id,
        unbilled.event_type,
        unbilled.reason

),

unknown_costs as (

    select
        'unknown cost' as kind,
        activity.customer_id,
        activity.unpriced_reason as subject,
        {{ counted("sum(activity.event_count)", "event") }} || ' without a known provider cost: '
        || replace(activity.unpriced_reason, '_', ' ') as message
    from activity
    inner join cycles
        on
            activity.usage_date >= cycles.first_day
            and activity.usage_date < cycles.day_after
    group by
        activity.customer_id,
        activity.unpriced_reason

),

final as (

    select * from outliers
    union all
    select * from unbilled_usage
    union all
    select * from unknown_costs

)

select * from final
