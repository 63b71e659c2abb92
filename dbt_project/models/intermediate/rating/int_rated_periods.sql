-- depends_on: {{ ref('int_build_scope') }}
{#- The record of what is rated: every service period that has begun, with a hash over all that its rating depends on
    apart from usage. A period is due when that hash is not the one recorded by the previous build (this model's own
    content), when a day of it was touched, or on request. -#}

{%- set previous = adapter.get_relation(this.database, this.schema, this.identifier) if execute else none %}
{%- set starts_over = (
    flags.FULL_REFRESH or previous is none or not execute
    or column_values("select days_scope from " ~ ref("int_build_scope"))[0] == "all"
) %}

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

touched as (

    select * from {{ ref('int_touched_customer_days') }}

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
        string_agg(plan_fingerprints.fingerprint, ',' order by plan_fingerprints.fingerprint) as plans,
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
periods as (

    select
        service_periods.*,
        coalesce(comparable_plans.has_levels, false) or plan_fingerprints.has_levels as has_levels,
        {{ fingerprint([
            "service_periods.customer_id", "service_periods.timezone", "plan_fingerprints.fingerprint",
            "service_periods.period_end", "service_periods.service_start", "service_periods.service_end",
            "subscription_overrides.overrides", "comparable_plans.plans",
            "case when comparable_plans.has_daily_levels or plan_fingerprints.has_daily_levels"
            ~ " then least(service_periods.service_end, service_periods.local_today + 1) end",
        ]) }} as fingerprint
    from service_periods
    inner join plan_fingerprints on service_periods.plan_number = plan_fingerprints.plan_number
    left join subscription_overrides on service_periods.subscription_id = subscription_overrides.subscription_id
    left join comparable_plans
        on
            service_periods.currency = comparable_plans.currency
            and service_periods.service_start = comparable_plans.service_start

),
{% if not starts_over %}
previous_periods as (

    select
        subscription_id,
        period_start,
        fingerprint
    from {{ previous }}

),

touched_customers as (

    select
        customer_id,
        min(coalesce(usage_date, date '0001-01-01')) as first_touched,
        bool_or(usage_date is null) as is_whole
    from touched
    where customer_id is not null
    group by customer_id

),

{# A day that is touched, or for levels that carry forward any earlier one. #}
touched_periods as (

    select
        periods.subscription_id,
        periods.period_start
    from periods
    inner join touched_customers on periods.customer_id = touched_customers.customer_id
    where
        touched_customers.is_whole
        or (periods.has_levels and touched_customers.first_touched < periods.service_end)
    union
    select
        periods.subscription_id,
        periods.period_start
    from periods
    inner join touched
        on
            periods.customer_id = touched.customer_id
            and periods.service_start <= touched.usage_date
            and periods.service_end > touched.usage_date
    union
    select
        periods.subscription_id,
        periods.period_start
    from periods
    inner join touched
        on
            periods.service_end > touched.usage_date
            and (periods.service_start <= touched.usage_date or periods.has_levels)
    where touched.customer_id is null

),
{% endif %}
final as (

    select
        periods.subscription_id,
        periods.customer_id,
        periods.plan_id,
        periods.currency,
        periods.fingerprint,
        periods.plan_number,
        periods.served_days,
        periods.cycle_days,
        periods.plan_version,
        periods.period_start,
        periods.period_end,
        periods.service_start,
        periods.service_end,
        periods.local_today,
        {% if starts_over -%}
        true as is_due
        {%- else -%}
        previous_periods.fingerprint is distinct from periods.fingerprint
        or touched_periods.subscription_id is not null
        {%- for month in rebuild_request('months') %}
        or {{ month_start("periods.period_end - 1") }} = {{ month_start("cast(" ~ quoted(month[:7] ~ "-01") ~ " as date)") }}
        {%- endfor %}
        {%- for day in rebuild_request('days') %}
        or cast({{ quoted(day) }} as date) between periods.service_start and periods.service_end - 1
        {%- endfor %} as is_due
        {%- endif %}
    from periods
    {%- if not starts_over %}
    left join previous_periods
        on
            periods.subscription_id = previous_periods.subscription_id
            and periods.period_start = previous_periods.period_start
    left join touched_periods
        on
            periods.subscription_id = touched_periods.subscription_id
            and periods.period_start = touched_periods.period_start
    {%- endif %}

)

select * from final
