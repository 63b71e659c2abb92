{{ config(materialized='ephemeral') }}

{#- USAGE_OPTIMIZATION: requests above the product's limit of cost, and requests that became more expensive or longer
    than the customer's own were before, or than those of its plan are, by the ratio of a spike. -#}

with costly_requests as (

    select * from {{ ref('int_costly_requests') }}

),

efficiency as (

    select * from {{ ref('int_request_efficiency') }}

),

settings as (

    select {{ json_decimal("value", "ratio") }} as ratio
    from {{ ref('stg_catalog__alert_settings') }}
    where key = 'spike'

),

measured as (

    select
        efficiency.*,
        settings.ratio,
        {{ attempt(exact_product("efficiency.usual_cost_per_request_usd", "settings.ratio"), "settings.ratio") }}
        < efficiency.cost_per_request_usd as is_dearer,
        {{ attempt(exact_product("efficiency.usual_tokens_per_request", "settings.ratio"), "settings.ratio") }}
        < efficiency.tokens_per_request as is_longer
    from efficiency
    cross join settings
    where
        efficiency.usual_cost_per_request_usd > 0
        and efficiency.excess_usd > 0

),

inefficient as (

    select
        *,
        case when is_dearer then 'cost more' else 'are longer' end as how_text,
        {{ month_text("calendar_month") }} as month_text,
        {{ usd_text("cost_per_request_usd") }} as cost_text,
        {{ plain_number("round(tokens_per_request, 1)") }} || ' tokens' as token_text,
        {{ usd_text("usual_cost_per_request_usd") }} as usual_cost_text,
        {{ plain_number("round(usual_tokens_per_request, 1)") }} || ' tokens' as usual_token_text
    from measured
    where
        is_dearer
        or is_longer

),

final as (

    select
        {{ recommendation_id(["'USAGE_OPTIMIZATION'", "customer_id", "'cost_limit'"]) }} as recommendation_id,
        customer_id,
        cast(null as varchar) as subscription_id,
        cast(null as varchar) as meter_id,
        'USAGE_OPTIMIZATION' as type,
        'cost_limit' as rule,
        'LOW' as priority,
        'Bring the cost per AI request under ' || {{ plain_number("max_cost") }} || ' USD' as title,
        'In ' || months || ' ' || {{ counted("request_count", "AI request") }} || ' cost '
        || {{ usd_text("cost_usd") }} || ', ' || {{ usd_text("cost_per_request_usd") }} || ' each; the limit is '
        || {{ plain_number("max_cost") }} || ' USD. Furthest above it: ' || model || ' on '
        || usage_date || '.' as description,
        'Keeping to the limit would have saved ' || {{ usd_text("excess_usd") }} || ' of provider cost in '
        || {{ counted("month_count", "month") }} || '.' as impact,
        'Look at the requests to ' || model || ' first: shorten prompts and answers, reuse cached input, or send '
        || 'simple work to a smaller model.' as implementation,
        {{ evidence("evidence", {
            "max_cost_per_request": decimal_text("max_cost"), "request_count": "request_count",
            "cost_usd": decimal_text("cost_usd"), "excess_usd": decimal_text("excess_usd"),
        }) }} as evidence,
        excess_usd as potential_savings,
        'USD' as currency
    from costly_requests
    union all
    select
        {{ recommendation_id(["'USAGE_OPTIMIZATION'", "customer_id", "baseline", "plan_id"]) }} as recommendation_id,
        customer_id,
        cast(null as varchar) as subscription_id,
        cast(null as varchar) as meter_id,
        'USAGE_OPTIMIZATION' as type,
        baseline as rule,
        'LOW' as priority,
        'AI requests ' || how_text || case baseline
            when 'own_past' then ' than before'
            else ' than those of others on plan ' || plan_id
        end as title,
        'In ' || month_text || ' an AI request cost ' || cost_text || ' and took ' || token_text || ' on average. '
        || case baseline
            when 'own_past' then 'In the months before it was '
            else 'The median of the ' || customer_count || ' customers on plan ' || plan_id || ' is '
        end
        || usual_cost_text || ' and ' || usual_token_text || '.' as description,
        case baseline
            when 'own_past' then 'At the cost per request of the months before, '
            else 'At the median cost per request, '
        end
        || {{ counted("priced_count", "request") }} || ' would have cost ' || {{ usd_text("excess_usd") }}
        || ' less in ' || month_text || '.' as impact,
        'Find out what changed in prompts, answers or models' || case baseline
            when 'own_past' then ' since the month before'
            else ', and what differs from the others'
        end || '; cost_per_request shows the days and models.' as implementation,
        {{ evidence("evidence", {
            "baseline": "baseline", "plan_id": "plan_id", "customer_count": "customer_count",
            "ratio": decimal_text("ratio"), "cost_per_request_usd": decimal_text("cost_per_request_usd"),
            "usual_cost_per_request_usd": decimal_text("usual_cost_per_request_usd"),
            "tokens_per_request": decimal_text("tokens_per_request"),
            "usual_tokens_per_request": decimal_text("usual_tokens_per_request"),
            "excess_usd": decimal_text("excess_usd"),
        }) }} as evidence,
        cast(excess_usd as decimal(38, 12)) as potential_savings,
        'USD' as currency
    from inefficient

)

select * from final
