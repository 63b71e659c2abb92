{#- The events behind usage lines, read from the lake once more and weighed by the rule of the meter alone, independent
    of the models that rate: what each adds to the usage of the service period, and to that of the window that its charge
    is evaluated over. Superseded and void revisions are no contributions. -#}

{%- set numeric = meters_with(['sum', 'max', 'latest']) %}
{%- set distinct_ones = meters_with(['unique']) %}
{%- set all_meters = meters_with(['count', 'sum', 'max', 'latest', 'unique']) %}
{%- set place = ["batch_id", "source_file", "source_row"] %}
{%- set lineage = source("lake", "events") %}

with lines as (

    select * from {{ ref('traced_lines') }}
    where line_type = 'usage'

),

events as (

    {{ effective_events(event_columns() + place, type_feeds(all_meters)) }}

),

meters as (

    select * from {{ ref('stg_catalog__meters') }}

),

meter_event_types as (

    select * from {{ ref('stg_catalog__meter_event_types') }}

),

{# What an event says to a meter; `series` is what is counted once: the value of a unique meter, the `per` value of a
    level, the event itself of the others. -#}
measured as (

    select
        events.customer_id,
        meter_event_types.meter_id,
        meters.aggregation,
        events.event_id,
        events.revision,
        events.batch_id,
        events.source_file,
        events.source_row,
        case
            when meters.aggregation = 'unique' then {{ meter_value(distinct_ones, "meters.meter_id", as_text=true) }}
            when meters.aggregation in ('max', 'latest')
                then coalesce({{ meter_value(numeric, "meters.meter_id", "per", as_text=true) }}, '')
        end as series,
        case
            when meters.aggregation in ('count', 'unique') then cast(1 as decimal(38, 12))
            else {{ meter_value(numeric, "meters.meter_id") }}
        end as reading,
        events.occurred_at,
        events.usage_date
    from events
    inner join meter_event_types on events.event_type = meter_event_types.event_type
    inner join meters on meter_event_types.meter_id = meters.meter_id
    where
        {{ event_feeds_meter(all_meters, "meters.meter_id") }}
        and (events.customer_id, meters.meter_id) in (
            select (lines.customer_id, lines.meter_id)
            from lines
        )

),

readings as (

    select * from measured
    where
        reading is not null
        and (aggregation != 'unique' or series is not null)

),

in_windows as (

    select
        lines.invoice_line_id,
        lines.reset,
        lines.service_start,
        {{ window_start("lines.reset", "lines.service_start", "readings.usage_date") }} as window_start,
        readings.aggregation,
        readings.event_id,
        readings.revision,
        readings.batch_id,
        readings.source_file,
        readings.source_row,
        readings.series,
        readings.reading,
        readings.occurred_at,
        readings.usage_date
    from lines
    inner join readings
        on
            lines.customer_id = readings.customer_id
            and lines.meter_id = readings.meter_id
            and lines.service_start <= readings.usage_date
            and lines.service_end > readings.usage_date

),

{# Windows of levels that carry forward begin with the last reading before them, up to the clock's day, and later where
    they hold a reading. -#}
line_days as (

    select
        invoice_line_id,
        customer_id,
        meter_id,
        reset,
        service_start,
        local_today,
        {{ days_between("service_start", "service_end - 1") }} as usage_date
    from lines
    where carry_forward

),

carried_windows as (

    select distinct
        line_days.invoice_line_id,
        line_days.customer_id,
        line_days.meter_id,
        line_days.reset,
        line_days.service_start,
        {{ window_start("line_days.reset", "line_days.service_start", "line_days.usage_date") }} as window_start
    from line_days
    where
        line_days.usage_date <= line_days.local_today
        or (line_days.invoice_line_id, line_days.usage_date) in (
            select (in_windows.invoice_line_id, in_windows.usage_date)
            from in_windows
        )

),

ranked_in_days as (

    select
        readings.*,
        row_number() over (
            partition by readings.customer_id, readings.meter_id, readings.series, readings.usage_date
            order by readings.occurred_at desc, readings.event_id desc
        ) as place_in_day
    from readings
    where
        (readings.customer_id, readings.meter_id) in (
            select (carried_windows.customer_id, carried_windows.meter_id)
            from carried_windows
        )

),

last_of_days as (

    select
        *,
        lead(usage_date) over (partition by customer_id, meter_id, series order by usage_date) as next_usage_date
    from ranked_in_days
    where place_in_day = 1

),

candidates as (

    select
        invoice_line_id,
        reset,
        service_start,
        window_start,
        aggregation,
        event_id,
        revision,
        batch_id,
        source_file,
        source_row,
        series,
        reading,
        false as is_carried,
        occurred_at,
        usage_date
    from in_windows
    where aggregation in ('unique', 'max', 'latest')
    union all
    select
        carried_windows.invoice_line_id,
        carried_windows.reset,
        carried_windows.service_start,
        carried_windows.window_start,
        last_of_days.aggregation,
        last_of_days.event_id,
        last_of_days.revision,
        last_of_days.batch_id,
        last_of_days.source_file,
        last_of_days.source_row,
        last_of_days.series,
        last_of_days.reading,
        true as is_carried,
        last_of_days.occurred_at,
        last_of_days.usage_date
    from carried_windows
    inner join last_of_days
        on
            carried_windows.customer_id = last_of_days.customer_id
            and carried_windows.meter_id = last_of_days.meter_id
            and carried_windows.window_start > last_of_days.usage_date
            and (
                carried_windows.window_start <= last_of_days.next_usage_date
                or last_of_days.next_usage_date is null
            )

),

{# One event decides for a series: the first of a value, the highest reading (the earliest of equals), the last. -#}
ranked as (

    select
        *,
        not is_carried or window_start = service_start as is_of_period,
        row_number() over (
            partition by invoice_line_id, series
            order by
                case when aggregation = 'max' then reading end desc,
                case when aggregation = 'latest' then occurred_at end desc,
                case when aggregation = 'latest' then event_id end desc,
                occurred_at asc,
                event_id asc
        ) as preference
    from candidates

),

{# What is carried from one window of a service period into a later one is no candidate for the period itself. -#}
compared as (

    select
        *,
        preference = min(preference) over (partition by invoice_line_id, series, window_start) as decides_window,
        is_of_period
        and preference = min(case when is_of_period then preference end) over (partition by invoice_line_id, series)
            as decides_period
    from ranked

),

deciding as (

    select
        *,
        case when decides_period then reading else cast(0 as decimal(38, 12)) end as contribution,
        case when decides_window then reading else cast(0 as decimal(38, 12)) end as window_contribution
    from compared
    where
        decides_window
        or decides_period

),

weighed as (

    select
        invoice_line_id,
        case
            when aggregation = 'unique' then 'first of its value'
            when is_carried then 'carried reading'
            when aggregation = 'max' then 'highest reading'
            else 'last reading'
        end as part,
        window_start,
        event_id,
        revision,
        batch_id,
        source_file,
        source_row,
        series,
        reading,
        contribution,
        window_contribution,
        occurred_at,
        usage_date
    from deciding
    union all
    select
        invoice_line_id,
        case when aggregation = 'count' then 'counted' else 'added' end as part,
        window_start,
        event_id,
        revision,
        batch_id,
        source_file,
        source_row,
        series,
        reading,
        reading as contribution,
        reading as window_contribution,
        occurred_at,
        usage_date
    from in_windows
    where aggregation in ('count', 'sum')

),

final as (

    select
        invoice_line_id,
        event_id,
        part,
        series,
        batch_id,
        source_file,
        revision,
        source_row,
        reading,
        contribution,
        window_contribution,
        window_start,
        usage_date,
        occurred_at
    from weighed

)

select * from final
