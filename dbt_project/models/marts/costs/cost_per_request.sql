{{ config(materialized='incremental', incremental_strategy='append', pre_hook="{{ delete_touched() }}") }}

with activity as (

    select * from {{ ref('int_daily_activity') }}
    {{ where_touched() }}

),

{# An event without a model counts only if it carries a cost: otherwise it is no request. -#}
requests as (

    select *
    from activity
    where model is not null or cost_source != 'none'

),

summed as (

    select
        usage_date,
        customer_id,
        coalesce(provider, 'unknown') as provider,
        coalesce(model, 'unknown') as model,
        cast(sum(event_count) as bigint) as request_count,
        cast(coalesce(sum(event_count) filter (where cost_source = 'none'), 0) as bigint) as unpriced_request_count,
        cast(sum(input_tokens) as decimal(38, 0)) as input_tokens,
        cast(sum(output_tokens) as decimal(38, 0)) as output_tokens,
        cast(sum(cached_input_tokens) as decimal(38, 0)) as cached_input_tokens,
        cast(sum(cost_usd) as decimal(38, 12)) as cost_usd,
        cast(sum(cost_usd) filter (where cost_source = 'sender') as decimal(38, 12)) as sender_cost_usd,
        cast(sum(cost_usd) filter (where cost_source = 'home_price') as decimal(38, 12)) as home_price_cost_usd,
        cast(sum(cost_usd) filter (where cost_source = 'public_price') as decimal(38, 12)) as public_price_cost_usd,
        cast(sum(cost_usd) filter (where is_price_assumed) as decimal(38, 12)) as assumed_cost_usd
    from requests
    group by
        usage_date,
        customer_id,
        coalesce(provider, 'unknown'),
        coalesce(model, 'unknown')

),

final as (

    select
        usage_date,
        customer_id,
        provider,
        model,
        request_count,
        unpriced_request_count,
        coalesce(input_tokens, 0) as input_tokens,
        coalesce(output_tokens, 0) as output_tokens,
        coalesce(cached_input_tokens, 0) as cached_input_tokens,
        cost_usd,
        sender_cost_usd,
        home_price_cost_usd,
        public_price_cost_usd,
        assumed_cost_usd,
        {{ exact_ratio("cost_usd", 1, "request_count") }} as cost_per_request_usd
    from summed

)

select * from final
