{#- The part of a cycle that a subscription serves, with the plan version that counts for all of it (contract section
    5, rules 1, 2 and 9). Rating uses only what has begun; the rest explains usage that is early. -#}

with own_cycles as (

    select * from {{ ref('int_kept_cycles') }}

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
