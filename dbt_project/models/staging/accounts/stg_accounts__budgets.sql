with source as (

    select * from {{ accounts_table('budgets') }}

),

renamed as (

    select
        customer_id,
        period,
        measure,
        currency,
        thresholds,
        amount,
        pause_at
    from source
    where {{ is_customer_known('source.customer_id') }}

)

select * from renamed
