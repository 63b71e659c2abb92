{{ config(materialized='ephemeral') }}

{#- Readings by the usage line that they are of, and the window that its charge is evaluated over. -#}

with lines as (

    select * from {{ ref('traced_lines') }}
    where line_type = 'usage'

),

readings as (

    select * from {{ ref('event_readings') }}

),

final as (

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

)

select * from final
