{{ config(materialized='view') }}

with substitutions as (

    select * from {{ ref('int_daily_substitutions') }}

),

final as (

    select
        {{ month_start("usage_date") }} as calendar_month,
        customer_id,
        provider,
        model,
        substitute,
        cast(sum(request_count) as bigint) as request_count,
        cast(sum(compared_request_count) as bigint) as compared_request_count,
        cast(sum(input_tokens) as decimal(38, 0)) as input_tokens,
        cast(sum(output_tokens) as decimal(38, 0)) as output_tokens,
        cast(sum(cached_input_tokens) as decimal(38, 0)) as cached_input_tokens,
        cast(sum(cost_usd) as decimal(38, 12)) as cost_usd,
        cast(sum(substitute_cost_usd) as decimal(38, 12)) as substitute_cost_usd
    from substitutions
    group by
        {{ month_start("usage_date") }},
        customer_id,
        provider,
        model,
        substitute

)

select * from final
