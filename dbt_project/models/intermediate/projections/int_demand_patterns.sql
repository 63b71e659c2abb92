{#- What a customer's next Monday, Tuesday and so on are expected to bring, from up to 28 complete local days before the
    clock's: the mean of that weekday (under 14 days: of all days), times a trend once there are 28: the last 14 days
    against the 14 before, between 4/5 and 5/4. Low and high: that day in a week that differs from the mean as the
    quietest and the busiest of the full weeks do; with fewer than two of them, nothing and twice as much. Days before
    the customer's first subscription or usage are no history, later days without usage are. -#}

{%- set third = "case when history_days >= 21 then week_3 end" %}
{%- set fourth = "case when history_days >= 28 then week_4 end" %}

with recent_days as (

    select * from {{ ref('int_recent_days') }}

),

customers as (

    select * from {{ ref('stg_accounts__customers') }}

),

subscriptions as (

    select * from {{ ref('stg_accounts__subscriptions') }}

),

clocks as (

    select
        customers.customer_id,
        {{ local_date(as_of(), "customers.timezone") }} as local_today,
        min(subscriptions.started_on) as first_served
    from customers
    left join subscriptions on customers.customer_id = subscriptions.customer_id
    group by
        customers.customer_id,
        customers.timezone

),

past_days as (

    select
        recent_days.customer_id,
        recent_days.meter_id,
        clocks.local_today,
        clocks.first_served,
        recent_days.usage_date,
        recent_days.quantity,
        cast(clocks.local_today - recent_days.usage_date as integer) as days_ago
    from recent_days
    inner join clocks on recent_days.customer_id = clocks.customer_id
    where
        recent_days.usage_date >= clocks.local_today - {{ trailing_days() }}
        and recent_days.usage_date < clocks.local_today

),

weeks as (

    select
        customer_id,
        meter_id,
        local_today,
        cast(
            least({{ trailing_days() }}, greatest(local_today - min(first_served), local_today - min(usage_date)))
            as integer
        ) as history_days,
        cast(sum(quantity) as decimal(38, 12)) as total_quantity,
        count(*) = count(quantity) as is_known,
        cast(coalesce(sum(quantity) filter (where days_ago <= 7), 0) as decimal(38, 12)) as week_1,
        cast(coalesce(sum(quantity) filter (where days_ago between 8 and 14), 0) as decimal(38, 12)) as week_2,
        cast(coalesce(sum(quantity) filter (where days_ago between 15 and 21), 0) as decimal(38, 12)) as week_3,
        cast(coalesce(sum(quantity) filter (where days_ago between 22 and 28), 0) as decimal(38, 12)) as week_4
    from past_days
    group by
        customer_id,
        meter_id,
        local_today

),

spread as (

    select
        customer_id,
        meter_id,
        local_today,
        history_days,
        case when is_known then total_quantity end as total_quantity,
        is_known,
        case
            when history_days < {{ trailing_days() }} then 1000000
            when week_3 + week_4 = 0 then 1250000
            else least(1250000, greatest(800000, {{ ratio_count("(week_1 + week_2)", "(week_3 + week_4)") }}))
        end as trend_count,
        history_days // 7 as week_count,
        least(week_1, week_2, {{ third }}, {{ fourth }}) as quietest_week,
        greatest(week_1, week_2, {{ third }}, {{ fourth }}) as busiest_week,
        week_1 + week_2 + coalesce({{ third }}, 0) + coalesce({{ fourth }}, 0) as full_weeks
    from weeks

),

ratios as (

    select
        customer_id,
        meter_id,
        local_today,
        history_days,
        total_quantity,
        is_known,
        trend_count,
        case
            when week_count < 2 or full_weeks = 0 then 0
            else {{ ratio_count("quietest_week", "full_weeks") }} * week_count
        end as low_count,
        case
            when week_count < 2 or full_weeks = 0 then 2000000
            else {{ ratio_count("busiest_week", "full_weeks") }} * week_count
        end as high_count
    from spread

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
