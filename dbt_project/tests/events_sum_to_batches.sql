-- Guards against a day that should have been computed again and was not, such as the one that a correction moves an
-- event away from: over all of history, records accepted less those that do not count are the events that usage counts.
with batch_dates as (

    select * from {{ ref('stg_lake__batch_dates') }}
    where batch_id not in (select replaced.batch_id from {{ ref('int_replaced_batches') }} as replaced)

),

uncounted_records as (

    select * from {{ ref('int_uncounted_records') }}

),

activity as (

    select * from {{ ref('int_daily_activity') }}

),

accepted as (

    select coalesce(sum(event_count), 0) as record_count
    from batch_dates

),

uncounted as (

    select count(*) as record_count
    from uncounted_records

),

counted as (

    select coalesce(sum(event_count), 0) as event_count
    from activity

)

select
    accepted.record_count as accepted_count,
    uncounted.record_count as uncounted_count,
    counted.event_count
from accepted
cross join uncounted
cross join counted
where accepted.record_count - uncounted.record_count != counted.event_count
