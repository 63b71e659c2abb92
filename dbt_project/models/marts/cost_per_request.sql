{{ config(materialized='incremental', incremental_strategy='append', pre_hook="{{ delete_touched() }}") }}

with activity as (

    select * from {{ ref('int_daily_activity') }}
    {{ where_touched() }}

),

{#- Events without a model count when they carry a cost; within one activity row those cannot be told apart from
    uncosted ones by anything but the count, and an uncosted event without a model is no request. -#}
requests as (

    select
        usage_date,
        customer_id,
        coalesce(provider, 'unknown') as provider,
        coalesce(model, 'unknown') as model,
        case when model is null then costed_event_count else event_count end as request_count,
        case when model is null then costed_input_tokens else input_tokens end as input_tokens,
        case when model is null then costed_output_tokens else output_tokens end as output_tokens,
        case when model is null then costed_cached_input_tokens else cached_input_tokens end as cached_input_tokens,
        cost_usd
    from activity
    where model is not null or costed_event_count > 0

),

summed as (

    select
        usage_date,
        customer_id,
        provider,
        model,
        cast(sum(request_count) as bigint) as request_count,
        cast(sum(input_tokens) as decimal(38, 0)) as input_tokens,
        cast(sum(output_tokens) as decimal(38, 0)) as output_tokens,
        cast(sum(cached_input_tokens) as decimal(38, 0)) as cached_input_tokens,
        cast(sum(cost_usd) as decimal(38, 12)) as cost_usd
    from requests
    group by
        usage_date,
        customer_id,
        provider,
        model

),

final as (

    select
        usage_date,
        customer_id,
        provider,
        model,
        request_count,
        coalesce(input_tokens, 0) as input_tokens,
        coalesce(output_tokens, 0) as output_tokens,
        coalesce(cached_input_tokens, 0) as cached_input_tokens,
        cost_usd,
        {{ exact_ratio("cost_usd", 1, "request_count") }} as cost_per_request_usd
    from summed

)

select * from final
