-- Guards against a day of a subscription that falls between its cycles, or into two: its service periods follow each
-- other without a gap from started_on on, so that the parts of a plan change cover the cycle once.
with service_periods as (

    select * from {{ ref('int_service_periods') }}

),

subscriptions as (

    select * from {{ ref('stg_accounts__subscriptions') }}

),

ordered as (

    select
        subscription_id,
        service_start,
        served_days,
        cycle_days,
        lag(service_end) over (
            partition by subscription_id
            order by service_start
        ) as previous_end
    from service_periods

)

select
    ordered.subscription_id,
    ordered.service_start,
    ordered.previous_end
from ordered
inner join subscriptions on ordered.subscription_id = subscriptions.subscription_id
where
    ordered.service_start != coalesce(ordered.previous_end, subscriptions.started_on)
    or ordered.served_days > ordered.cycle_days
