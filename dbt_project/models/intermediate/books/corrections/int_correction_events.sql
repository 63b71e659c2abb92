{{ config(materialized='ephemeral') }}

{#- Events that the last statement of a line did not know and that feed its meter in its cycle, or supersede one that
    did. Only computed for a closing. -#}

{%- set meters = meters_with(['count', 'sum', 'max', 'latest', 'unique']) %}

with differences as (

    select * from {{ ref('int_line_differences') }}
    where
        meter_id is not null
        and {{ is_within_closing("period_end") }}

),

closing_batches as (

    select * from {{ ref('stg_ledger__closing_batches') }}

),

zones as (

    select * from {{ ref('int_customer_timezones') }}

),

event_types as (

    select * from {{ ref('stg_catalog__meter_event_types') }}

),

fresh_events as (

    select * from {{ correction_events("fresh") }}

),

gone_events as (

    select * from {{ correction_events("gone") }}

),

older_events as (

    select * from {{ correction_events("older") }}

),

replaced_batches as (

    select * from {{ ref('int_replaced_batches') }}

),

{# What a reading says as the one before it did is no news, whichever of the batches says it now. #}
moving_events as (

    select
        {% for column in event_columns() -%}
        fresh_events.{{ column }},
        {% endfor -%}
        fresh_events.customer_id,
        fresh_events.batch_id
    from fresh_events
    left join gone_events
        on
            fresh_events.event_id = gone_events.event_id
            and fresh_events.revision = gone_events.revision
            and fresh_events.payload_hash = gone_events.payload_hash
    where gone_events.event_id is null
    union all
    select
        {% for column in event_columns() -%}
        gone_events.{{ column }},
        {% endfor -%}
        gone_events.customer_id,
        replaced_batches.replaced_by as batch_id
    from gone_events
    inner join replaced_batches on gone_events.batch_id = replaced_batches.batch_id
    left join fresh_events
        on
            gone_events.event_id = fresh_events.event_id
            and gone_events.revision = fresh_events.revision
            and gone_events.payload_hash = fresh_events.payload_hash
    where fresh_events.event_id is null

),

{# What an event puts in or takes out: itself, and what it supersedes. #}
moved as (

    select
        {% for column in event_columns() -%}
        {{ column }},
        {% endfor -%}
        customer_id,
        batch_id,
        event_id as cause_id,
        revision as cause_revision
    from moving_events
    union all
    select
        {% for column in event_columns() -%}
        older_events.{{ column }},
        {% endfor -%}
        older_events.customer_id,
        moving_events.batch_id,
        moving_events.event_id as cause_id,
        moving_events.revision as cause_revision
    from older_events
    inner join moving_events
        on
            older_events.event_id = moving_events.event_id
            and older_events.revision < moving_events.revision
            and older_events.occurred_at between
            moving_events.occurred_at - interval 35 day and moving_events.occurred_at + interval 35 day

),

dated as (

    select
        events.cause_id,
        events.cause_revision,
        events.batch_id,
        events.customer_id,
        event_types.meter_id,
        {{ usage_date("events.occurred_at", "zones") }} as usage_date,
        coalesce(closing_batches.closing_number, 2147483647) as known_in_closing
    from moved as events
    inner join event_types on events.event_type = event_types.event_type
    left join zones on {{ is_zone_of("zones", "events") }}
    left join closing_batches on events.batch_id = closing_batches.batch_id
    where {{ event_feeds_meter(meters, "event_types.meter_id") }}

),

final as (

    select distinct
        differences.rated_line_id,
        dated.cause_id as event_id,
        dated.cause_revision as revision,
        dated.batch_id
    from differences
    inner join dated
        on
            differences.customer_id = dated.customer_id
            and differences.meter_id = dated.meter_id
            and differences.period_start <= dated.usage_date
            and differences.period_end > dated.usage_date
            and differences.stated_in_closing < dated.known_in_closing

)

select * from final
