-- Guards against usage that a period counts twice or not at all: the days of a summable meter sum to its period, in
-- every time zone. Looks at the periods that this build rated.
with monthly_usage as (

    select * from {{ ref('monthly_usage') }}

),

daily_usage as (

    select * from {{ ref('daily_usage') }}
    where {{ in_rated_days("usage_date") }}

),

meters as (

    select * from {{ ref('stg_catalog__meters') }}
    where aggregation in ('count', 'sum')

),

periods as (

    select
        monthly_usage.subscription_id,
        monthly_usage.customer_id,
        monthly_usage.meter_id,
        monthly_usage.period_start,
        monthly_usage.service_start,
        monthly_usage.service_end,
        monthly_usage.quantity
    from monthly_usage
    inner join meters on monthly_usage.meter_id = meters.meter_id
    inner join {{ ref('int_periods_to_rate') }} as periods_to_rate
        on
            monthly_usage.subscription_id = periods_to_rate.subscription_id
            and monthly_usage.period_start = periods_to_rate.period_start
    where monthly_usage.quantity is not null

),

summed as (

    select
        periods.subscription_id,
        periods.meter_id,
        periods.period_start,
        sum(daily_usage.quantity) as quantity
    from periods
    inner join daily_usage
        on
            periods.customer_id = daily_usage.customer_id
            and periods.meter_id = daily_usage.meter_id
            and periods.service_start <= daily_usage.usage_date
            and periods.service_end > daily_usage.usage_date
    group by
        periods.subscription_id,
        periods.meter_id,
        periods.period_start

)

select
    periods.subscription_id,
    periods.meter_id,
    periods.period_start,
    periods.quantity,
    summed.quantity as days_quantity
from periods
left join summed
    on
        periods.subscription_id = summed.subscription_id
        and periods.meter_id = summed.meter_id
        and periods.period_start = summed.period_start
where periods.quantity != coalesce(summed.quantity, 0)
