{{ config(materialized='incremental', incremental_strategy='append', pre_hook="{{ delete_alert_days() }}") }}

{#- Days on which a model was used that the alert settings do not allow; without a list all are allowed. -#}

with activity as (

    select * from {{ ref('int_daily_activity') }}
    where
        model is not null
        and {{ is_alert_day("customer_id", "usage_date") }}

),

settings as (

    select * from {{ ref('stg_catalog__alert_settings') }}

),

rules as (

    select {{ json_texts(json_text("value", "allowed")) }} as allowed
    from settings
    where key = 'models'

),

final as (

    select
        activity.customer_id,
        activity.model,
        cast(sum(activity.event_count) as bigint) as event_count,
        activity.usage_date
    from activity
    cross join rules
    where not list_contains(rules.allowed, activity.model)
    group by
        activity.customer_id,
        activity.model,
        activity.usage_date

)

select * from final
