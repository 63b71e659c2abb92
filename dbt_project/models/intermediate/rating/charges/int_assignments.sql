{#- Which plan version rates a service period: the one that really does (is_current), and every other plan of its
    currency in the version then in force, to answer what the same usage would cost there. All that follows rates
    assignments and knows no difference; a plan's share of the cycle is share_days / share_base. -#}

with periods as (

    select * from {{ ref('int_periods_to_rate') }}

),

plan_versions as (

    select * from {{ ref('int_plan_versions') }}

),

assigned as (

    select
        period_number,
        plan_number,
        true as is_current
    from periods
    union all
    select
        periods.period_number,
        plan_versions.plan_number,
        false as is_current
    from periods
    inner join plan_versions as current_plan on periods.plan_number = current_plan.plan_number
    inner join plan_versions
        on
            periods.currency = plan_versions.currency
            and current_plan.plan_id != plan_versions.plan_id
            and periods.service_start >= plan_versions.effective_from
            and (periods.service_start < plan_versions.effective_to or plan_versions.effective_to is null)

),

final as (

    select
        assigned.period_number,
        assigned.plan_number,
        case when plan_versions.proration = 'none' then 1 else periods.served_days end as share_days,
        case when plan_versions.proration = 'none' then 1 else periods.cycle_days end as share_base,
        assigned.is_current
    from assigned
    inner join periods on assigned.period_number = periods.period_number
    inner join plan_versions on assigned.plan_number = plan_versions.plan_number

)

select * from final
