with customers as (

    select * from {{ ref('stg_accounts__customers') }}

),

final as (

    select
        customer_id,
        stripe_customer_id,
        name,
        email,
        timezone,
        inactive_from
    from customers

)

select * from final
