{{ config(materialized='ephemeral') }}

{#- The alerts of models that are not allowed: once a customer, model and calendar month, by its first day. -#}

with forbidden_model_days as (

    select * from {{ ref('int_forbidden_model_days') }}

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

first_days as (

    select
        customer_id,
        model,
        min_by(event_count, usage_date) as event_count,
        {{ month_start("usage_date") }} as period_start,
        min(usage_date) as usage_date
    from forbidden_model_days
    group by
        customer_id,
        model,
        {{ month_start("usage_date") }}

),

final as (

    select
        first_days.customer_id,
        'model_not_allowed' as kind,
        first_days.model as subject,
        cast(first_days.event_count as decimal(38, 12)) as observed,
        'warning' as severity,
        first_days.period_start,
        first_days.usage_date as triggered_on,
        'Model ' || first_days.model || ' was used for '
        || {{ counted("first_days.event_count", "event") }}
        || ' on ' || first_days.usage_date || ' and is not allowed; allowed: ' || rules.allowed
        || coalesce('; instead use ' || rules.fallback, '') as message
    from first_days
    cross join rules

)

select * from final
