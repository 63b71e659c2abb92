-- depends_on: {{ ref('int_build_scope') }}
{#- The record of what is rated: every service period that has begun, as this build leaves it. A period is due when its
    fingerprint is not the one recorded by the previous build (this model's own content), when a day of it was touched,
    or on request. -#}

{%- set previous = adapter.get_relation(this.database, this.schema, this.identifier) if execute else none %}
{%- set starts_over = (
    flags.FULL_REFRESH or previous is none or not execute
    or column_values("select days_scope from " ~ ref("int_build_scope"))[0] == "all"
) %}

with periods as (

    select * from {{ ref('int_period_fingerprints') }}

),

touched_periods as (

    select * from {{ ref('int_touched_periods') }}

),

previous_periods as (

    select
        subscription_id,
        period_start,
        fingerprint as previous_fingerprint
    from {{ "periods" if starts_over else previous }}
    {%- if starts_over %}
    where false
    {%- endif %}

),

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
        coalesce(previous_periods.previous_fingerprint, '') != periods.fingerprint
        or touched_periods.subscription_id is not null
        {%- for month in rebuild_request('months') %}
        or {{ month_start("periods.period_end - 1") }} = cast({{ quoted(month[:7] ~ "-01") }} as date)
        {%- endfor %}
        {%- for day in rebuild_request('days') %}
        or cast({{ quoted(day) }} as date) between periods.service_start and periods.service_end - 1
        {%- endfor %} as is_due,
        periods.plan_version,
        periods.period_start,
        periods.period_end,
        periods.service_start,
        periods.service_end,
        periods.local_today
    from periods
    left join previous_periods
        on
            periods.subscription_id = previous_periods.subscription_id
            and periods.period_start = previous_periods.period_start
    left join touched_periods
        on
            periods.subscription_id = touched_periods.subscription_id
            and periods.period_start = touched_periods.period_start

)

select * from final
