with source as (

    select * from {{ accounts_table('customers') }}

),

renamed as (

    select
        customer_id,
        stripe_customer_id,
        name,
        email,
        timezone,
        inactive_from
    from source
    where {{ is_customer_known('source.customer_id') }}

)

select * from renamed
