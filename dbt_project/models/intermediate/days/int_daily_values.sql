{{ config(materialized='incremental', incremental_strategy='append', pre_hook="{{ delete_touched() }}") }}

{%- set meters = meters_with(['unique']) %}
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
        {{ meter_value(meters, "meter_event_types.meter_id", as_text=true) }} as value
    from events
    inner join meter_event_types on events.event_type = meter_event_types.event_type
    where {{ event_feeds_meter(meters, "meter_event_types.meter_id") }}

),

final as (

    select distinct
        customer_id,
        meter_id,
        usage_date,
        value
    from readings
    where value is not null

)

select * from final
