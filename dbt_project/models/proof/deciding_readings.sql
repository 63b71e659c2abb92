{{ config(materialized='ephemeral') }}

{#- The readings that decide for a level or unique meter what a window, or the service period, holds. -#}

with in_windows as (

    select * from {{ ref('readings_in_windows') }}

),

carried_readings as (

    select * from {{ ref('carried_readings') }}

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
        is_carried,
        occurred_at,
        usage_date
    from carried_readings

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

final as (

    select
        *,
        case when decides_period then reading else cast(0 as decimal(38, 12)) end as contribution,
        case when decides_window then reading else cast(0 as decimal(38, 12)) end as window_contribution
    from compared
    where
        decides_window
        or decides_period

)

select * from final
