{{ config(materialized='ephemeral') }}

{#- The last reading before each window of a level that carries forward. -#}

with lines as (

    select * from {{ ref('traced_lines') }}
    where line_type = 'usage'

),

readings as (

    select * from {{ ref('event_readings') }}

),

in_windows as (

    select * from {{ ref('readings_in_windows') }}

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

final as (

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

)

select * from final
