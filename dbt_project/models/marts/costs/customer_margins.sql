{{ config(materialized='view') }}

{#- Revenue is what invoices say less what was credited, rounded as they are; an invoice belongs to the month of its
    cycle's last day, and its currency is worth in USD what it was on that day. Costs belong to the month of their
    events. -#}

with invoices as (

    select * from {{ ref('invoices') }}

),

currencies as (

    select * from {{ ref('int_currency_days') }}

),

activity as (

    select * from {{ ref('int_daily_activity') }}

),

invoiced as (

    select
        customer_id,
        currency,
        status,
        cast(period_end - 1 as date) as last_day,
        total_minor - credited_minor as amount_minor
    from invoices

),

converted as (

    select
        invoiced.customer_id,
        {{ month_start("invoiced.last_day") }} as calendar_month,
        invoiced.status = 'draft' as is_open,
        {{ in_usd("cast(invoiced.amount_minor * currencies.minor_unit as decimal(38, 12))", "currencies") }}
            as revenue_usd
    from invoiced
    left join currencies
        on
            invoiced.currency = currencies.currency
            and invoiced.last_day >= currencies.valid_from
            and invoiced.last_day < currencies.valid_to

),

revenues as (

    select
        customer_id,
        calendar_month,
        bool_or(is_open) as has_open_cycle,
        case when count(revenue_usd) = count(*) then sum(revenue_usd) end as revenue_usd
    from converted
    group by
        customer_id,
        calendar_month

),

{# Null where no event has a cost, but some should; 0 where none should. -#}
costs as (

    select
        customer_id,
        {{ month_start("usage_date") }} as calendar_month,
        coalesce(sum(event_count) filter (where unpriced_reason is not null), 0) as unpriced_event_count,
        case
            when count(unpriced_reason) = 0 then coalesce(sum(cost_usd), 0)
            else sum(cost_usd)
        end as cost_usd
    from activity
    group by
        customer_id,
        {{ month_start("usage_date") }}

),

months as (

    select
        coalesce(revenues.customer_id, costs.customer_id) as customer_id,
        coalesce(revenues.calendar_month, costs.calendar_month) as calendar_month,
        coalesce(revenues.has_open_cycle, false) as has_open_cycle,
        cast(
            case when revenues.customer_id is null then 0 else revenues.revenue_usd end as decimal(38, 12)
        ) as revenue_usd,
        cast(case when costs.customer_id is null then 0 else costs.cost_usd end as decimal(38, 12)) as cost_usd,
        cast(coalesce(costs.unpriced_event_count, 0) as bigint) as unpriced_event_count
    from revenues
    full outer join costs
        on revenues.customer_id = costs.customer_id and revenues.calendar_month = costs.calendar_month

),

margins as (

    select
        *,
        cast(revenue_usd - cost_usd as decimal(38, 12)) as margin_usd
    from months

),

final as (

    select
        customer_id,
        calendar_month,
        revenue_usd,
        cost_usd,
        margin_usd,
        case
            when revenue_usd > 0
                then cast(sign(margin_usd) as decimal(1, 0)) * {{ usage_ratio(
                    scaled("abs(margin_usd)"), scaled("revenue_usd")
                ) }}
        end as margin_ratio,
        unpriced_event_count,
        has_open_cycle
    from margins

)

select * from final
