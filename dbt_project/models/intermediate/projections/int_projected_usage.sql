{#- Projected usage in the shape of int_usage_in_periods, for every scenario. Provider cost of usage to come: per unit
    what that of recent days cost. -#}

with periods as (

    select * from {{ ref('int_open_periods') }}

),

projected_days as (

    select * from {{ ref('int_projected_days') }}

),

projected_levels as (

    select * from {{ ref('int_projected_levels') }}

),

recent_days as (

    select * from {{ ref('int_recent_days') }}

),

plan_charges as (

    select * from {{ ref('int_plan_charges') }}

),

days as (

    select
        periods.period_number,
        projected_days.meter_number,
        projected_days.charge_number,
        periods.customer_id,
        projected_days.reset,
        periods.service_start,
        projected_days.window_start,
        projected_days.quantity,
        projected_days.cost_usd,
        case periods.scenario
            when 'low' then projected_days.low_quantity
            when 'high' then projected_days.high_quantity
            else projected_days.projected_quantity
        end as projected_quantity
    from projected_days
    inner join periods on projected_days.open_number = periods.open_number

),

cycles as (

    select
        period_number,
        meter_number,
        charge_number,
        customer_id,
        service_start as window_start,
        case when count(*) = count(projected_quantity) then cast(sum(projected_quantity) as decimal(38, 12)) end
            as quantity,
        case when count(*) = count(quantity) then cast(sum(quantity) as decimal(38, 12)) end as known_quantity,
        case when count(*) = count(cost_usd) then cast(sum(cost_usd) as decimal(38, 12)) end as known_cost_usd
    from days
    group by
        period_number,
        meter_number,
        charge_number,
        customer_id,
        service_start

),

unit_costs as (

    select
        customer_id,
        meter_id,
        cast(sum(quantity) as decimal(38, 12)) as quantity,
        case when count(*) = count(cost_usd) then cast(sum(cost_usd) as decimal(38, 12)) end as cost_usd
    from recent_days
    group by
        customer_id,
        meter_id
    having sum(quantity) > 0

),

counted as (

    select
        cycles.period_number,
        cycles.meter_number,
        cycles.window_start,
        cycles.quantity,
        cycles.known_cost_usd,
        plan_charges.overage_model = 'cost_plus' and cycles.quantity > cycles.known_quantity as is_projected,
        {{ scaled("(cycles.quantity - cycles.known_quantity)") }} as ahead_count,
        {{ scaled("unit_costs.quantity") }} as unit_count,
        {{ attempt(scaled("unit_costs.cost_usd") ~ " * cast(1000000000000 as hugeint)", "unit_costs.cost_usd") }}
            as cost_amount
    from cycles
    inner join plan_charges on cycles.charge_number = plan_charges.charge_number
    left join unit_costs
        on
            cycles.customer_id = unit_costs.customer_id
            and plan_charges.meter_id = unit_costs.meter_id

),

costed as (

    select
        period_number,
        meter_number,
        window_start,
        quantity,
        case
            when is_projected
                then {{ attempt(
                    "known_cost_usd + "
                    ~ amount_decimal(amount_ratio("cost_amount", "(cost_amount % unit_count)", "ahead_count", "unit_count")),
                    "cost_amount"
                ) }}
            else known_cost_usd
        end as cost_usd
    from counted

),

usage as (

    select
        period_number,
        meter_number,
        'cycle' as reset,
        quantity,
        cast(cost_usd as decimal(38, 12)) as cost_usd,
        window_start
    from costed
    union all
    select
        period_number,
        meter_number,
        reset,
        case when count(*) = count(projected_quantity) then cast(sum(projected_quantity) as decimal(38, 12)) end
            as quantity,
        cast(null as decimal(38, 12)) as cost_usd,
        window_start
    from days
    where reset != 'cycle'
    group by
        period_number,
        meter_number,
        reset,
        window_start
    union all
    select
        period_number,
        meter_number,
        reset,
        quantity,
        cast(null as decimal(38, 12)) as cost_usd,
        window_start
    from projected_levels

),

final as (

    select
        period_number,
        meter_number,
        reset,
        quantity,
        {{ scaled("quantity") }} as quantity_count,
        cost_usd,
        window_start
    from usage

)

select * from final
