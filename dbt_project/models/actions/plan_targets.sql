{{ config(materialized='ephemeral', contract={'enforced': false}) }}

{#- The plan to change to: of those that would do, the cheapest, and of equals the nearest. -#}

with judged as (

    select * from {{ ref('plan_judgements') }}

),

plan_options as (

    select * from {{ ref('plan_options') }}

),

targets as (

    select
        own.customer_id,
        own.subscription_id,
        own.plan_id as own_plan_id,
        own.plan_name as own_plan_name,
        own.total_minor as own_total_minor,
        other.plan_id,
        other.plan_name,
        own.currency,
        own.cycle_count,
        other.total_minor,
        other.saving_minor,
        judged.meter_id,
        judged.mean_ratio,
        judged.evidence,
        case when other.rank > own.rank then 'PLAN_UPGRADE' else 'PLAN_DOWNGRADE' end as type,
        row_number() over (
            partition by own.subscription_id, other.rank > own.rank
            order by other.total_minor, abs(other.rank - own.rank), other.plan_id
        ) as target_number,
        own.first_period_start,
        own.last_period_end
    from judged
    inner join plan_options as own
        on
            judged.subscription_id = own.subscription_id
            and own.is_current
    inner join plan_options as other on own.subscription_id = other.subscription_id
    where
        not other.is_current
        and other.is_feasible
        and other.missing_features is null
        and other.saving_minor is not null
        and (
            (judged.is_near_limit and other.rank > own.rank)
            or (judged.is_low and other.rank < own.rank and other.saving_minor > 0)
        )

),

final as (

    select * from targets
    where target_number = 1

)

select * from final
