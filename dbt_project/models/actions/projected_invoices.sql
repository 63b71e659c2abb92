{#- Of the service periods that have begun by the clock's day; one that begins later in the cycle is not in yet. -#}

with periods as (

    select * from {{ ref('int_open_periods') }}

),

lines as (

    select
        period_number,
        amount_minor,
        amount_minor is null as is_unknown
    from {{ ref('int_projected_lines') }}

),

invoices as (

    select * from {{ ref('invoices') }}

),

totals as (

    select
        periods.customer_id,
        periods.currency,
        periods.period_start,
        periods.period_end,
        periods.local_today,
        sum(lines.amount_minor) filter (where periods.scenario = 'projected') as projected_minor,
        bool_or(lines.is_unknown) filter (where periods.scenario = 'projected') as is_projected_unknown,
        sum(lines.amount_minor) filter (where periods.scenario = 'low') as low_minor,
        bool_or(lines.is_unknown) filter (where periods.scenario = 'low') as is_low_unknown,
        sum(lines.amount_minor) filter (where periods.scenario = 'high') as high_minor,
        bool_or(lines.is_unknown) filter (where periods.scenario = 'high') as is_high_unknown
    from periods
    left join lines on periods.period_number = lines.period_number
    group by
        periods.customer_id,
        periods.currency,
        periods.period_start,
        periods.period_end,
        periods.local_today

),

final as (

    select
        totals.customer_id,
        totals.currency,
        coalesce(invoices.total_minor, 0) as total_minor,
        case when totals.is_projected_unknown is not true then cast(coalesce(totals.projected_minor, 0) as bigint) end
            as projected_total_minor,
        case when totals.is_low_unknown is not true then cast(coalesce(totals.low_minor, 0) as bigint) end
            as low_total_minor,
        case when totals.is_high_unknown is not true then cast(coalesce(totals.high_minor, 0) as bigint) end
            as high_total_minor,
        totals.period_start,
        totals.period_end,
        totals.local_today as projected_on
    from totals
    left join invoices
        on
            totals.customer_id = invoices.customer_id
            and totals.currency = invoices.currency
            and totals.period_start = invoices.period_start
            and totals.period_end = invoices.period_end

)

select * from final
