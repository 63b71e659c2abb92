{{ config(materialized='view') }}

{#- The same by month, as cost_per_request_monthly has it, with the row of evidence that says so. -#}

with model_days as (

    select * from {{ ref('int_model_days') }}

),

summed as (

    select
        customer_id,
        provider,
        model,
        month_number,
        cast(sum(request_count) as bigint) as request_count,
        cast(sum(unpriced_request_count) as bigint) as unpriced_request_count,
        cast(sum(input_tokens) as decimal(38, 0)) as input_tokens,
        cast(sum(output_tokens) as decimal(38, 0)) as output_tokens,
        cast(sum(cost_usd) as decimal(38, 12)) as cost_usd,
        calendar_month
    from model_days
    group by
        customer_id,
        provider,
        model,
        month_number,
        calendar_month

),

final as (

    select
        customer_id,
        provider,
        model,
        month_number,
        request_count,
        unpriced_request_count,
        cast(input_tokens + output_tokens as decimal(38, 0)) as token_count,
        cost_usd,
        {{ evidence_row(
            "cost_per_request_monthly",
            {
                "customer_id": "customer_id", "provider": "provider", "model": "model",
                "calendar_month": "calendar_month",
            },
            {
                "request_count": "request_count", "unpriced_request_count": "unpriced_request_count",
                "input_tokens": "input_tokens", "output_tokens": "output_tokens", "cost_usd": decimal_text("cost_usd"),
            },
        ) }} as evidence,
        calendar_month
    from summed

)

select * from final
