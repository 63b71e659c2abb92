{{ config(materialized='ephemeral') }}

{#- CAPACITY: allowance that is cheaper bought than used over. The amount to buy moves with usage; the advice stays the
    same. -#}

with offers as (

    select * from {{ ref('int_capacity_offers') }}
    where saving_minor > 0

),

cycles as (

    select * from {{ ref('int_recent_cycles') }}
    where cycle_number = 1

),

meters as (

    select * from {{ ref('stg_catalog__meters') }}

),

currencies as (

    select * from {{ ref('stg_catalog__currencies') }}

),

totals as (

    select
        offers.*,
        cycles.customer_id,
        cycles.currency,
        meters.name as meter_name,
        currencies.minor_units,
        offers.capacity_minor - offers.capacity_now_minor as bought_minor,
        cycles.period_end,
        cycles.next_period_start
    from offers
    inner join cycles on offers.subscription_id = cycles.subscription_id
    inner join meters on offers.meter_id = meters.meter_id
    inner join currencies on cycles.currency = currencies.currency

),

in_text as (

    select
        *,
        {{ plain_number("added_quantity") }} as added_text,
        {{ plain_number("overage_quantity") }} as overage_text,
        {{ plain_number("capacity_unit_amount") }} || ' ' || currency as unit_text,
        {{ money_text("overage_now_minor", "minor_units") }} || ' ' || currency as overage_now_text,
        {{ money_text("(bought_minor + overage_minor)", "minor_units") }} || ' ' || currency as total_text,
        {{ money_text("bought_minor", "minor_units") }} || ' ' || currency as bought_text,
        {{ money_text("overage_minor", "minor_units") }} || ' ' || currency as overage_left_text,
        {{ money_text("saving_minor", "minor_units") }} || ' ' || currency as saving_text,
        {{ last_words("cycle_count", "cycle") }} || ' (' || first_period_start || ' to ' || cast(period_end - 1 as date)
        || ')' as cycles_text
    from totals

),

final as (

    select
        {{ recommendation_id(["'CAPACITY'", "customer_id", "subscription_id", "meter_id"]) }} as recommendation_id,
        customer_id,
        subscription_id,
        meter_id,
        'CAPACITY' as type,
        'cheaper_capacity' as rule,
        'MEDIUM' as priority,
        meter_name || ': buy an allowance of ' || added_text || ' more per cycle' as title,
        meter_name || ' passed the allowance in ' || overage_cycle_count || ' of ' || cycles_text || ', by '
        || overage_text || ' in all, which cost ' || overage_now_text || '. With ' || added_text
        || ' more bought for each cycle at ' || unit_text || ' each, the same usage would have cost ' || total_text
        || ': ' || bought_text || ' for the allowance and ' || overage_left_text || ' for what is still above it.'
            as description,
        'Saves ' || saving_text || ' over ' || {{ counted("cycle_count", "cycle") }} || '.' as impact,
        'Raise the included ' || meter_id || ' of subscription ' || subscription_id || ' by an override from '
        || {{ plain_number("included_quantity") }} || ' to ' || {{ plain_number("raised_quantity") }} || ', valid from '
        || next_period_start || '.' as implementation,
        {{ evidence("evidence", {
            "added_quantity": decimal_text("added_quantity"),
            "capacity_unit_amount": decimal_text("capacity_unit_amount"),
            "overage_now": decimal_text(in_major("overage_now_minor", "minor_units")),
            "capacity_amount": decimal_text(in_major("bought_minor", "minor_units")),
            "overage_left": decimal_text(in_major("overage_minor", "minor_units")), "cycles": "cycle_count",
        }) }} as evidence,
        {{ in_major("saving_minor", "minor_units") }} as potential_savings,
        currency
    from in_text

)

select * from final
