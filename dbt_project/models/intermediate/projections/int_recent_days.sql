{#- All usage that a projection reads: some weeks around the clock, however long the history is. -#}

with daily_quantities as (

    select * from {{ ref('int_daily_quantities') }}
    where {{ is_recent("usage_date") }}

),

activity as (

    select * from {{ ref('int_daily_activity') }}
    where
        {{ is_recent("usage_date") }}
        and cost_usd is not null

),

costs as (

    select
        customer_id,
        usage_date,
        cast(sum(cost_usd) as decimal(38, 12)) as cost_usd
    from activity
    group by
        customer_id,
        usage_date

),

final as (

    select
        customer_id,
        meter_id,
        case when quantity < {{ beyond_quantity() }} then quantity end as quantity,
        case when unpriced_count = 0 then cost_usd end as cost_usd,
        usage_date
    from daily_quantities
    union all
    select
        customer_id,
        '' as meter_id,
        cost_usd as quantity,
        cost_usd,
        usage_date
    from costs

)

select * from final
