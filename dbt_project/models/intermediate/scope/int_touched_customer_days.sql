{#- Days are touched by new records, by records that a new revision supersedes, by customers whose time zone changed
    and by request. On a first or full build everything is computed and this table does not matter. -#}

{%- set is_new = "build_id = " ~ quoted(build_id()) %}
{%- set build_scope = ref("int_build_scope") %}
{%- set revisions_come_first = ref("int_event_revisions") %}
{%- set first_build = execute and column_values("select days_scope from " ~ build_scope)[0] == "all" %}
{%- set lineage = source("lake", "events") %}

with zones as (

    select * from {{ ref('int_customer_timezones') }}

),

new_events as (

    select
        event_id,
        customer_id,
        occurred_at,
        revision
    from {{ lake_events("false" if first_build else is_new) }}

),

new_revisions as (

    select * from new_events
    where revision > 0

),

{#- All files within 35 days of a new revision may hold what it supersedes. -#}
{%- set near_revisions -%}
    exists (
        select 1 from {{ ref('stg_lake__batch_dates') }} as revised
        where
            revised.{{ is_new }} and revised.max_revision > 0
            and revised.event_date between stg_lake__batch_dates.event_date - 35
            and stg_lake__batch_dates.event_date + 35
    )
{%- endset %}

superseded as (

    select
        events.customer_id,
        events.occurred_at
    from {{ lake_events("false" if first_build else near_revisions) }} as events
    inner join new_revisions
        on
            events.event_id = new_revisions.event_id
            and events.revision < new_revisions.revision
            and events.occurred_at between
            new_revisions.occurred_at - interval 35 day and new_revisions.occurred_at + interval 35 day

),

moved as (

    select
        customer_id,
        occurred_at
    from new_events
    union all
    select
        customer_id,
        occurred_at
    from superseded

),

touched as (

    select
        moved.customer_id,
        {{ usage_date("moved.occurred_at", "zones") }} as usage_date
    from moved
    left join zones on {{ is_zone_of("zones", "moved") }}
    union all
    select
        customer_id,
        cast(null as date) as usage_date
    from zones
    where is_changed
    {#- Whoever they were of: what a batch said that counts no longer is not read again. -#}
    {%- if not first_build %}
    union all
    select distinct
        cast(null as varchar) as customer_id,
        dates.event_date + steps.step as usage_date
    from {{ replaced_dates() }} as dates
    cross join (values (-1), (0), (1)) as steps (step)
    {%- endif %}
    {%- for day in rebuild_request('days') %}
    union all
    select
        cast(null as varchar) as customer_id,
        cast({{ quoted(day) }} as date) as usage_date
    {%- endfor %}

),

final as (

    select distinct
        customer_id,
        usage_date
    from touched

)

select * from final
