{{ config(materialized='incremental', incremental_strategy='append', pre_hook="{{ delete_touched() }}") }}

{%- set meters = meters_with(['max', 'latest']) %}
{%- set lineage = source("lake", "events") %}

with events as (

    {{ effective_events(event_columns(), type_feeds(meters)) }}

),

meter_event_types as (

    select * from {{ ref('stg_catalog__meter_event_types') }}

),

readings as (

    select
        events.customer_id,
        events.usage_date,
        meter_event_types.meter_id,
        coalesce({{ meter_value(meters, "meter_event_types.meter_id", "per", as_text=true) }}, '') as per_value,
        {{ meter_value(meters, "meter_event_types.meter_id") }} as quantity,
        events.occurred_at,
        events.event_id
    from events
    inner join meter_event_types on events.event_type = meter_event_types.event_type
    where {{ event_feeds_meter(meters, "meter_event_types.meter_id") }}

),

final as (

    select
        customer_id,
        meter_id,
        usage_date,
        per_value,
        max(quantity) as max_quantity,
        arg_max(quantity, (occurred_at, event_id)) filter (where quantity is not null) as latest_quantity,
        max(occurred_at) filter (where quantity is not null) as latest_at,
        arg_max(event_id, (occurred_at, event_id)) filter (where quantity is not null) as latest_event_id,
        count(quantity) as event_count
    from readings
    group by
        customer_id,
        meter_id,
        usage_date,
        per_value
    having max(quantity) is not null

)

select * from final
