{{ config(materialized='ephemeral') }}

{#- The cycles that today's accounts give and those that were issued. -#}

with cycles as (

    select * from {{ ref('int_cycles') }}

),

subscriptions as (

    select * from {{ ref('stg_accounts__subscriptions') }}

),

issued_periods as (

    select * from {{ ref('stg_ledger__issued_periods') }}

),

{# Of a subscription that is another customer's now, nothing was issued. One whose currency was put right has a cycle
    on two invoices. #}
issued_cycles as (

    select
        issued_periods.subscription_id,
        min(issued_periods.closing_number) as closing_number,
        coalesce(
            max(issued_periods.cycle_days), cast(issued_periods.period_end - issued_periods.period_start as integer)
        ) as cycle_days,
        issued_periods.period_start,
        issued_periods.period_end
    from issued_periods
    inner join subscriptions
        on
            issued_periods.subscription_id = subscriptions.subscription_id
            and issued_periods.customer_id = subscriptions.customer_id
    group by
        issued_periods.subscription_id,
        issued_periods.period_start,
        issued_periods.period_end

),

final as (

    select
        coalesce(issued_cycles.subscription_id, cycles.subscription_id) as subscription_id,
        issued_cycles.closing_number,
        coalesce(issued_cycles.cycle_days, cast(cycles.period_end - cycles.period_start as integer)) as cycle_days,
        coalesce(issued_cycles.period_start, cycles.period_start) as period_start,
        coalesce(issued_cycles.period_end, cycles.period_end) as period_end,
        cycles.subscription_id is null as is_moved
    from cycles
    full outer join issued_cycles
        on
            cycles.subscription_id = issued_cycles.subscription_id
            and cycles.period_start = issued_cycles.period_start
            and cycles.period_end = issued_cycles.period_end

)

select * from final
