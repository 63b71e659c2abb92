-- Guards against an event that is billed twice: per customer and meter no two service periods share a day.
with monthly_usage as (

    select * from {{ ref('monthly_usage') }}

),

ordered as (

    select
        customer_id,
        meter_id,
        subscription_id,
        service_start,
        lag(service_end) over (
            partition by customer_id, meter_id
            order by service_start, service_end
        ) as previous_end
    from monthly_usage

)

select *
from ordered
where service_start < previous_end
