{#- Each line's quantity derived again: of usage from the contributions of events, of capacity from the override and the
    plan, of a price from the plan. `unexplained_quantity` is what is left, and must be 0. -#}

with lines as (

    select * from {{ ref('traced_lines') }}

),

line_events as (

    select * from {{ ref('line_events') }}

),

line_windows as (

    select * from {{ ref('line_windows') }}

),

usage as (

    select
        invoice_line_id,
        count(distinct event_id) as event_count,
        sum(contribution) as quantity
    from line_events
    group by invoice_line_id

),

overages as (

    select
        invoice_line_id,
        sum(overage_quantity) as quantity
    from line_windows
    group by invoice_line_id

),

derived as (

    select
        lines.*,
        coalesce(usage.event_count, 0) as event_count,
        case when lines.line_type = 'usage' then cast(coalesce(usage.quantity, 0) as decimal(38, 12)) end
            as usage_quantity,
        cast(
            case lines.line_type
                when 'price' then 1
                when 'capacity' then lines.override_included - lines.plan_included
                else overages.quantity
            end as decimal(38, 12)
        ) as derived_quantity,
        case
            when lines.is_shared and lines.share_days < lines.share_base
                then ' × ' || lines.share_days || ' of ' || lines.share_base || ' days'
            else ''
        end as share_text,
        {{ overage_text() }} as overage_text
    from lines
    left join usage on lines.invoice_line_id = usage.invoice_line_id
    left join overages on lines.invoice_line_id = overages.invoice_line_id

),

final as (

    select
        invoice_line_id,
        invoice_id,
        customer_id,
        subscription_id,
        plan_id,
        line_type,
        meter_id,
        description,
        currency,
        {{ line_rule() }} as rule,
        event_count,
        usage_quantity,
        included_quantity,
        derived_quantity,
        quantity,
        cast(quantity - derived_quantity as decimal(38, 12)) as unexplained_quantity,
        amount,
        amount_minor,
        plan_version,
        period_start,
        period_end,
        service_start,
        service_end
    from derived

)

select * from final
