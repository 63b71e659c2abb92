{#- Requests that name a model, in the months looked back over: what cost_per_request says of them. -#}

with activity as (

    select * from {{ ref('int_daily_activity') }}
    where
        model is not null
        and {{ is_looked_back_on("usage_date") }}

),

customer_months as (

    select * from {{ ref('int_customer_months') }}

),

final as (

    select
        activity.customer_id,
        coalesce(activity.provider, 'unknown') as provider,
        activity.model,
        customer_months.month_number,
        cast(sum(activity.event_count) as bigint) as request_count,
        cast(coalesce(sum(activity.event_count) filter (where activity.cost_source = 'none'), 0) as bigint)
            as unpriced_request_count,
        cast(coalesce(sum(activity.input_tokens), 0) as decimal(38, 0)) as input_tokens,
        cast(coalesce(sum(activity.output_tokens), 0) as decimal(38, 0)) as output_tokens,
        cast(sum(activity.cost_usd) as decimal(38, 12)) as cost_usd,
        customer_months.calendar_month,
        activity.usage_date
    from activity
    inner join customer_months
        on
            activity.customer_id = customer_months.customer_id
            and {{ month_start("activity.usage_date") }} = customer_months.calendar_month
    group by
        activity.customer_id,
        coalesce(activity.provider, 'unknown'),
        activity.model,
        customer_months.month_number,
        customer_months.calendar_month,
        activity.usage_date

)

select * from final
