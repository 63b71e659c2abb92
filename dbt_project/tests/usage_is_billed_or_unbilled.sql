-- Guards against usage that a new catalog or new accounts take out of billing without listing it, or list while it is
-- billed: per customer, event type and day, events that monthly_usage bills and events in unbilled_usage are all there
-- are. Looks at the days whose reasons this build computed; the events themselves were checked when they arrived.
with activity as (

    select * from {{ ref('int_daily_activity') }}
    {{ where_checked("coverage_scope") }}

),

unbilled_usage as (

    select * from {{ ref('unbilled_usage') }}
    {{ where_checked("coverage_scope") }}

),

serving_charges as (

    {{ serving_charges() }}

),

numbered as (

    select
        customer_id,
        event_type,
        usage_date,
        measured_meter_ids,
        event_count,
        row_number() over () as kind
    from activity

),

fed as (

    select
        kind,
        customer_id,
        usage_date,
        unnest(measured_meter_ids) as meter_id
    from numbered

),

billed as (

    select distinct fed.kind
    from fed
    inner join serving_charges
        on
            fed.customer_id = serving_charges.customer_id
            and fed.meter_id = serving_charges.meter_id
            and fed.usage_date >= serving_charges.service_start
            and fed.usage_date < serving_charges.service_end

),

days as (

    select
        numbered.customer_id,
        numbered.event_type,
        numbered.usage_date,
        sum(numbered.event_count) as event_count,
        sum(case when billed.kind is not null then numbered.event_count else 0 end) as billed_count
    from numbered
    left join billed on numbered.kind = billed.kind
    group by
        numbered.customer_id,
        numbered.event_type,
        numbered.usage_date

),

unbilled as (

    select
        customer_id,
        event_type,
        usage_date,
        sum(event_count) as event_count
    from unbilled_usage
    group by
        customer_id,
        event_type,
        usage_date

)

select
    coalesce(days.customer_id, unbilled.customer_id) as customer_id,
    coalesce(days.event_type, unbilled.event_type) as event_type,
    coalesce(days.usage_date, unbilled.usage_date) as usage_date,
    days.event_count,
    days.billed_count,
    unbilled.event_count as unbilled_count
from days
full outer join unbilled
    on
        days.customer_id = unbilled.customer_id
        and days.event_type = unbilled.event_type
        and days.usage_date = unbilled.usage_date
where coalesce(days.event_count, 0) != coalesce(days.billed_count, 0) + coalesce(unbilled.event_count, 0)
