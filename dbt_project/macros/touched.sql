{#- Day-level models are rebuilt by customer and local day. These macros say which part of a model this build
    replaces, which event files that needs, and which rows of them. Each names the models it reads before it branches,
    so that dbt sees the dependency while parsing. -#}

{#- 'all' or 'touched'. -#}
{% macro days_scope() %}
    {%- set build_scope = ref("int_build_scope") -%}
    {%- if not execute -%}{{ return("all") }}{%- endif -%}
    {%- if not is_incremental() -%}{{ return("all") }}{%- endif -%}
    {{ return(column_values("select days_scope from " ~ build_scope)[0]) }}
{% endmacro %}

{#- Is a (customer, day) row one that this build computes again? NULL stands for every customer or every day. -#}
{% macro is_touched(customer_id, usage_date) -%}
    (
        ({{ customer_id }}, {{ usage_date }}) in (
            select (customer_id, usage_date) from {{ ref("int_touched_customer_days") }}
            where customer_id is not null and usage_date is not null
        )
        or {{ customer_id }} in (
            select customer_id from {{ ref("int_touched_customer_days") }} where usage_date is null
        )
        or {{ usage_date }} in (
            select usage_date from {{ ref("int_touched_customer_days") }} where customer_id is null
        )
    )
{%- endmacro %}

{#- Pre-hook of every day-level model: what is computed again goes first, also where nothing will replace it. -#}
{% macro delete_touched() %}
    {%- if execute and is_incremental() -%}
        {%- if days_scope() == "all" -%}
            delete from {{ this }}
        {%- else -%}
            delete from {{ this }} where {{ is_touched("customer_id", "usage_date") }}
        {%- endif -%}
    {%- endif -%}
{% endmacro %}

{#- Event files that can hold events of touched local days: a local day overlaps the UTC days next to it. -#}
{% macro touched_event_files() %}
    {%- set touched = ref("int_touched_customer_days") -%}
    {%- if days_scope() == "all" -%}
        {{ return(event_files("true")) }}
    {%- endif -%}
    {{ return(event_files(
        "exists (select 1 from " ~ touched ~ " where usage_date is null)"
        ~ " or event_date in (select usage_date + step from " ~ touched ~ ", (values (-1), (0), (1)) as steps (step)"
        ~ " where usage_date is not null)"
    )) }}
{% endmacro %}

{% macro local_date(instant, timezone) -%}{{ return(adapter.dispatch("local_date")(instant, timezone)) }}{%- endmacro %}

{#- UTC is by far the most common zone, and a zone look-up per row costs more than the rest of the scan; a plain cast
    of an instant to a date does one as well, into the session's zone. -#}
{% macro default__local_date(instant, timezone) -%}
    case
        when {{ timezone }} is null or {{ timezone }} = 'UTC' then cast(make_timestamp(epoch_us({{ instant }})) as date)
        else cast(timezone({{ timezone }}, {{ instant }}) as date)
    end
{%- endmacro %}

{#- The instant at which a local day begins; where midnight comes twice, the first one. -#}
{% macro start_of_day(day, timezone) -%}{{ return(adapter.dispatch("start_of_day")(day, timezone)) }}{%- endmacro %}

{% macro default__start_of_day(day, timezone) -%}
    {%- set midnight = "timezone(" ~ timezone ~ ", cast(" ~ day ~ " as timestamp))" -%}
    case
        when {{ local_date(midnight ~ " - interval 1 hour", timezone) }} = {{ day }} then {{ midnight }} - interval 1 hour
        else {{ midnight }}
    end
{%- endmacro %}

{#- Bounds of int_customer_timezones where nothing bounds a zone. -#}
{% macro first_instant() -%}cast('0001-01-01 00:00:00+00:00' as timestamp with time zone){%- endmacro %}
{% macro last_instant() -%}cast('9999-12-31 00:00:00+00:00' as timestamp with time zone){%- endmacro %}

{#- Join condition: the row of int_customer_timezones that an event goes by, at most one. -#}
{% macro is_zone_of(zones, events) -%}
    {{ events }}.customer_id = {{ zones }}.customer_id
    and {{ events }}.occurred_at >= {{ zones }}.from_at
    and {{ events }}.occurred_at < {{ zones }}.to_at
{%- endmacro %}

{#- The local day of an instant by that row: never one that an earlier zone closed. Without a row, its UTC day. -#}
{% macro usage_date(instant, zones) -%}
    greatest({{ local_date(instant, zones ~ ".timezone") }}, {{ zones }}.from_date)
{%- endmacro %}

{#- `where` of a model that reads another day-level model: only what this build computes. -#}
{% macro where_touched() -%}
    {%- set touched = ref("int_touched_customer_days") -%}
    {%- if days_scope() != "all" -%} where {{ is_touched("customer_id", "usage_date") }} {%- endif -%}
{%- endmacro %}

{#- The events that count, with their local day, of the days that this build computes: highest revision, not void. -#}
{% macro effective_events(columns, condition="true") -%}
    select * from (
        select
            events.customer_id,
            {{ usage_date("events.occurred_at", "zones") }} as usage_date,
            {% for column in columns -%}
            events.{{ column }}{{ "," if not loop.last }}
            {% endfor %}
        from {{ read_files(touched_event_files() if condition != "false" else event_files("false")) }} as events
        left join {{ ref("int_customer_timezones") }} as zones on {{ is_zone_of("zones", "events") }}
        {#- An outer join that finds nothing, not `not exists`: that one is planned as a delim join, at several times
            the cost. -#}
        {{ " " }}left join {{ ref("int_event_revisions") }} as revisions
            on
                events.event_id = revisions.event_id
                and events.revision < revisions.revision
                and revisions.occurred_at between
                events.occurred_at - interval 35 day and events.occurred_at + interval 35 day
        where
            not events.is_void
            and ({{ condition }})
            and {{ is_customer_known("events.customer_id") }}
            and revisions.event_id is null
    ) as effective
    {{ where_touched() }}
{%- endmacro %}

{#- Every column that a meter's field, filter or `per` may name; unused ones are pruned by the engine. -#}
{% macro event_columns() %}
    {{ return([
        "event_id", "event_type", "occurred_at", "revision", "is_void", "quantity", "user_id", "resource", "provider",
        "model", "input_tokens", "output_tokens", "cached_input_tokens", "cost_usd", "properties"
    ]) }}
{% endmacro %}

{#- The same three for int_unbilled_activity, which a new catalog or accounts version computes anew. -#}
{% macro coverage_scope() %}
    {%- set build_scope = ref("int_build_scope") -%}
    {%- if not execute or not is_incremental() -%}{{ return("all") }}{%- endif -%}
    {{ return(column_values("select coverage_scope from " ~ build_scope)[0]) }}
{% endmacro %}

{% macro where_uncovered() -%}
    {%- set touched = ref("int_touched_customer_days") -%}
    {%- if coverage_scope() != "all" -%} where {{ is_touched("customer_id", "usage_date") }} {%- endif -%}
{%- endmacro %}

{% macro delete_uncovered() %}
    {%- if execute and is_incremental() -%}
        delete from {{ this }} {{ where_uncovered() }}
    {%- endif -%}
{% endmacro %}
