{{ config(materialized='view') }}

with cost_per_request as (

    select * from {{ ref('cost_per_request') }}

),

summed as (

    select
        {{ month_start("usage_date") }} as calendar_month,
        customer_id,
        provider,
        model,
        cast(sum(request_count) as bigint) as request_count,
        cast(sum(unpriced_request_count) as bigint) as unpriced_request_count,
        cast(sum(input_tokens) as decimal(38, 0)) as input_tokens,
        cast(sum(output_tokens) as decimal(38, 0)) as output_tokens,
        cast(sum(cached_input_tokens) as decimal(38, 0)) as cached_input_tokens,
        cast(sum(cost_usd) as decimal(38, 12)) as cost_usd,
        cast(sum(sender_cost_usd) as decimal(38, 12)) as sender_cost_usd,
        cast(sum(home_price_cost_usd) as decimal(38, 12)) as home_price_cost_usd,
        cast(sum(public_price_cost_usd) as decimal(38, 12)) as public_price_cost_usd,
        cast(sum(assumed_cost_usd) as decimal(38, 12)) as assumed_cost_usd
    from cost_per_request
    group by
        {{ month_start("usage_date") }},
        customer_id,
        provider,
        model

),

final as (

    select
        calendar_month,
        customer_id,
        provider,
        model,
        request_count,
        unpriced_request_count,
        input_tokens,
        output_tokens,
        cached_input_tokens,
        cost_usd,
        sender_cost_usd,
        home_price_cost_usd,
        public_price_cost_usd,
        assumed_cost_usd,
        {{ exact_ratio("cost_usd", 1, "request_count") }} as cost_per_request_usd
    from summed

)

select * from final
