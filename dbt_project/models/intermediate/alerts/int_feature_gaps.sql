{{ config(materialized='ephemeral') }}

{#- The alerts of features that a plan lacks: once a customer, meter, feature and cycle, by its first day. -#}

with feature_gap_days as (

    select * from {{ ref('int_feature_gap_days') }}

),

meters as (

    select * from {{ ref('stg_catalog__meters') }}

),

first_days as (

    select
        customer_id,
        meter_id,
        feature,
        period_start,
        min_by(plan_name, usage_date) as plan_name,
        min_by(quantity, usage_date) as quantity,
        min(usage_date) as usage_date
    from feature_gap_days
    group by
        customer_id,
        meter_id,
        feature,
        period_start

),

final as (

    select
        first_days.customer_id,
        'feature_missing' as kind,
        first_days.meter_id,
        first_days.feature as subject,
        first_days.quantity as observed,
        'warning' as severity,
        first_days.period_start,
        first_days.usage_date as triggered_on,
        meters.name || ': ' || {{ plain_number("first_days.quantity") }} || ' on ' || first_days.usage_date
        || ', but plan ' || first_days.plan_name || ' does not have the feature ' || first_days.feature as message
    from first_days
    inner join meters on first_days.meter_id = meters.meter_id

)

select * from final
