{{ config(
    materialized='incremental',
    incremental_strategy='append',
    pre_hook="{{ delete_replaced() }}"
) }}

{#- Kept apart because it is small: an event is superseded exactly if this table holds a higher revision of it, so
    that no day needs its neighbours' events to know what counts. -#}

{%- set is_new = " and build_id = " ~ quoted(build_id()) if is_incremental() else "" %}
{%- set lineage = source("lake", "events") %}

with events as (

    select * from {{ lake_events('max_revision > 0' ~ is_new) }}

),

final as (

    select
        event_id,
        batch_id,
        revision,
        occurred_at
    from events
    where revision > 0

)

select * from final
