-- Guards against an event that is billed twice under one id: where an id occurs again, more than 35 days lie between,
-- and it is another event. Looks at the days that this build computed.
{%- set lineage = source("lake", "events") %}

with hashed as (

    {{ checked_events(["event_id"]) }}

),

{# Numbers take a fraction of the ids' memory; the ids behind equal ones, mostly none, are read once more. -#}
repeated as (

    select {{ text_hash("event_id") }} as id_hash
    from hashed
    group by {{ text_hash("event_id") }}
    having count(*) > 1

),

events as (

    {{ checked_events(["event_id", "occurred_at"]) }}

),

followed as (

    select
        event_id,
        occurred_at,
        lead(occurred_at) over (
            partition by event_id
            order by occurred_at
        ) as next_at
    from events
    where {{ text_hash("event_id") }} in (select repeated.id_hash from repeated)

)

select
    event_id,
    occurred_at,
    next_at
from followed
where next_at <= occurred_at + interval 35 day
