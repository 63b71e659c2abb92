-- depends_on: {{ ref('int_rated_periods') }}
{{ config(materialized='incremental', incremental_strategy='append', pre_hook="{{ delete_rerated() }}") }}

{#- What could not be rated, of what is really subscribed to. It is on no invoice, and it stops none. -#}

with lines as (

    select * from {{ ref('int_lines') }}
    where is_current

),

billable_quantities as (

    select * from {{ ref('int_billable_quantities') }}
    where
        is_current
        and quantity_count is null

),

periods as (

    select * from {{ ref('int_periods_to_rate') }}

),

plan_charges as (

    select * from {{ ref('int_plan_charges') }}

),

usage as (

    select * from {{ ref('int_usage_in_periods') }}
    where reset = 'cycle'

),

faults as (

    select
        period_number,
        charge_number,
        'quantity beyond its type' as fault
    from billable_quantities
    union all
    select
        lines.period_number,
        lines.charge_number,
        case
            when plan_charges.overage_model = 'cost_plus' and lines.line_type = 'usage' and usage.cost_usd is null
                then 'provider cost is not known for all usage'
            else lines.line_type || ' amount beyond its type'
        end as fault
    from lines
    left join plan_charges on lines.charge_number = plan_charges.charge_number
    left join usage
        on
            lines.period_number = usage.period_number
            and plan_charges.meter_number = usage.meter_number
    where
        lines.amount_minor is null
        and lines.quantity_count is not null

),

final as (

    select
        periods.subscription_id,
        periods.customer_id,
        plan_charges.meter_id,
        faults.fault,
        periods.period_start,
        periods.period_end,
        periods.service_start,
        periods.service_end
    from faults
    inner join periods on faults.period_number = periods.period_number
    left join plan_charges on faults.charge_number = plan_charges.charge_number

)

select * from final
