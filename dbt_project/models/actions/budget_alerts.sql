{{ config(materialized='table') }}

{#- Every alert there is reason for, whenever it was raised; the ledger remembers which were. Those of projected budgets
    are added here, where the projections are. -#}

with found_alerts as (

    select * from {{ ref('int_found_alerts') }}

),

budget_projections as (

    select * from {{ ref('budget_projections') }}

),

alert_reads as (

    select * from {{ ref('stg_ledger__alert_reads') }}

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
