{#- Cycles run from anchor to anchor; the first holds started_on. They reach as far as a service period can be asked
    for: the clock's day or the latest event's, and two days more for customers ahead of UTC. -#}

with subscriptions as (

    select * from {{ ref('stg_accounts__subscriptions') }}

),

customers as (

    select * from {{ ref('stg_accounts__customers') }}

),

batch_dates as (

    select * from {{ ref('stg_lake__batch_dates') }}
    where batch_id not in (select replaced.batch_id from {{ ref('int_replaced_batches') }} as replaced)

),

latest_event as (

    select max(event_date) as event_date
    from batch_dates

),

serving as (

    select
        subscriptions.subscription_id,
        subscriptions.billing_anchor_day,
        subscriptions.started_on,
        least(
            subscriptions.ended_on,
            customers.inactive_from,
            greatest({{ local_date(as_of(), "customers.timezone") }}, latest_event.event_date) + 3
        ) as served_until
    from subscriptions
    inner join customers on subscriptions.customer_id = customers.customer_id
    cross join latest_event

),

months as (

    select
        subscription_id,
        billing_anchor_day,
        started_on,
        served_until,
        {{ months_between("started_on - interval 1 month", "served_until") }} as month_start
    from serving
    where served_until > started_on

),

cycles as (

    select
        subscription_id,
        started_on,
        served_until,
        {{ anchor_in_month("month_start", "billing_anchor_day") }} as period_start,
        {{ anchor_in_month(month_start("month_start + interval 1 month"), "billing_anchor_day") }} as period_end
    from months

),

final as (

    select
        subscription_id,
        period_start,
        period_end
    from cycles
    where
        period_end > started_on
        and period_start < served_until

)

select * from final
