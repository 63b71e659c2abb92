{{ config(materialized='ephemeral') }}

{#- Usage of unique meters: a value counts once in a window, on however many of its days it appears. -#}

with daily_values as (

    select * from {{ ref('int_daily_values') }}
    where {{ in_rated_days("usage_date") }}

),

period_months as (

    select * from {{ ref('int_period_months') }}

),

meter_windows as (

    select * from {{ ref('int_meter_windows') }}
    where aggregation = 'unique'

),

final as (

    select
        period_months.period_number,
        meter_windows.meter_number,
        meter_windows.reset,
        {{ window_start("meter_windows.reset", "period_months.service_start", "daily_values.usage_date") }}
            as window_start,
        cast(count(distinct daily_values.value) as decimal(38, 12)) as quantity
    from daily_values
    inner join period_months
        on
            daily_values.customer_id = period_months.customer_id
            and {{ month_start("daily_values.usage_date") }} = period_months.month_start
            and daily_values.usage_date >= period_months.service_start
            and daily_values.usage_date < period_months.service_end
    inner join meter_windows on daily_values.meter_id = meter_windows.meter_id
    group by all

)

select * from final
