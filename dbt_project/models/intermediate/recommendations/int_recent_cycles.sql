{#- The last complete cycles of subscriptions that go on: what advice about a plan is taken from. A cycle that was
    served in part says little: its price is a share and its allowance mostly is not. -#}

with periods as (

    select * from {{ ref('int_rated_periods') }}
    where {{ is_looked_back_on("period_end") }}

),

open_periods as (

    select *
    from periods
    where
        service_start <= local_today
        and service_end > local_today

),

complete as (

    select
        periods.subscription_id,
        periods.customer_id,
        periods.plan_id,
        periods.currency,
        periods.plan_number,
        cast(
            row_number() over (partition by periods.subscription_id order by periods.period_start desc) as integer
        ) as cycle_number,
        periods.period_start,
        periods.period_end,
        open_periods.period_end as next_period_start
    from periods
    inner join open_periods on periods.subscription_id = open_periods.subscription_id
    where
        periods.period_end <= open_periods.local_today
        and periods.service_start = periods.period_start
        and periods.service_end = periods.period_end

),

final as (

    select *
    from complete
    where cycle_number <= {{ lookback_cycles() }}

)

select * from final
