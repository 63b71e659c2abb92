{{ config(materialized='incremental', incremental_strategy='append') }}

{#- Kept apart because it is small: an event is superseded exactly if this table holds a higher revision of it, so
    that no day needs its neighbours' events to know what counts. -#}

{%- set condition = "max_revision > 0" %}
{%- if is_incremental() %}
    {%- set condition = condition ~ " and build_id = " ~ quoted(build_id()) %}
{%- endif %}
{%- set lineage = source("lake", "events") %}

with events as (

    select * from {{ read_files(event_files(condition)) }}

),

final as (

    select
        event_id,
        revision,
        occurred_at
    from events
    where revision > 0

)

select * from final
