{{ config(materialized='view') }}

{#- Every alert that usage and its cost give rise to, in one shape and in words; those about invoices are added where
    invoices are known. An alert reaches, or for a spike and a projection passes, threshold * limit_value. `subject` tells apart what
    the other columns of the key do not: the budget, the model, the feature. -#}

with usage_alerts as (

    select * from {{ ref('int_usage_alerts') }}

),

cost_alerts as (

    select * from {{ ref('int_cost_alerts') }}

),

spike_alerts as (

    select * from {{ ref('int_spike_alerts') }}

),

forbidden_models as (

    select * from {{ ref('int_forbidden_models') }}

),

feature_gaps as (

    select * from {{ ref('int_feature_gaps') }}

),

projected_overruns as (

    select * from {{ ref('int_projected_overruns') }}

),

rated_periods as (

    select * from {{ ref('int_rated_periods') }}

),

plan_charges as (

    select * from {{ ref('int_plan_charges') }}

),

meters as (

    select * from {{ ref('stg_catalog__meters') }}

),

settings as (

    select * from {{ ref('stg_catalog__alert_settings') }}

),

rules as (

    select
        array_to_string({{ json_texts(json_text("value", "allowed")) }}, ', ') as allowed,
        {{ json_text("value", "fallback") }} as fallback
    from settings
    where key = 'models'

),

{# A plan change in mid-cycle gives the same cycle a second allowance; what is said of it begins with its own days. -#}
first_services as (

    select
        rated_periods.customer_id,
        plan_charges.meter_id,
        rated_periods.period_start,
        min(rated_periods.service_start) as service_start
    from rated_periods
    inner join plan_charges on rated_periods.plan_number = plan_charges.plan_number
    group by
        rated_periods.customer_id,
        plan_charges.meter_id,
        rated_periods.period_start

),

usage_in_periods as (

    select
        usage_alerts.*,
        case
            when usage_alerts.reset != 'cycle' then usage_alerts.window_start
            when usage_alerts.service_start > first_services.service_start then usage_alerts.service_start
            else usage_alerts.period_start
        end as alert_start
    from usage_alerts
    left join first_services
        on
            usage_alerts.customer_id = first_services.customer_id
            and usage_alerts.meter_id = first_services.meter_id
            and usage_alerts.period_start = first_services.period_start

),

{# Once per cycle, whatever day of it is projected to be the first that passes. #}
overruns_in_periods as (

    select
        projected_overruns.*,
        case
            when projected_overruns.service_start > first_services.service_start then projected_overruns.service_start
            else projected_overruns.period_start
        end as alert_start
    from projected_overruns
    left join first_services
        on
            projected_overruns.customer_id = first_services.customer_id
            and projected_overruns.meter_id = first_services.meter_id
            and projected_overruns.period_start = first_services.period_start

),

ordered_usage as (

    select
        *,
        row_number() over (
            partition by customer_id, meter_id, kind, threshold, alert_start
            order by triggered_on, subscription_id
        ) as alert_number
    from usage_in_periods

),

first_models as (

    select
        customer_id,
        model,
        min_by(event_count, usage_date) as event_count,
        {{ month_start("usage_date") }} as period_start,
        min(usage_date) as usage_date
    from forbidden_models
    group by
        customer_id,
        model,
        {{ month_start("usage_date") }}

),

first_gaps as (

    select
        customer_id,
        meter_id,
        feature,
        period_start,
        min_by(plan_name, usage_date) as plan_name,
        min_by(quantity, usage_date) as quantity,
        min(usage_date) as usage_date
    from feature_gaps
    group by
        customer_id,
        meter_id,
        feature,
        period_start

),

budgets as (

    select
        customer_id,
        kind,
        period,
        currency,
        threshold,
        observed,
        budget_amount as limit_value,
        window_start as period_start,
        triggered_on
    from cost_alerts

),

final as (

    select
        ordered_usage.customer_id,
        ordered_usage.kind,
        ordered_usage.meter_id,
        cast(null as varchar) as subject,
        ordered_usage.threshold,
        ordered_usage.observed,
        ordered_usage.included_quantity as limit_value,
        cast(null as varchar) as currency,
        case ordered_usage.kind
            when 'limit_reached' then 'critical' else {{ severity_of("ordered_usage.threshold") }}
        end as severity,
        ordered_usage.alert_start as period_start,
        ordered_usage.triggered_on,
        meters.name || ': '
        || {{ plain_number("ordered_usage.observed") }}
        || ' of ' || {{ plain_number("ordered_usage.included_quantity") }} || ' included used '
        || case ordered_usage.reset
            when 'day' then 'on ' when 'calendar_month' then 'in the calendar month from ' else 'in the cycle from '
        end
        || ordered_usage.alert_start
        || case ordered_usage.kind
            when 'limit_reached' then ': the hard limit is reached'
            else ', ' || {{ percent("ordered_usage.threshold") }} || ' or more'
        end as message
    from ordered_usage
    inner join meters on ordered_usage.meter_id = meters.meter_id
    where ordered_usage.alert_number = 1
    union all
    select
        customer_id,
        kind,
        cast(null as varchar) as meter_id,
        {{ budget_subject("'provider_cost'", "currency", "period") }} as subject,
        threshold,
        observed,
        limit_value,
        currency,
        case kind when 'pause_reached' then 'critical' else {{ severity_of("threshold") }} end as severity,
        period_start,
        triggered_on,
        {{ budget_message(
            "'Provider cost ' || case period when 'day' then 'of ' else 'of the month from ' end"
            ~ " || period_start || ' is'"
        ) }} as message
    from budgets
    union all
    select
        spike_alerts.customer_id,
        'spike' as kind,
        spike_alerts.meter_id,
        cast(null as varchar) as subject,
        spike_alerts.ratio as threshold,
        spike_alerts.quantity as observed,
        spike_alerts.mean_quantity as limit_value,
        cast(null as varchar) as currency,
        'warning' as severity,
        spike_alerts.usage_date as period_start,
        spike_alerts.usage_date as triggered_on,
        meters.name || ': ' || {{ plain_number("spike_alerts.quantity") }} || ' on ' || spike_alerts.usage_date
        || ', more than ' || {{ plain_number("spike_alerts.ratio") }} || ' times the mean of '
        || {{ plain_number("round(spike_alerts.mean_quantity, 2)") }} || ' of the '
        || {{ counted("spike_alerts.earlier_days", "day") }} || ' before' as message
    from spike_alerts
    inner join meters on spike_alerts.meter_id = meters.meter_id
    union all
    select
        first_models.customer_id,
        'model_not_allowed' as kind,
        cast(null as varchar) as meter_id,
        first_models.model as subject,
        cast(null as decimal(38, 12)) as threshold,
        cast(first_models.event_count as decimal(38, 12)) as observed,
        cast(null as decimal(38, 12)) as limit_value,
        cast(null as varchar) as currency,
        'warning' as severity,
        first_models.period_start,
        first_models.usage_date as triggered_on,
        'Model ' || first_models.model || ' was used for '
        || {{ counted("first_models.event_count", "event") }}
        || ' on ' || first_models.usage_date || ' and is not allowed; allowed: ' || rules.allowed
        || coalesce('; instead use ' || rules.fallback, '') as message
    from first_models
    cross join rules
    union all
    select
        first_gaps.customer_id,
        'feature_missing' as kind,
        first_gaps.meter_id,
        first_gaps.feature as subject,
        cast(null as decimal(38, 12)) as threshold,
        first_gaps.quantity as observed,
        cast(null as decimal(38, 12)) as limit_value,
        cast(null as varchar) as currency,
        'warning' as severity,
        first_gaps.period_start,
        first_gaps.usage_date as triggered_on,
        meters.name || ': ' || {{ plain_number("first_gaps.quantity") }} || ' on ' || first_gaps.usage_date
        || ', but plan ' || first_gaps.plan_name || ' does not have the feature ' || first_gaps.feature as message
    from first_gaps
    inner join meters on first_gaps.meter_id = meters.meter_id
    union all
    select
        overruns_in_periods.customer_id,
        'projected_overrun' as kind,
        overruns_in_periods.meter_id,
        cast(null as varchar) as subject,
        cast(1 as decimal(38, 12)) as threshold,
        overruns_in_periods.projected_quantity as observed,
        overruns_in_periods.included_quantity as limit_value,
        cast(null as varchar) as currency,
        'warning' as severity,
        overruns_in_periods.alert_start as period_start,
        overruns_in_periods.projected_on as triggered_on,
        meters.name || ': ' || {{ plain_number("round(overruns_in_periods.projected_quantity, 2)") }} || ' projected '
        || case overruns_in_periods.reset
            when 'day' then 'for ' || overruns_in_periods.window_start
            when 'calendar_month' then 'for the calendar month from ' || overruns_in_periods.window_start
            else 'for the cycle from ' || overruns_in_periods.alert_start
        end
        || ', ' || {{ plain_number("overruns_in_periods.quantity") }} || ' so far: the '
        || {{ plain_number("overruns_in_periods.included_quantity") }} || ' included will be passed by '
        || overruns_in_periods.exhausted_on
        || case when overruns_in_periods.is_hard then '; the limit is hard' else '' end as message
    from overruns_in_periods
    inner join meters on overruns_in_periods.meter_id = meters.meter_id

)

select * from final
