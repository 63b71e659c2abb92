{{ config(materialized='ephemeral') }}

{#- The alerts of allowances that will be passed: once per cycle, whatever day of it is projected to be the first. -#}

with threatened_allowances as (

    select * from {{ ref('int_threatened_allowances') }}

),

first_services as (

    select * from {{ ref('int_first_services') }}

),

meters as (

    select * from {{ ref('stg_catalog__meters') }}

),

in_periods as (

    select
        threatened_allowances.*,
        case
            when threatened_allowances.service_start > first_services.service_start
                then threatened_allowances.service_start
            else threatened_allowances.period_start
        end as alert_start
    from threatened_allowances
    left join first_services
        on
            threatened_allowances.customer_id = first_services.customer_id
            and threatened_allowances.meter_id = first_services.meter_id
            and threatened_allowances.period_start = first_services.period_start

),

final as (

    select
        in_periods.customer_id,
        'projected_overrun' as kind,
        in_periods.meter_id,
        cast(1 as decimal(38, 12)) as threshold,
        in_periods.projected_quantity as observed,
        in_periods.included_quantity as limit_value,
        'warning' as severity,
        in_periods.alert_start as period_start,
        in_periods.projected_on as triggered_on,
        meters.name || ': ' || {{ plain_number("round(in_periods.projected_quantity, 2)") }} || ' projected '
        || case in_periods.reset
            when 'day' then 'for ' || in_periods.window_start
            when 'calendar_month' then 'for the calendar month from ' || in_periods.window_start
            else 'for the cycle from ' || in_periods.alert_start
        end
        || ', ' || {{ plain_number("in_periods.quantity") }} || ' so far: the '
        || {{ plain_number("in_periods.included_quantity") }} || ' included will be passed by '
        || in_periods.exhausted_on
        || case when in_periods.is_hard then '; the limit is hard' else '' end as message
    from in_periods
    inner join meters on in_periods.meter_id = meters.meter_id

)

select * from final
