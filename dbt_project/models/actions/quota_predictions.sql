{#- What a customer has left before the first of its limits, and what to do. Requests are what count and sum meters
    count in requests or calls, tokens what they count in tokens; the meter with the least left speaks for its kind. -#}

with customers as (

    select * from {{ ref('customers') }}

),

usage_projections as (

    select * from {{ ref('usage_projections') }}

),

meters as (

    select * from {{ ref('stg_catalog__meters') }}

),

periods as (

    select * from {{ ref('int_open_periods') }}
    where scenario = 'projected'

),

projected_days as (

    select * from {{ ref('int_projected_days') }}

),

plan_charges as (

    select * from {{ ref('int_plan_charges') }}

),

costs as (

    select * from {{ ref('int_projected_costs') }}

),

budget_projections as (

    select * from {{ ref('budget_projections') }}

),

pauses as (

    select * from {{ ref('budget_alerts') }}
    where kind = 'pause_reached'

),

{# Of the window that the clock's day is in: the cycle, the calendar month or the day. #}
current_windows as (

    select
        periods.subscription_id,
        plan_charges.meter_id,
        sum(projected_days.quantity) as quantity
    from periods
    inner join projected_days on periods.open_number = projected_days.open_number
    inner join plan_charges on projected_days.charge_number = plan_charges.charge_number
    where
        projected_days.window_start
        = {{ window_start("projected_days.reset", "periods.service_start", "periods.local_today") }}
    group by
        periods.subscription_id,
        plan_charges.meter_id

),

remaining as (

    select
        usage_projections.customer_id,
        usage_projections.meter_id,
        case
            when meters.field in ('input_tokens', 'output_tokens', 'total_tokens') or meters.unit in ('token', 'tokens')
                then 'tokens'
            when meters.unit in ('request', 'requests', 'call', 'calls') then 'requests'
        end as kind,
        greatest(usage_projections.allowance - coalesce(current_windows.quantity, 0), 0) as quantity
    from usage_projections
    inner join meters on usage_projections.meter_id = meters.meter_id
    left join current_windows
        on
            usage_projections.subscription_id = current_windows.subscription_id
            and usage_projections.meter_id = current_windows.meter_id
    where
        usage_projections.allowance is not null
        and usage_projections.service_end > usage_projections.projected_on
        and meters.aggregation in ('count', 'sum')

),

least_left as (

    select
        customer_id,
        min(quantity) filter (where kind = 'requests') as remaining_requests,
        min_by(meter_id, (quantity, meter_id)) filter (where kind = 'requests') as requests_meter_id,
        min(quantity) filter (where kind = 'tokens') as remaining_tokens,
        min_by(meter_id, (quantity, meter_id)) filter (where kind = 'tokens') as tokens_meter_id
    from remaining
    group by customer_id

),

limits as (

    select
        customer_id,
        min(exhausted_on) as next_exhausted_on,
        coalesce(bool_or(exhausted_on is not null and ("limit" = 'hard' or not is_priced)), false) as is_stopped,
        coalesce(bool_or(exhausted_on is not null and "limit" = 'soft' and is_priced), false) as is_overrun
    from usage_projections
    group by customer_id

),

budgets as (

    select
        budget_projections.customer_id,
        case
            when bool_or(budget_projections.is_exceeded) then true
            when bool_and(budget_projections.is_exceeded is not null) then false
        end as is_budget_exceeded,
        count(pauses.alert_id) > 0 as is_pause_reached
    from budget_projections
    left join pauses
        on
            budget_projections.customer_id = pauses.customer_id
            and budget_projections.period_start = pauses.period_start
            and {{ budget_subject(
                "budget_projections.measure", "budget_projections.currency", "budget_projections.period"
            ) }} = pauses.subject
    group by budget_projections.customer_id

),

final as (

    select
        customers.customer_id,
        least_left.requests_meter_id,
        least_left.tokens_meter_id,
        case
            when budgets.is_pause_reached then 'pause'
            when budgets.is_budget_exceeded then 'reduce_cost'
            when limits.is_stopped then 'raise_allowance'
            when limits.is_overrun then 'expect_overage'
            else 'none'
        end as recommended_action,
        cast(least_left.remaining_requests as decimal(38, 12)) as remaining_requests,
        cast(least_left.remaining_tokens as decimal(38, 12)) as remaining_tokens,
        costs.cost_usd,
        costs.projected_cost_usd as estimated_cost_usd,
        costs.unpriced_event_count,
        budgets.is_budget_exceeded,
        costs.month_start,
        limits.next_exhausted_on,
        costs.local_today as projected_on
    from customers
    inner join costs on customers.customer_id = costs.customer_id
    left join least_left on customers.customer_id = least_left.customer_id
    left join limits on customers.customer_id = limits.customer_id
    left join budgets on customers.customer_id = budgets.customer_id

)

select * from final
