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

{#- UTC days of which a batch had records that this build is the first to leave out, and days within 35 of such
    revisions, whose end brings to life what they superseded. -#}
{% macro replaced_dates() -%}
    (
        select distinct gone.event_date + cast(reach.step as integer) as event_date
        from {{ ref("stg_lake__batch_dates") }} as gone
        inner join {{ ref("int_replaced_batches") }} as replaced on gone.batch_id = replaced.batch_id
        inner join range(-36, 37) as reach (step) on reach.step = 0 or gone.max_revision > 0
        where replaced.build_id = {{ quoted(build_id()) }}
    )
{%- endmacro %}

{#- Pre-hook of models that keep rows by batch: those of batches that count no longer go. -#}
{% macro delete_replaced() %}
    {%- set replaced = ref("int_replaced_batches") -%}
    {%- if execute and is_incremental() -%}
        delete from {{ this }} where batch_id in (select batch_id from {{ replaced }})
    {%- endif -%}
{% endmacro %}

{#- Whether this build is the first to leave out a batch with revisions: what they superseded may count again. -#}
{% macro is_revision_replaced() %}
    {%- set query -%}
        select count(*)
        from {{ ref("stg_lake__batch_dates") }} as gone
        inner join {{ ref("int_replaced_batches") }} as replaced on gone.batch_id = replaced.batch_id
        where replaced.build_id = {{ quoted(build_id()) }} and gone.max_revision > 0
    {%- endset -%}
    {%- if not execute -%}{{ return(false) }}{%- endif -%}
    {{ return(column_values(query)[0] > 0) }}
{% endmacro %}

{#- Pre-hook of int_uncounted_records: where revisions count no longer, what they superseded is found anew. -#}
{% macro delete_uncounted() %}
    {%- set is_revised = is_revision_replaced() -%}
    {%- set deleted = delete_replaced() -%}
    {%- if execute and is_incremental() and is_revised -%}delete from {{ this }}{%- else -%}{{ deleted }}{%- endif -%}
{% endmacro %}

{#- Accepted records that can be events of touched local days: a local day overlaps the UTC days next to it. -#}
{% macro touched_events() %}
    {%- set touched = ref("int_touched_customer_days") -%}
    {%- if days_scope() == "all" -%}
        {{ return(lake_events("true")) }}
    {%- endif -%}
    {{ return(lake_events(
        "exists (select 1 from " ~ touched ~ " where usage_date is null)"
        ~ " or event_date in (select usage_date + step from " ~ touched ~ ", (values (-1), (0), (1)) as steps (step)"
        ~ " where usage_date is not null)"
    )) }}
{% endmacro %}

{% macro local_date(instant, timezone) -%}{{ return(adapter.dispatch("local_date")(instant, timezone)) }}{%- endmacro %}

{#- The instant at which a local day begins; where midnight comes twice, the first one. -#}
{% macro start_of_day(day, timezone) -%}{{ return(adapter.dispatch("start_of_day")(day, timezone)) }}{%- endmacro %}

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
        from {{ touched_events() if condition != "false" else lake_events("false") }} as events
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
