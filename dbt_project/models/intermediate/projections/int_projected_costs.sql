{#- Provider cost of the customer's local day and calendar month: so far, and by their end. -#}

with customers as (

    select * from {{ ref('stg_accounts__customers') }}

),

recent_days as (

    select * from {{ ref('int_recent_days') }}
    where meter_id = ''

),

patterns as (

    select * from {{ ref('int_demand_patterns') }}
    where meter_id = ''

),

unpriced as (

    select * from {{ ref('int_daily_activity') }}
    where
        {{ is_recent("usage_date") }}
        and unpriced_reason is not null

),

clocks as (

    select
        customer_id,
        {{ local_date(as_of(), "timezone") }} as local_today,
        {{ seconds_left(as_of(), "timezone") }} as seconds_left
    from customers

),

month_days as (

    select
        customer_id,
        local_today,
        seconds_left,
        {{ days_between(month_start("local_today"), "last_day(local_today)") }} as usage_date
    from clocks

),

expected as (

    select
        month_days.customer_id,
        month_days.usage_date,
        month_days.usage_date = month_days.local_today as is_today,
        coalesce(recent_days.cost_usd, 0) as cost_usd,
        case
            when month_days.usage_date < month_days.local_today then 0
            else {{ share_of_day("patterns.expected_quantity", "month_days.usage_date", "month_days") }}
        end as expected_cost_usd
    from month_days
    left join recent_days
        on
            month_days.customer_id = recent_days.customer_id
            and month_days.usage_date = recent_days.usage_date
    left join patterns
        on
            month_days.customer_id = patterns.customer_id
            and isodow(month_days.usage_date) = patterns.iso_weekday

),

projected as (

    select
        customer_id,
        is_today,
        cost_usd,
        case
            when is_today then cost_usd + coalesce(expected_cost_usd, 0)
            else greatest(cost_usd, expected_cost_usd)
        end as projected_cost_usd
    from expected

),

months as (

    select
        customer_id,
        sum(cost_usd) as cost_usd,
        sum(projected_cost_usd) as projected_cost_usd,
        sum(cost_usd) filter (where is_today) as day_cost_usd,
        sum(projected_cost_usd) filter (where is_today) as projected_day_cost_usd
    from projected
    group by customer_id

),

unpriced_months as (

    select
        unpriced.customer_id,
        sum(unpriced.event_count) as event_count
    from unpriced
    inner join clocks on unpriced.customer_id = clocks.customer_id
    where {{ month_start("unpriced.usage_date") }} = {{ month_start("clocks.local_today") }}
    group by unpriced.customer_id

),

final as (

    select
        clocks.customer_id,
        cast(coalesce(unpriced_months.event_count, 0) as bigint) as unpriced_event_count,
        cast(months.cost_usd as decimal(38, 12)) as cost_usd,
        cast(months.projected_cost_usd as decimal(38, 12)) as projected_cost_usd,
        cast(months.day_cost_usd as decimal(38, 12)) as day_cost_usd,
        cast(months.projected_day_cost_usd as decimal(38, 12)) as projected_day_cost_usd,
        {{ month_start("clocks.local_today") }} as month_start,
        clocks.local_today
    from clocks
    inner join months on clocks.customer_id = months.customer_id
    left join unpriced_months on clocks.customer_id = unpriced_months.customer_id

)

select * from final
