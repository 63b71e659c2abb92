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

)

select * from renamed
