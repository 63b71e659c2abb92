{{ config(materialized='incremental', incremental_strategy='append', pre_hook="{{ delete_touched() }}") }}

{#- Sum meters of a property; all other sums come from int_daily_activity. -#}

{%- set meters = [] %}
{%- for meter in meters_with(['sum']) if meter.field.startswith('properties.') %}
    {%- do meters.append(meter) %}
{%- endfor %}
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
        {{ meter_value(meters, "meter_event_types.meter_id") }} as quantity
    from events
    inner join meter_event_types on events.event_type = meter_event_types.event_type
    where {{ event_feeds_meter(meters, "meter_event_types.meter_id") }}

),

final as (

    select
        customer_id,
        meter_id,
        usage_date,
        cast({{ bounded_sum("quantity") }} as decimal(38, 12)) as quantity
    from readings
    group by
        customer_id,
        meter_id,
        usage_date
    having count(quantity) > 0

)

select * from final
