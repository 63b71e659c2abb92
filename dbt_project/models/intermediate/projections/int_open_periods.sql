{#- The service periods of open cycles, each three times: as projected, and as the low and the high bound. To the rating
    models a scenario is a period like any other. -#}

with service_periods as (

    select * from {{ ref('int_service_periods') }}
    where
        has_begun
        and plan_number is not null
        and local_today < period_end

),

scenarios as (

    select unnest(['projected', 'low', 'high']) as scenario

),

final as (

    select
        service_periods.subscription_id,
        service_periods.customer_id,
        service_periods.plan_id,
        service_periods.currency,
        scenarios.scenario,
        cast(
            row_number() over (
                order by service_periods.subscription_id, service_periods.period_start, scenarios.scenario
            ) as integer
        ) as period_number,
        cast(
            dense_rank() over (order by service_periods.subscription_id, service_periods.period_start) as integer
        ) as open_number,
        service_periods.plan_number,
        service_periods.served_days,
        service_periods.cycle_days,
        {{ seconds_left(as_of(), "service_periods.timezone") }} as seconds_left,
        service_periods.period_start,
        service_periods.period_end,
        service_periods.service_start,
        service_periods.service_end,
        service_periods.local_today
    from service_periods
    cross join scenarios

)

select * from final
