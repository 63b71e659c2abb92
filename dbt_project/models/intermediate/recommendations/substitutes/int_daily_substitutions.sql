{{ config(materialized='incremental', incremental_strategy='append', pre_hook="{{ delete_touched() }}") }}

{#- The same requests on an accepted substitute, each priced as of its own instant and size; sums that share both
    prices are multiplied instead of each event. Only requests with a known cost on either side are compared. Without
    substitutes no event is read. -#}

{%- set lineage = source("lake", "events") %}
{%- set columns = [
    "event_type", "occurred_at", "provider", "model", "quantity", "input_tokens", "output_tokens",
    "cached_input_tokens", "cost_usd", "properties"
] %}

with events as (

    {{ priced_events(columns, has_substitute("events.model")) }}

),

prices as (

    select * from {{ ref('int_event_prices') }}

),

substitute_prices as (

    select * from {{ ref('int_substitute_prices') }}

),

substitutes as (

    select * from {{ ref('int_model_substitutes') }}

),

{# What the sender says an event cost says nothing about another model. -#}
requests as (

    select
        events.customer_id,
        events.usage_date,
        events.event_type,
        events.occurred_at,
        events.provider,
        events.model,
        events.quantity,
        events.input_tokens,
        events.output_tokens,
        events.cached_input_tokens,
        events.properties,
        events.price_number,
        events.cost_status,
        events.cost_usd as sender_cost_usd,
        cast(null as decimal(28, 12)) as cost_usd,
        substitutes.substitute
    from events
    inner join substitutes on events.model = substitutes.model

),

offered as (

    select
        requests.*,
        offers.price_number as substitute_price_number,
        cast({{ cost_status("requests", "offers") }} as utinyint) as substitute_status
    from requests
    left join substitute_prices as offers
        on
            {{ price_applies("requests", "offers") }}
            and requests.substitute = offers.substitute

),

aggregated as (

    select
        customer_id,
        usage_date,
        event_type,
        provider,
        model,
        substitute,
        cost_status,
        substitute_status,
        case when {{ is_priced("cost_status") }} then price_number end as price_number,
        case when {{ is_priced("substitute_status") }} then substitute_price_number end as substitute_price_number,
        count(*) as event_count,
        sum(quantity) as quantity,
        sum(input_tokens) as input_tokens,
        sum(output_tokens) as output_tokens,
        sum(cached_input_tokens) as cached_input_tokens,
        sum(sender_cost_usd) as sender_cost_usd
    from offered
    group by all

),

costed as (

    select
        aggregated.*,
        case
            when {{ is_priced("aggregated.cost_status") }}
                then {{ priced_cost("aggregated", "prices", "aggregated.event_count") }}
        end as priced_cost_usd,
        case
            when {{ is_priced("aggregated.substitute_status") }}
                then {{ priced_cost("aggregated", "offers", "aggregated.event_count") }}
        end as substitute_cost_usd
    from aggregated
    left join prices on aggregated.price_number = prices.price_number
    left join substitute_prices as offers
        on
            aggregated.substitute_price_number = offers.price_number
            and aggregated.provider is not distinct from offers.provider
            and aggregated.model = offers.model
            and aggregated.event_type = offers.event_type
            and aggregated.substitute = offers.substitute

),

rounded as (

    select
        customer_id,
        usage_date,
        provider,
        model,
        substitute,
        event_count,
        input_tokens,
        output_tokens,
        cached_input_tokens,
        coalesce(
            cast(sender_cost_usd as decimal(38, 12)), cast(round(priced_cost_usd, 12) as decimal(38, 12))
        ) as cost_usd,
        cast(round(substitute_cost_usd, 12) as decimal(38, 12)) as substitute_cost_usd
    from costed

),

marked as (

    select
        *,
        cost_usd is not null and substitute_cost_usd is not null as is_compared
    from rounded

),

final as (

    select
        usage_date,
        customer_id,
        coalesce(provider, 'unknown') as provider,
        model,
        substitute,
        cast(sum(event_count) as bigint) as request_count,
        cast(coalesce(sum(event_count) filter (where is_compared), 0) as bigint) as compared_request_count,
        cast(coalesce(sum(input_tokens) filter (where is_compared), 0) as decimal(38, 0)) as input_tokens,
        cast(coalesce(sum(output_tokens) filter (where is_compared), 0) as decimal(38, 0)) as output_tokens,
        cast(coalesce(sum(cached_input_tokens) filter (where is_compared), 0) as decimal(38, 0)) as cached_input_tokens,
        cast(sum(cost_usd) filter (where is_compared) as decimal(38, 12)) as cost_usd,
        cast(sum(substitute_cost_usd) filter (where is_compared) as decimal(38, 12)) as substitute_cost_usd
    from marked
    group by
        usage_date,
        customer_id,
        coalesce(provider, 'unknown'),
        model,
        substitute

)

select * from final
