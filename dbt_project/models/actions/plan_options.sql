{#- Plans that the subscription may choose between, by what its own usage costs on them. -#}

with cycles as (

    select * from {{ ref('int_recent_cycles') }}

),

plan_comparisons as (

    select * from {{ ref('plan_comparisons') }}

),

plans as (

    select * from {{ ref('plans') }}

),

meter_features as (

    select * from {{ ref('stg_catalog__meter_features') }}

),

daily_usage as (

    select * from {{ ref('daily_usage') }}
    where
        {{ is_looked_back_on("usage_date") }}
        and quantity > 0

),

{# Features that the usage of these cycles needed. #}
needed_features as (

    select distinct
        cycles.subscription_id,
        meter_features.feature
    from cycles
    inner join daily_usage
        on
            cycles.customer_id = daily_usage.customer_id
            and cycles.period_start <= daily_usage.usage_date
            and cycles.period_end > daily_usage.usage_date
    inner join meter_features on daily_usage.meter_id = meter_features.meter_id

),

compared as (

    select
        cycles.customer_id,
        cycles.subscription_id,
        plan_comparisons.plan_id,
        plan_comparisons.currency,
        plan_comparisons.plan_version,
        plan_comparisons.total_minor,
        plan_comparisons.is_current,
        plan_comparisons.is_feasible,
        cycles.cycle_number,
        cycles.period_start,
        cycles.period_end
    from plan_comparisons
    inner join cycles
        on
            plan_comparisons.subscription_id = cycles.subscription_id
            and plan_comparisons.period_start = cycles.period_start

),

summed as (

    select
        customer_id,
        subscription_id,
        plan_id,
        currency,
        min_by(plan_version, cycle_number) as plan_version,
        count(*) as cycle_count,
        case when count(*) = count(total_minor) then sum(total_minor) end as total_minor,
        is_current,
        bool_and(is_feasible) as is_feasible,
        min(period_start) as first_period_start,
        max(period_end) as last_period_end
    from compared
    group by
        customer_id,
        subscription_id,
        plan_id,
        currency,
        is_current

),

missing_features as (

    select
        summed.subscription_id,
        summed.plan_id,
        string_agg(needed_features.feature, ', ' order by needed_features.feature) as features
    from summed
    inner join needed_features on summed.subscription_id = needed_features.subscription_id
    inner join plans
        on
            summed.plan_id = plans.plan_id
            and summed.plan_version = plans.effective_from
    where not {{ has_feature("plans.features", "needed_features.feature") }}
    group by
        summed.subscription_id,
        summed.plan_id

),

{# A plan that did not exist in every cycle cannot be compared over all of them. #}
final as (

    select
        summed.customer_id,
        summed.subscription_id,
        summed.plan_id,
        plans.name as plan_name,
        summed.currency,
        cast(plans.rank as bigint) as rank,
        cast(summed.cycle_count as bigint) as cycle_count,
        cast(summed.total_minor as bigint) as total_minor,
        cast(own.total_minor - summed.total_minor as bigint) as saving_minor,
        summed.is_current,
        summed.is_feasible,
        missing_features.features as missing_features,
        summed.first_period_start,
        summed.last_period_end
    from summed
    inner join summed as own
        on
            summed.subscription_id = own.subscription_id
            and summed.cycle_count = own.cycle_count
            and own.is_current
    inner join plans
        on
            summed.plan_id = plans.plan_id
            and summed.plan_version = plans.effective_from
    left join missing_features
        on
            summed.subscription_id = missing_features.subscription_id
            and summed.plan_id = missing_features.plan_id

)

select * from final
