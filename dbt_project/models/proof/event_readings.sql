{{ config(materialized='ephemeral') }}

{#- What every event that may be behind a usage line says to its meter, read from the lake once more. -#}

{%- set numeric = meters_with(['sum', 'max', 'latest']) %}
{%- set distinct_ones = meters_with(['unique']) %}
{%- set all_meters = meters_with(['count', 'sum', 'max', 'latest', 'unique']) %}
{%- set place = ["batch_id", "source_file", "source_row"] %}
{%- set lineage = source("lake", "events") %}

with lines as (

    select * from {{ ref('traced_lines') }}
    where line_type = 'usage'

),

events as (

    {{ effective_events(event_columns() + place, type_feeds(all_meters)) }}

),

meters as (

    select * from {{ ref('stg_catalog__meters') }}

),

meter_event_types as (

    select * from {{ ref('stg_catalog__meter_event_types') }}

),

{# What an event says to a meter; `series` is what is counted once: the value of a unique meter, the `per` value of a
    level, the event itself of the others. -#}
measured as (

    select
        events.customer_id,
        meter_event_types.meter_id,
        meters.aggregation,
        events.event_id,
        events.revision,
        events.batch_id,
        events.source_file,
        events.source_row,
        case
            when meters.aggregation = 'unique' then {{ meter_value(distinct_ones, "meters.meter_id", as_text=true) }}
            when meters.aggregation in ('max', 'latest')
                then coalesce({{ meter_value(numeric, "meters.meter_id", "per", as_text=true) }}, '')
        end as series,
        case
            when meters.aggregation in ('count', 'unique') then cast(1 as decimal(38, 12))
            else {{ meter_value(numeric, "meters.meter_id") }}
        end as reading,
        events.occurred_at,
        events.usage_date
    from events
    inner join meter_event_types on events.event_type = meter_event_types.event_type
    inner join meters on meter_event_types.meter_id = meters.meter_id
    where
        {{ event_feeds_meter(all_meters, "meters.meter_id") }}
        and (events.customer_id, meters.meter_id) in (
            select (lines.customer_id, lines.meter_id)
            from lines
        )

),

final as (

    select * from measured
    where
        reading is not null
        and (aggregation != 'unique' or series is not null)

)

select * from final
