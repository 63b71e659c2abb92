{#- The part of a cycle that a subscription serves, with the plan version that counts for all of it (contract section
    5, rules 1, 2 and 9). Rating uses only what has begun; the rest explains usage that is early. Cycles that were issued
    stay after an edit of the anchor; of those that overlap, what was issued first keeps its days. -#}

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

    select * from {{ ref('stg_ledger__issued_periods') }}

),

{# Of a subscription that is another customer's now, nothing was issued. One whose currency was put right has a cycle
    on two invoices. #}
issued_cycles as (

    select
        issued_periods.subscription_id,
        min(issued_periods.closing_number) as closing_number,
        coalesce(
            max(issued_periods.cycle_days), cast(issued_periods.period_end - issued_periods.period_start as integer)
        ) as cycle_days,
        issued_periods.period_start,
        issued_periods.period_end
    from issued_periods
    inner join subscriptions
        on
            issued_periods.subscription_id = subscriptions.subscription_id
            and issued_periods.customer_id = subscriptions.customer_id
    group by
        issued_periods.subscription_id,
        issued_periods.period_start,
        issued_periods.period_end

),

all_cycles as (

    select
        coalesce(issued_cycles.subscription_id, cycles.subscription_id) as subscription_id,
        issued_cycles.closing_number,
        coalesce(issued_cycles.cycle_days, cast(cycles.period_end - cycles.period_start as integer)) as cycle_days,
        coalesce(issued_cycles.period_start, cycles.period_start) as period_start,
        coalesce(issued_cycles.period_end, cycles.period_end) as period_end,
        cycles.subscription_id is null as is_moved
    from cycles
    full outer join issued_cycles
        on
            cycles.subscription_id = issued_cycles.subscription_id
            and cycles.period_start = issued_cycles.period_start
            and cycles.period_end = issued_cycles.period_end

),

moved_cycles as (

    select subscription_id
    from all_cycles
    where is_moved

),

served as (

    select
        subscriptions.subscription_id,
        subscriptions.customer_id,
        subscriptions.plan_id,
        customers.timezone,
        subscriptions.plan_version as held_version,
        all_cycles.closing_number,
        all_cycles.cycle_days,
        all_cycles.period_start,
        all_cycles.period_end,
        greatest(all_cycles.period_start, subscriptions.started_on) as service_start,
        least(all_cycles.period_end, subscriptions.ended_on, customers.inactive_from) as service_end,
        {{ local_date(as_of(), "customers.timezone") }} as local_today
    from all_cycles
    inner join subscriptions on all_cycles.subscription_id = subscriptions.subscription_id
    inner join customers on subscriptions.customer_id = customers.customer_id

),

kept_days as (

    select
        served.subscription_id,
        served.period_start,
        served.period_end,
        max(earlier.period_end) filter (where earlier.period_start <= served.service_start) as served_from,
        min(earlier.period_start) filter (where earlier.period_start > served.service_start) as served_to
    from served
    inner join issued_cycles as earlier
        on
            served.subscription_id = earlier.subscription_id
            and served.period_end > earlier.period_start
            and served.period_start < earlier.period_end
    where
        served.subscription_id in (select moved_cycles.subscription_id from moved_cycles)
        and (served.closing_number is null or earlier.closing_number < served.closing_number)
    group by
        served.subscription_id,
        served.period_start,
        served.period_end

),

{# A cycle that begins with an issued one (anchors 30 and 31, after February) is told apart by its first day served. #}
kept as (

    select
        served.subscription_id,
        served.customer_id,
        served.plan_id,
        served.timezone,
        served.held_version,
        served.cycle_days,
        case
            when served.closing_number is null and twins.period_start is not null then kept_days.served_from
            else served.period_start
        end as period_start,
        served.period_end,
        greatest(served.service_start, kept_days.served_from) as service_start,
        least(served.service_end, kept_days.served_to) as service_end,
        served.local_today
    from served
    left join kept_days
        on
            served.subscription_id = kept_days.subscription_id
            and served.period_start = kept_days.period_start
            and served.period_end = kept_days.period_end
    left join issued_cycles as twins
        on
            kept_days.subscription_id = twins.subscription_id
            and kept_days.period_start = twins.period_start
            and kept_days.period_end != twins.period_end

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
        kept.cycle_days,
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
