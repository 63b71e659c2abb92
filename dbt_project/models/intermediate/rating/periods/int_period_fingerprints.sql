{#- A hash over all that the rating of a service period depends on, apart from usage: its days, its customer, its plan,
    its overrides, and the plans it is compared with. -#}

with service_periods as (

    select * from {{ ref('int_service_periods') }}
    where has_begun

),

overrides as (

    select * from {{ ref('stg_accounts__overrides') }}

),

plan_versions as (

    select * from {{ ref('int_plan_versions') }}

),

plan_fingerprints as (

    select * from {{ ref('int_plan_fingerprints') }}

),

subscription_overrides as (

    select
        subscription_id,
        string_agg(override_hash, ',' order by override_hash) as overrides
    from (
        select
            subscription_id,
            {{ fingerprint(["meter_id", "included", "is_unlimited", "unit_amount", "valid_from", "valid_to"]) }}
                as override_hash
        from overrides
    ) as hashed
    group by subscription_id

),

first_days as (

    select distinct
        currency,
        service_start
    from service_periods

),

{# All plans that a period beginning on that day is compared with. #}
comparable_plans as (

    select
        first_days.currency,
        first_days.service_start,
        string_agg(plan_fingerprints.fingerprint, ',' order by plan_fingerprints.fingerprint) as plan_hashes,
        bool_or(plan_fingerprints.has_levels) as has_levels,
        bool_or(plan_fingerprints.has_daily_levels) as has_daily_levels
    from first_days
    inner join plan_versions
        on
            first_days.currency = plan_versions.currency
            and first_days.service_start >= plan_versions.effective_from
            and (first_days.service_start < plan_versions.effective_to or plan_versions.effective_to is null)
    inner join plan_fingerprints on plan_versions.plan_number = plan_fingerprints.plan_number
    group by
        first_days.currency,
        first_days.service_start

),

{# Levels that are read anew each day make an open period depend on the clock. #}
final as (

    select
        service_periods.subscription_id,
        service_periods.customer_id,
        service_periods.plan_id,
        service_periods.currency,
        service_periods.plan_number,
        service_periods.served_days,
        service_periods.cycle_days,
        coalesce(comparable_plans.has_levels, false) or plan_fingerprints.has_levels as has_levels,
        {{ fingerprint([
            "service_periods.customer_id", "service_periods.timezone", "plan_fingerprints.fingerprint",
            "service_periods.period_end", "service_periods.service_start", "service_periods.service_end",
            "subscription_overrides.overrides", "comparable_plans.plan_hashes",
            "case when comparable_plans.has_daily_levels or plan_fingerprints.has_daily_levels"
            ~ " then least(service_periods.service_end, service_periods.local_today + 1) end",
        ]) }} as fingerprint,
        service_periods.plan_version,
        service_periods.period_start,
        service_periods.period_end,
        service_periods.service_start,
        service_periods.service_end,
        service_periods.local_today
    from service_periods
    inner join plan_fingerprints on service_periods.plan_number = plan_fingerprints.plan_number
    left join subscription_overrides on service_periods.subscription_id = subscription_overrides.subscription_id
    left join comparable_plans
        on
            service_periods.currency = comparable_plans.currency
            and service_periods.service_start = comparable_plans.service_start

)

select * from final
