{#- What the checks over events read: the lake itself, of the local days that this build computed, so that a day's check
    does not grow with history. Nothing here goes through the models that are checked. -#}

{#- 'all' or 'touched': what day-level models computed in this build. -#}
{% macro checked_scope(column="days_scope") %}
    {%- set build_scope = ref("int_build_scope") -%}
    {%- if not execute -%}{{ return("all") }}{%- endif -%}
    {{ return(column_values("select " ~ column ~ " from " ~ build_scope)[0]) }}
{% endmacro %}

{#- `where` of a table by customer and local day: only what this build computed. -#}
{% macro where_checked(column="days_scope") -%}
    {%- set touched = ref("int_touched_customer_days") -%}
    {%- if checked_scope(column) != "all" -%} where {{ is_touched("customer_id", "usage_date") }} {%- endif -%}
{%- endmacro %}

{#- Accepted records that can be events of those local days, or with more days what lies so many days around them. -#}
{% macro checked_records(days=1, condition="true") %}
    {%- set touched = ref("int_touched_customer_days") -%}
    {%- if checked_scope() == "all" -%}
        {{ return(lake_events(condition)) }}
    {%- endif -%}
    {{ return(lake_events(
        condition ~ " and exists (select 1 from " ~ touched ~ " where usage_date is null or usage_date between"
        ~ " event_date - " ~ days ~ " and event_date + " ~ days ~ ")"
    )) }}
{% endmacro %}

{#- The events that count: no void, and no record of the event within 35 days with a higher revision. -#}
{% macro checked_events(columns) -%}
    select * from (
        select
            events.customer_id,
            {{ usage_date("events.occurred_at", "zones") }} as usage_date,
            {% for column in columns -%}
            events.{{ column }}{{ "," if not loop.last }}
            {% endfor %}
        from {{ checked_records() }} as events
        left join {{ ref("int_customer_timezones") }} as zones on {{ is_zone_of("zones", "events") }}
        left join (
            select
                event_id,
                revision,
                occurred_at
            from {{ checked_records(36, "max_revision > 0") }}
            where revision > 0
        ) as higher
            on
                events.event_id = higher.event_id
                and events.revision < higher.revision
                and higher.occurred_at between
                events.occurred_at - interval 35 day and events.occurred_at + interval 35 day
        where
            not events.is_void
            and higher.event_id is null
    ) as counting
    {{ where_checked() }}
{%- endmacro %}

{#- The charges that serve: those that monthly_usage bills, and those of periods that have not begun at the clock of this
    build, which it does not hold yet. -#}
{% macro serving_charges() -%}
    select
        customer_id,
        meter_id,
        service_start,
        service_end
    from {{ ref("monthly_usage") }}
    union all
    select
        periods.customer_id,
        charges.meter_id,
        periods.service_start,
        periods.service_end
    from {{ ref("int_service_periods") }} as periods
    inner join {{ ref("stg_catalog__charges") }} as charges
        on
            periods.plan_id = charges.plan_id
            and periods.plan_version = charges.effective_from
    where not periods.has_begun
{%- endmacro %}

{#- A number for a text: equal texts have equal ones, different texts nearly always different ones. -#}
{% macro text_hash(value) -%}{{ return(adapter.dispatch("text_hash")(value)) }}{%- endmacro %}
