{#- The part of a cycle that a subscription serves, with the plan version that counts for all of it (contract section
    5, rules 1, 2 and 9). Rating uses only what has begun; the rest explains usage that is early. After an edit of the
    anchor, new cycles overlap cycles that were issued: what was issued first keeps its days. -#}

with cycles as (

    select * from {{ ref('int_cycles') }}

),

subscriptions as (

    select * from {{ ref('stg_accounts__subscriptions') }}

),

customers as (

    select * from {{ ref('stg_accounts__customers') }}

),

plan_versions as (

    select * from {{ ref('int_plan_versions') }}

),

issued_periods as (

    select * from {{ ref('int_issued_periods') }}

),

served as (

    select
        subscriptions.subscription_id,
        subscriptions.customer_id,
        subscriptions.plan_id,
        customers.timezone,
        subscriptions.plan_version as held_version,
        cycles.period_start,
        cycles.period_end,
        greatest(cycles.period_start, subscriptions.started_on) as service_start,
        least(cycles.period_end, subscriptions.ended_on, customers.inactive_from) as service_end,
        {{ local_date(as_of(), "customers.timezone") }} as local_today
    from cycles
    inner join subscriptions on cycles.subscription_id = subscriptions.subscription_id
    inner join customers on subscriptions.customer_id = customers.customer_id

),

moved_subscriptions as (

    select distinct issued_periods.subscription_id
    from issued_periods
    left join cycles
        on
            issued_periods.subscription_id = cycles.subscription_id
            and issued_periods.period_start = cycles.period_start
            and issued_periods.period_end = cycles.period_end
    where cycles.subscription_id is null

),

kept_days as (

    select
        served.subscription_id,
        served.period_start,
        max(issued_periods.period_end) filter (where issued_periods.period_start <= served.service_start)
            as served_from,
        min(issued_periods.period_start) filter (where issued_periods.period_start > served.service_start)
            as served_to
    from served
    inner join moved_subscriptions on served.subscription_id = moved_subscriptions.subscription_id
    inner join issued_periods
        on
            served.subscription_id = issued_periods.subscription_id
            and served.period_end > issued_periods.period_start
            and served.period_start < issued_periods.period_end
    left join issued_periods as own
        on
            served.subscription_id = own.subscription_id
            and served.period_start = own.period_start
            and served.period_end = own.period_end
    where
        own.closing_number is null
        or issued_periods.closing_number < own.closing_number
    group by
        served.subscription_id,
        served.period_start

),

kept as (

    select
        served.subscription_id,
        served.customer_id,
        served.plan_id,
        served.timezone,
        served.held_version,
        served.period_start,
        served.period_end,
        greatest(served.service_start, kept_days.served_from) as service_start,
        least(served.service_end, kept_days.served_to) as service_end,
        served.local_today
    from served
    left join kept_days
        on
            served.subscription_id = kept_days.subscription_id
            and served.period_start = kept_days.period_start

),

final as (

    select
        kept.subscription_id,
        kept.customer_id,
        kept.plan_id,
        plan_versions.currency,
        plan_versions.proration,
        kept.timezone,
        plan_versions.plan_number,
        cast(kept.service_end - kept.service_start as integer) as served_days,
        cast(kept.period_end - kept.period_start as integer) as cycle_days,
        kept.service_start <= kept.local_today as has_begun,
        plan_versions.effective_from as plan_version,
        kept.period_start,
        kept.period_end,
        kept.service_start,
        kept.service_end,
        kept.local_today
    from kept
    left join plan_versions
        on
            kept.plan_id = plan_versions.plan_id
            and case
                when kept.held_version is not null then kept.held_version = plan_versions.effective_from
                else
                    kept.service_start >= plan_versions.effective_from
                    and (kept.service_start < plan_versions.effective_to or plan_versions.effective_to is null)
            end
    where kept.service_start < kept.service_end

)

select * from final
