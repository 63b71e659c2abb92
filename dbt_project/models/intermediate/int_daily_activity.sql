{{ config(materialized='incremental', incremental_strategy='append', pre_hook="{{ delete_touched() }}") }}

{#- The one scan over all events; everything about requests, tokens, costs and unbilled usage is derived from it.
    Meters without filters are known from the event type alone, so only filtered meters need a flag per event. -#}

{%- set filtered = meters_with(['count', 'sum', 'max', 'latest', 'unique']) | selectattr('filters') | list %}
{%- set lineage = source("lake", "events") %}

with events as (

    {{ effective_events(event_columns()) }}

),

meter_event_types as (

    select * from {{ ref('stg_catalog__meter_event_types') }}

),

aggregated as (

    select
        customer_id,
        usage_date,
        event_type,
        provider,
        model,
        {% for meter in filtered -%}
        {{ filter_holds(meter.filters) }} as feeds_{{ loop.index }},
        {% endfor -%}
        count(*) as event_count,
        sum(quantity) as quantity,
        sum(input_tokens) as input_tokens,
        sum(output_tokens) as output_tokens,
        sum(cached_input_tokens) as cached_input_tokens,
        sum(cost_usd) as cost_usd,
        count(cost_usd) as costed_event_count,
        sum(input_tokens) filter (where cost_usd is not null) as costed_input_tokens,
        sum(output_tokens) filter (where cost_usd is not null) as costed_output_tokens,
        sum(cached_input_tokens) filter (where cost_usd is not null) as costed_cached_input_tokens
    from events
    group by all

),

unfiltered_meters as (

    select
        event_type,
        list(meter_id order by meter_id) as meter_ids
    from meter_event_types
    where
        true
        {%- for meter in filtered %}
        and meter_id != {{ quoted(meter.meter_id) }}
        {%- endfor %}
    group by event_type

),

final as (

    select
        aggregated.customer_id,
        aggregated.usage_date,
        aggregated.event_type,
        aggregated.provider,
        aggregated.model,
        coalesce(unfiltered_meters.meter_ids, [])
        {%- for meter in filtered %}
        || case
            when
                aggregated.feeds_{{ loop.index }} and aggregated.event_type in (
                    select event_type from meter_event_types where meter_id = {{ quoted(meter.meter_id) }}
                )
                then [{{ quoted(meter.meter_id) }}]
            else []
        end
        {%- endfor %} as meter_ids,
        cast(aggregated.event_count as bigint) as event_count,
        cast(aggregated.costed_event_count as bigint) as costed_event_count,
        cast(aggregated.quantity as decimal(38, 12)) as quantity,
        cast(aggregated.input_tokens as decimal(38, 0)) as input_tokens,
        cast(aggregated.output_tokens as decimal(38, 0)) as output_tokens,
        cast(aggregated.cached_input_tokens as decimal(38, 0)) as cached_input_tokens,
        cast(aggregated.costed_input_tokens as decimal(38, 0)) as costed_input_tokens,
        cast(aggregated.costed_output_tokens as decimal(38, 0)) as costed_output_tokens,
        cast(aggregated.costed_cached_input_tokens as decimal(38, 0)) as costed_cached_input_tokens,
        cast(aggregated.cost_usd as decimal(38, 12)) as cost_usd
    from aggregated
    left join unfiltered_meters on aggregated.event_type = unfiltered_meters.event_type

)

select * from final
