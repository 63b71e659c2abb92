{{ config(materialized='incremental', incremental_strategy='append', pre_hook="{{ delete_uncovered() }}") }}

{#- Activity that feeds no charge, with the first reason that holds (D-usage-no-quantity-first). It depends on every
    part of catalog and accounts, so a new version of either looks at all days again; otherwise the touched ones are
    enough. -#}

with activity as (

    select * from {{ ref('int_daily_activity') }}
    {{ where_uncovered() }}

),

customers as (

    select * from {{ ref('stg_accounts__customers') }}

),

meters as (

    select * from {{ ref('stg_catalog__meters') }}

),

charges as (

    select * from {{ ref('stg_catalog__charges') }}

),

service_periods as (

    select * from {{ ref('int_service_periods') }}

),

metered as (

    select
        customer_id,
        event_type,
        usage_date,
        meter_ids,
        measured_meter_ids,
        sum(event_count) as event_count,
        sum(quantity) as quantity
    from activity
    group by
        customer_id,
        event_type,
        usage_date,
        meter_ids,
        measured_meter_ids

),

billable_meters as (

    select coalesce(list(meter_id), []) as meter_ids
    from meters
    where billable

),

charged_meters as (

    select
        plan_id,
        effective_from,
        list(meter_id) as meter_ids
    from charges
    group by
        plan_id,
        effective_from

),

served as (

    {#- A customer may be served by several subscriptions on one day; their plans share no meter. #}
    select
        metered.customer_id,
        metered.event_type,
        metered.usage_date,
        metered.meter_ids,
        metered.measured_meter_ids,
        count(service_periods.subscription_id) > 0 as is_served,
        coalesce(bool_or(list_has_any(charged_meters.meter_ids, metered.measured_meter_ids)), false) as is_charged
    from metered
    left join service_periods
        on
            metered.customer_id = service_periods.customer_id
            and metered.usage_date >= service_periods.service_start
            and metered.usage_date < service_periods.service_end
    left join charged_meters
        on
            service_periods.plan_id = charged_meters.plan_id
            and service_periods.plan_version = charged_meters.effective_from
    group by
        metered.customer_id,
        metered.event_type,
        metered.usage_date,
        metered.meter_ids,
        metered.measured_meter_ids

),

explained as (

    select
        metered.customer_id,
        metered.event_type,
        metered.usage_date,
        metered.event_count,
        metered.quantity,
        case
            when customers.customer_id is null then 'unknown_customer'
            when metered.usage_date >= customers.inactive_from then 'inactive_customer'
            when len(metered.meter_ids) = 0 then 'no_meter'
            when served.is_charged then null
            when not list_has_any(billable_meters.meter_ids, metered.meter_ids) then 'metered_only'
            when not list_has_any(billable_meters.meter_ids, metered.measured_meter_ids) then 'no_quantity'
            when not served.is_served then 'no_subscription'
            else 'not_in_plan'
        end as reason
    from metered
    cross join billable_meters
    left join customers on metered.customer_id = customers.customer_id
    left join served
        on
            metered.customer_id = served.customer_id
            and metered.event_type = served.event_type
            and metered.usage_date = served.usage_date
            and metered.meter_ids = served.meter_ids
            and metered.measured_meter_ids = served.measured_meter_ids

),

final as (

    select
        customer_id,
        event_type,
        reason,
        cast(sum(event_count) as bigint) as event_count,
        cast(sum(quantity) as decimal(38, 12)) as quantity,
        usage_date
    from explained
    where reason is not null
    group by
        customer_id,
        event_type,
        reason,
        usage_date

)

select * from final
