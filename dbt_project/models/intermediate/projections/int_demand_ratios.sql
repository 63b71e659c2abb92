{{ config(materialized='ephemeral') }}

{#- How the trailing days went, week by week: a trend once there are 28 of them, the last 14 against the 14 before,
    between 4/5 and 5/4; the quietest and the busiest full week against their mean, with fewer than two of them nothing
    and twice as much. Days before the customer's first subscription or usage are no history, later days without usage
    are. -#}

{%- set third = "case when history_days >= 21 then week_3 end" %}
{%- set fourth = "case when history_days >= 28 then week_4 end" %}

with past_days as (

    select * from {{ ref('int_past_days') }}

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

final as (

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

)

select * from final
