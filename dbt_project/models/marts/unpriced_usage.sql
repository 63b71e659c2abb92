{{ config(materialized='view') }}

{#- What no price was found for. An event that names neither model nor tokens is not expected to have a cost. -#}

with activity as (

    select * from {{ ref('int_daily_activity') }}
    where unpriced_reason is not null

),

final as (

    select
        usage_date,
        customer_id,
        provider,
        model,
        event_type,
        unpriced_reason as reason,
        cast(sum(event_count) as bigint) as event_count,
        cast(coalesce(sum(input_tokens), 0) as decimal(38, 0)) as input_tokens,
        cast(coalesce(sum(output_tokens), 0) as decimal(38, 0)) as output_tokens,
        cast(coalesce(sum(cached_input_tokens), 0) as decimal(38, 0)) as cached_input_tokens
    from activity
    group by
        usage_date,
        customer_id,
        provider,
        model,
        event_type,
        unpriced_reason

)

select * from final
