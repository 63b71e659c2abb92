{#- The first local day on which projected usage is above an allowance: days gone by as they were, later ones as they
    are projected. Where an allowance resets within the cycle, the first day or month in which that happens counts. -#}

with periods as (

    select * from {{ ref('int_open_periods') }}
    where scenario = 'projected'

),

allowances as (

    select * from {{ ref('int_projected_allowances') }}
    where included_quantity is not null

),

projected_days as (

    select * from {{ ref('int_projected_days') }}

),

projected_usage as (

    select * from {{ ref('int_projected_usage') }}

),

passed_levels as (

    select * from {{ ref('int_passed_levels') }}

),

plan_charges as (

    select * from {{ ref('int_plan_charges') }}

),

charges as (

    select
        periods.open_number,
        periods.period_number,
        periods.subscription_id,
        periods.period_start,
        periods.local_today,
        allowances.charge_number,
        allowances.meter_number,
        plan_charges.meter_id,
        plan_charges.aggregation,
        plan_charges.is_level,
        allowances.reset,
        allowances.included_quantity
    from periods
    inner join allowances on periods.period_number = allowances.period_number
    inner join plan_charges on allowances.charge_number = plan_charges.charge_number

),

running as (

    select
        projected_days.open_number,
        projected_days.charge_number,
        projected_days.usage_date,
        sum(projected_days.projected_quantity) over (
            partition by projected_days.open_number, projected_days.charge_number, projected_days.window_start
            order by projected_days.usage_date
            rows between unbounded preceding and current row
        ) as quantity
    from projected_days

),

exhausted as (

    select
        charges.period_number,
        charges.charge_number,
        min(running.usage_date) as exhausted_on
    from charges
    inner join running
        on
            charges.open_number = running.open_number
            and charges.charge_number = running.charge_number
            and charges.included_quantity < running.quantity
    group by
        charges.period_number,
        charges.charge_number
    union all
    {# A level that is above only at the end of the projection gets there on a day that nobody can name: the last. #}
    select
        charges.period_number,
        charges.charge_number,
        min(
            case
                when not charges.is_level then projected_usage.window_start
                else coalesce(passed_levels.passed_on, periods.service_end - 1)
            end
        ) as exhausted_on
    from charges
    inner join periods on charges.period_number = periods.period_number
    inner join projected_usage
        on
            charges.period_number = projected_usage.period_number
            and charges.meter_number = projected_usage.meter_number
            and charges.reset = projected_usage.reset
            and charges.included_quantity < projected_usage.quantity
    left join passed_levels
        on
            charges.subscription_id = passed_levels.subscription_id
            and charges.period_start = passed_levels.period_start
            and charges.meter_id = passed_levels.meter_id
    where charges.aggregation in ('max', 'latest', 'unique')
    group by
        charges.period_number,
        charges.charge_number

),

final as (

    select
        period_number,
        charge_number,
        exhausted_on
    from exhausted

)

select * from final
