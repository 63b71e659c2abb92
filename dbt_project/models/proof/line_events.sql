{#- The events behind usage lines, read from the lake once more and weighed by the rule of the meter alone, independent
    of the models that rate: what each adds to the usage of the service period, and to that of the window that its
    charge is evaluated over. Superseded and void revisions are no contributions. -#}

with in_windows as (

    select * from {{ ref('readings_in_windows') }}

),

deciding as (

    select * from {{ ref('deciding_readings') }}

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
