{{ config(materialized='view') }}

{#- Rated lines that count as they are: what rating says now of a repriced period means nothing, whichever invoice it
    says it for (a plan version of another currency would be a second invoice of the cycle). -#}

with rated_lines as (

    select * from {{ ref('int_rated_lines') }}

),

repriced_periods as (

    select * from {{ ref('int_repriced_periods') }}

),

final as (

    select
        rated_lines.invoice_line_id,
        rated_lines.invoice_id,
        rated_lines.customer_id,
        rated_lines.subscription_id,
        rated_lines.plan_id,
        rated_lines.line_type,
        rated_lines.meter_id,
        rated_lines.description,
        rated_lines.currency,
        rated_lines.quantity,
        rated_lines.amount,
        rated_lines.amount_minor,
        rated_lines.plan_version,
        rated_lines.period_start,
        rated_lines.period_end,
        rated_lines.service_start,
        rated_lines.service_end
    from rated_lines
    left join repriced_periods
        on
            rated_lines.subscription_id = repriced_periods.subscription_id
            and rated_lines.period_start = repriced_periods.period_start
            and rated_lines.period_end = repriced_periods.period_end
    where repriced_periods.subscription_id is null

)

select * from final
