with subscriptions as (

    select * from {{ ref('stg_accounts__subscriptions') }}

),

final as (

    select
        subscription_id,
        customer_id,
        plan_id,
        billing_anchor_day,
        plan_version,
        started_on,
        ended_on
    from subscriptions

)

select * from final
