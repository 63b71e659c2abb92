{{ config(materialized='ephemeral') }}

{#- Cycles that were issued stay after an edit of the anchor; of those that overlap, what was issued first keeps its
    days. -#}

with all_cycles as (

    select * from {{ ref('int_known_cycles') }}

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
    from all_cycles
    where closing_number is not null

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
final as (

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

)

select * from final
