{{ config(materialized='ephemeral') }}

{#- The alerts of allowances that were reached; of several subscriptions that give the same one, the first counts. -#}

with allowances_reached as (

    select * from {{ ref('int_allowances_reached') }}

),

first_services as (

    select * from {{ ref('int_first_services') }}

),

meters as (

    select * from {{ ref('stg_catalog__meters') }}

),

in_periods as (

    select
        allowances_reached.*,
        case
            when allowances_reached.reset != 'cycle' then allowances_reached.window_start
            when allowances_reached.service_start > first_services.service_start
                then allowances_reached.service_start
            else allowances_reached.period_start
        end as alert_start
    from allowances_reached
    left join first_services
        on
            allowances_reached.customer_id = first_services.customer_id
            and allowances_reached.meter_id = first_services.meter_id
            and allowances_reached.period_start = first_services.period_start

),

ordered as (

    select
        *,
        row_number() over (
            partition by customer_id, meter_id, kind, threshold, alert_start
            order by triggered_on, subscription_id
        ) as alert_number
    from in_periods

),

final as (

    select
        ordered.customer_id,
        ordered.kind,
        ordered.meter_id,
        ordered.threshold,
        ordered.observed,
        ordered.included_quantity as limit_value,
        case ordered.kind
            when 'limit_reached' then 'critical' else {{ severity_of("ordered.threshold") }}
        end as severity,
        ordered.alert_start as period_start,
        ordered.triggered_on,
        meters.name || ': '
        || {{ plain_number("ordered.observed") }}
        || ' of ' || {{ plain_number("ordered.included_quantity") }} || ' included used '
        || case ordered.reset
            when 'day' then 'on ' when 'calendar_month' then 'in the calendar month from ' else 'in the cycle from '
        end
        || ordered.alert_start
        || case ordered.kind
            when 'limit_reached' then ': the hard limit is reached'
            else ', ' || {{ percent("ordered.threshold") }} || ' or more'
        end as message
    from ordered
    inner join meters on ordered.meter_id = meters.meter_id
    where ordered.alert_number = 1

)

select * from final
