{{ config(materialized='ephemeral') }}

{#- Up to 28 complete local days before the clock's, of customers with an account. -#}

with recent_days as (

    select * from {{ ref('int_recent_days') }}

),

customers as (

    select * from {{ ref('stg_accounts__customers') }}

),

subscriptions as (

    select * from {{ ref('stg_accounts__subscriptions') }}

),

clocks as (

    select
        customers.customer_id,
        {{ local_date(as_of(), "customers.timezone") }} as local_today,
        min(subscriptions.started_on) as first_served
    from customers
    left join subscriptions on customers.customer_id = subscriptions.customer_id
    group by
        customers.customer_id,
        customers.timezone

),

final as (

    select
        recent_days.customer_id,
        recent_days.meter_id,
        clocks.local_today,
        clocks.first_served,
        recent_days.usage_date,
        recent_days.quantity,
        cast(clocks.local_today - recent_days.usage_date as integer) as days_ago
    from recent_days
    inner join clocks on recent_days.customer_id = clocks.customer_id
    where
        recent_days.usage_date >= clocks.local_today - {{ trailing_days() }}
        and recent_days.usage_date < clocks.local_today

)

select * from final
