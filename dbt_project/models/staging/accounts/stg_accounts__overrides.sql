with source as (

    select * from {{ accounts_table('overrides') }}

),

renamed as (

    select
        subscription_id,
        meter_id,
        included,
        unit_amount,
        is_unlimited,
        valid_from,
        valid_to
    from source

)

select * from renamed
