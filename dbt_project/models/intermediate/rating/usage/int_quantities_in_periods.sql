{{ config(materialized='ephemeral') }}

{#- Usage of count and sum meters: days added up. A day of 10^24 or more counts as beyond the type: its sum is null, and
    int_rating_faults names it. A cost that is not known for some event is not known for the window. -#}

with daily_quantities as (

    select * from {{ ref('int_daily_quantities') }}
    where {{ in_rated_days("usage_date") }}

),

period_months as (

    select * from {{ ref('int_period_months') }}

),

meter_windows as (

    select * from {{ ref('int_meter_windows') }}

),

summed as (

    select
        period_months.period_number,
        meter_windows.meter_number,
        meter_windows.reset,
        {{ window_start("meter_windows.reset", "period_months.service_start", "daily_quantities.usage_date") }}
            as window_start,
        sum(daily_quantities.quantity) filter (where daily_quantities.quantity < {{ beyond_quantity() }}) as quantity,
        bool_or(daily_quantities.quantity >= {{ beyond_quantity() }}) as is_beyond,
        sum(daily_quantities.cost_usd) as cost_usd,
        sum(daily_quantities.unpriced_count) = 0 as is_costed
    from daily_quantities
    inner join period_months
        on
            daily_quantities.customer_id = period_months.customer_id
            and {{ month_start("daily_quantities.usage_date") }} = period_months.month_start
            and daily_quantities.usage_date >= period_months.service_start
            and daily_quantities.usage_date < period_months.service_end
    inner join meter_windows on daily_quantities.meter_id = meter_windows.meter_id
    group by all

),

final as (

    select
        period_number,
        meter_number,
        reset,
        window_start,
        case when not is_beyond then quantity end as quantity,
        case when is_costed then cost_usd end as cost_usd
    from summed

)

select * from final
