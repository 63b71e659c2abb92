{{ config(severity='warn') }}
-- Names usage that counts as nothing: events that feed meters but have the field of none, which unbilled_usage keeps,
-- and meters of amounts and readings that no event of a customer's day gives a value, whatever else the events feed.
-- Looks at the days that this build computed.
with unbilled_usage as (

    select * from {{ ref('unbilled_usage') }}
    {{ where_checked("coverage_scope") }}

),

daily_usage as (

    select * from {{ ref('int_daily_usage') }}
    {{ where_checked() }}

),

meters as (

    select * from {{ ref('stg_catalog__meters') }}

),

unbilled as (

    select
        event_type,
        cast(null as varchar) as meter_id,
        cast(null as varchar) as without_field,
        reason,
        sum(event_count) as event_count,
        count(distinct customer_id) as customer_count,
        min(usage_date) as first_day,
        max(usage_date) as last_day
    from unbilled_usage
    where reason = 'no_quantity'
    group by
        event_type,
        reason

),

{# A day without any known user is no fault: people are not on every event, and none is the right count of them. -#}
unmeasured as (

    select
        cast(null as varchar) as event_type,
        meters.meter_id,
        meters.field as without_field,
        cast(null as varchar) as reason,
        sum(daily_usage.event_count) as event_count,
        count(distinct daily_usage.customer_id) as customer_count,
        min(daily_usage.usage_date) as first_day,
        max(daily_usage.usage_date) as last_day
    from daily_usage
    inner join meters on daily_usage.meter_id = meters.meter_id
    where
        meters.billable
        and meters.aggregation != 'unique'
        and daily_usage.measured_count = 0
    group by
        meters.meter_id,
        meters.field

),

final as (

    select * from unbilled
    union all
    select * from unmeasured

)

select * from final
