{#- What a customer's next Monday, Tuesday and so on are expected to bring: the mean of that weekday (under 14 days: of
    all days) in the trailing days, times a trend. Low and high: that day in a week that differs from the mean as the
    quietest and the busiest of the full weeks do. -#}

with past_days as (

    select * from {{ ref('int_past_days') }}

),

ratios as (

    select * from {{ ref('int_demand_ratios') }}

),

weekday_sums as (

    select
        customer_id,
        meter_id,
        isodow(usage_date) as iso_weekday,
        cast(sum(quantity) as decimal(38, 12)) as quantity
    from past_days
    group by
        customer_id,
        meter_id,
        isodow(usage_date)

),

{# Counted back from yesterday, a weekday comes once in every full week and once more in what is left. #}
weekdays as (

    select
        ratios.customer_id,
        ratios.meter_id,
        days_of_week.iso_weekday,
        ratios.history_days,
        ratios.trend_count,
        ratios.low_count,
        ratios.high_count,
        case
            when ratios.history_days < 14 then ratios.total_quantity
            when ratios.is_known then coalesce(weekday_sums.quantity, 0)
        end as quantity,
        case
            when ratios.history_days < 14 then ratios.history_days
            else
                ratios.history_days // 7
                + case
                    when
                        (isodow(ratios.local_today - 1) - days_of_week.iso_weekday + 7) % 7 < ratios.history_days % 7
                        then 1
                    else 0
                end
        end as day_count
    from ratios
    cross join (values (1), (2), (3), (4), (5), (6), (7)) as days_of_week (iso_weekday)
    left join weekday_sums
        on
            ratios.customer_id = weekday_sums.customer_id
            and ratios.meter_id = weekday_sums.meter_id
            and days_of_week.iso_weekday = weekday_sums.iso_weekday

),

expected as (

    select
        customer_id,
        meter_id,
        iso_weekday,
        history_days,
        trend_count,
        low_count,
        high_count,
        cast({{ times_ratio("quantity", "trend_count", "day_count") }} as decimal(38, 12)) as quantity
    from weekdays

),

final as (

    select
        customer_id,
        meter_id,
        cast(iso_weekday as integer) as iso_weekday,
        history_days,
        cast(trend_count as decimal(18, 6)) * cast(0.000001 as decimal(6, 6)) as trend_ratio,
        quantity as expected_quantity,
        cast(least({{ times_ratio("quantity", "low_count") }}, quantity) as decimal(38, 12)) as low_quantity,
        cast(greatest({{ times_ratio("quantity", "high_count") }}, quantity) as decimal(38, 12)) as high_quantity
    from expected

)

select * from final
