with source as (

    select * from {{ accounts_table('subscriptions') }}

),

renamed as (

    select
        subscription_id,
        customer_id,
        plan_id,
        billing_anchor_day,
        plan_version,
        started_on,
        ended_on
    from source
    where {{ is_customer_known('source.customer_id') }}

)

select * from renamed
