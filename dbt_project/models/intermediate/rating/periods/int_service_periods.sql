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

moved_subscriptions as (

    select distinct subscription_id
    from all_cycles
    where is_moved

),

issued_starts as (

    select distinct
        subscription_id,
        period_start
    from issued_cycles

),

days as (

    select
        subscription_id,
        closing_number,
        cycle_days,
        period_start,
        period_end,
        {{ days_between("period_start", "period_end - 1") }} as cycle_day
    from all_cycles
    where subscription_id in (select moved_subscriptions.subscription_id from moved_subscriptions)

),

{# A day is of the cycle that was issued first, and otherwise of today's. #}
kept_days as (

    select
        *,
        row_number() over (
            partition by subscription_id, cycle_day
            order by closing_number asc nulls last, period_start desc
        ) as claim
    from days

),

runs as (

    select
        *,
        cast(
            cycle_day - cast(
                row_number() over (
                    partition by subscription_id, period_start, period_end
                    order by cycle_day
                ) as integer
            ) as date
        ) as run
    from kept_days
    where claim = 1

),

stretches as (

    select
        subscription_id,
        closing_number,
        cycle_days,
        period_start,
        period_end,
        min(cycle_day) as first_day,
        cast(max(cycle_day) + 1 as date) as day_after,
        min(min(cycle_day)) over (
            partition by subscription_id, period_start, period_end
        ) as cycle_first_day,
        max(max(cycle_day)) over (
            partition by subscription_id, period_start, period_end
        ) as cycle_last_day
    from runs
    group by
        subscription_id,
        closing_number,
        cycle_days,
        period_start,
        period_end,
        run

),

{# What is left of a cycle that others cut apart, or that begins with an issued one (anchors 30 and 31, after February),
    is told apart by its own first and last day. #}
own_cycles as (

    select
        stretches.subscription_id,
        stretches.cycle_days,
        case
            when stretches.first_day > stretches.cycle_first_day then stretches.first_day
            when stretches.closing_number is null and twins.subscription_id is not null then stretches.first_day
            else stretches.period_start
        end as period_start,
        case
            when stretches.day_after <= stretches.cycle_last_day then stretches.day_after
            else stretches.period_end
        end as period_end,
        stretches.first_day,
        stretches.day_after
    from stretches
    left join issued_starts as twins
        on
            stretches.subscription_id = twins.subscription_id
            and stretches.period_start = twins.period_start
    union all
    select
        subscription_id,
        cycle_days,
        period_start,
        period_end,
        period_start as first_day,
        period_end as day_after
    from all_cycles
    where subscription_id not in (select moved_subscriptions.subscription_id from moved_subscriptions)

),

served as (

    select
        subscriptions.subscription_id,
        subscriptions.customer_id,
        subscriptions.plan_id,
        customers.timezone,
        subscriptions.plan_version as held_version,
        own_cycles.cycle_days,
        own_cycles.period_start,
        own_cycles.period_end,
        greatest(own_cycles.first_day, subscriptions.started_on) as service_start,
        least(own_cycles.day_after, subscriptions.ended_on, customers.inactive_from) as service_end,
        {{ local_date(as_of(), "customers.timezone") }} as local_today
    from own_cycles
    inner join subscriptions on own_cycles.subscription_id = subscriptions.subscription_id
    inner join customers on subscriptions.customer_id = customers.customer_id

),

final as (

    select
        served.subscription_id,
        served.customer_id,
        served.plan_id,
        plan_versions.currency,
        plan_versions.proration,
        served.timezone,
        plan_versions.plan_number,
        cast(served.service_end - served.service_start as integer) as served_days,
        served.cycle_days,
        served.service_start <= served.local_today as has_begun,
        plan_versions.effective_from as plan_version,
        served.period_start,
        served.period_end,
        served.service_start,
        served.service_end,
        served.local_today
    from served
    left join plan_versions
        on
            served.plan_id = plan_versions.plan_id
            and case
                when served.held_version is not null then served.held_version = plan_versions.effective_from
                else
                    served.service_start >= plan_versions.effective_from
                    and (served.service_start < plan_versions.effective_to or plan_versions.effective_to is null)
            end
    where served.service_start < served.service_end

)

select * from final
