{{ config(materialized='incremental', incremental_strategy='append', pre_hook="{{ delete_touched() }}") }}

{#- The one scan over all events; everything about requests, tokens, costs and unbilled usage is derived from it.
    The event type alone says which meters it feeds, but for those that filter events or read what an event may lack:
    only they need a flag per event, null for events of other types, so that no flag tells apart what feeds the same. -#}

{%- set flagged = [] %}
{%- for meter in meters_with(['count', 'sum', 'max', 'latest', 'unique']) if meter.filters or can_lack_field(meter) %}
    {%- do flagged.append(meter) %}
{%- endfor %}
{%- set lineage = source("lake", "events") %}

with events as (

    {{ priced_events(event_columns()) }}

),

prices as (

    select * from {{ ref('int_event_prices') }}

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
        cost_status,
        case when {{ is_priced("cost_status") }} then price_number end as price_number,
        {% for meter in flagged -%}
        {{ feeds_with_field(meter) }} as feeds_{{ loop.index }},
        {% endfor -%}
        count(*) as event_count,
        sum(quantity) as quantity,
        sum(input_tokens) as input_tokens,
        sum(output_tokens) as output_tokens,
        sum(cached_input_tokens) as cached_input_tokens,
        sum(cost_usd) as cost_usd
    from events
    group by all

),

{# An event has at most one price, so the sums that share one are multiplied instead of each event. -#}
costed as (

    select
        aggregated.*,
        prices.cost_source as price_source,
        coalesce(prices.is_assumed, false) as is_price_assumed,
        case
            when {{ is_priced("aggregated.cost_status") }}
                then {{ priced_cost("aggregated", "prices", "aggregated.event_count") }}
        end as priced_cost_usd
    from aggregated
    left join prices on aggregated.price_number = prices.price_number

),

meters_of_types as (

    select
        event_type,
        list(meter_id order by meter_id) as meter_ids
    from meter_event_types
    where meter_id not in ('' {%- for meter in flagged %}, {{ quoted(meter.meter_id) }}{% endfor %})
    group by event_type

),

final as (

    select
        costed.customer_id,
        costed.usage_date,
        costed.event_type,
        costed.provider,
        costed.model,
        coalesce(meters_of_types.meter_ids, [])
        {%- for meter in flagged %}
        || case when costed.feeds_{{ loop.index }} is not null then [{{ quoted(meter.meter_id) }}] else [] end
        {%- endfor %} as meter_ids,
        coalesce(meters_of_types.meter_ids, [])
        {%- for meter in flagged %}
        || case when costed.feeds_{{ loop.index }} then [{{ quoted(meter.meter_id) }}] else [] end
        {%- endfor %} as measured_meter_ids,
        {{ cost_source("costed.cost_status", "costed.priced_cost_usd", "costed.price_source") }} as cost_source,
        {{ unpriced_reason("costed.cost_status", "costed.priced_cost_usd") }} as unpriced_reason,
        costed.price_number,
        costed.is_price_assumed,
        cast(costed.event_count as bigint) as event_count,
        cast(costed.quantity as decimal(38, 12)) as quantity,
        cast(costed.input_tokens as decimal(38, 0)) as input_tokens,
        cast(costed.output_tokens as decimal(38, 0)) as output_tokens,
        cast(costed.cached_input_tokens as decimal(38, 0)) as cached_input_tokens,
        coalesce(
            cast(costed.cost_usd as decimal(38, 12)), cast(round(costed.priced_cost_usd, 12) as decimal(38, 12))
        ) as cost_usd
    from costed
    left join meters_of_types on costed.event_type = meters_of_types.event_type

)

select * from final
