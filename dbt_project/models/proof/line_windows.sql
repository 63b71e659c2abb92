{#- Usage against allowance per window of a usage line, from the contributions of its events. A window whose usage was 0
    is left out, unless it is all that the line has. -#}

with lines as (

    select * from {{ ref('traced_lines') }}
    where line_type = 'usage'

),

line_events as (

    select * from {{ ref('line_events') }}

),

windows as (

    select
        lines.invoice_line_id,
        lines.reset,
        lines.included_quantity,
        lines.service_start,
        lines.service_end,
        coalesce(line_events.window_start, lines.service_start) as window_start,
        count(line_events.event_id) as event_count,
        cast(coalesce(sum(line_events.window_contribution), 0) as decimal(38, 12)) as quantity
    from lines
    left join line_events on lines.invoice_line_id = line_events.invoice_line_id
    group by all

),

final as (

    select
        invoice_line_id,
        event_count,
        quantity,
        included_quantity,
        cast(greatest(quantity - included_quantity, 0) as decimal(38, 12)) as overage_quantity,
        window_start,
        case reset
            when 'cycle' then service_end
            when 'day' then cast(window_start + 1 as date)
            else least(service_end, {{ month_start("window_start + interval 1 month") }})
        end as window_end
    from windows

)

select * from final
