{#- The substitute that would have been cheapest for a model that a customer still uses: the same tokens at its prices,
    over the months looked back over. Months as model_comparisons has them. -#}

with substitutions as (

    select * from {{ ref('int_daily_substitutions') }}
    where {{ is_looked_back_on("usage_date") }}

),

customer_months as (

    select * from {{ ref('int_customer_months') }}

),

months as (

    select
        substitutions.customer_id,
        substitutions.provider,
        substitutions.model,
        substitutions.substitute,
        customer_months.month_number,
        cast(sum(substitutions.request_count) as bigint) as request_count,
        cast(sum(substitutions.compared_request_count) as bigint) as compared_request_count,
        cast(sum(substitutions.input_tokens) as decimal(38, 0)) as input_tokens,
        cast(sum(substitutions.output_tokens) as decimal(38, 0)) as output_tokens,
        cast(sum(substitutions.cost_usd) as decimal(38, 12)) as cost_usd,
        cast(sum(substitutions.substitute_cost_usd) as decimal(38, 12)) as substitute_cost_usd,
        customer_months.calendar_month
    from substitutions
    inner join customer_months
        on
            substitutions.customer_id = customer_months.customer_id
            and {{ month_start("substitutions.usage_date") }} = customer_months.calendar_month
    group by
        substitutions.customer_id,
        substitutions.provider,
        substitutions.model,
        substitutions.substitute,
        customer_months.month_number,
        customer_months.calendar_month

),

summed as (

    select
        customer_id,
        provider,
        model,
        substitute,
        min(month_number) as month_number,
        count(*) as month_count,
        cast(sum(request_count) as bigint) as request_count,
        cast(sum(compared_request_count) as bigint) as compared_request_count,
        cast(sum(input_tokens) as decimal(38, 0)) as input_tokens,
        cast(sum(output_tokens) as decimal(38, 0)) as output_tokens,
        cast(sum(cost_usd) as decimal(38, 12)) as cost_usd,
        cast(sum(substitute_cost_usd) as decimal(38, 12)) as substitute_cost_usd,
        string_agg(
            {{ evidence_row(
                "model_comparisons",
                {
                    "customer_id": "customer_id", "provider": "provider", "model": "model", "substitute": "substitute",
                    "calendar_month": "calendar_month",
                },
                {
                    "compared_request_count": "compared_request_count", "input_tokens": "input_tokens",
                    "output_tokens": "output_tokens", "cost_usd": decimal_text("cost_usd"),
                    "substitute_cost_usd": decimal_text("substitute_cost_usd"),
                },
            ) }}, ',' order by calendar_month
        ) as evidence,
        min(calendar_month) as first_month,
        max(calendar_month) as last_month
    from months
    group by
        customer_id,
        provider,
        model,
        substitute

),

ordered as (

    select
        *,
        row_number() over (
            partition by customer_id, provider, model
            order by cost_usd - substitute_cost_usd desc, substitute
        ) as offer_number
    from summed
    where
        month_number = 1
        and cost_usd > substitute_cost_usd

),

final as (

    select
        customer_id,
        provider,
        model,
        substitute,
        month_count,
        request_count,
        compared_request_count,
        input_tokens,
        output_tokens,
        cost_usd,
        substitute_cost_usd,
        cast(cost_usd - substitute_cost_usd as decimal(38, 12)) as saving_usd,
        evidence,
        first_month,
        last_month
    from ordered
    where offer_number = 1

)

select * from final
