with source as (

    select * from {{ catalog_table('charge_tiers') }}

),

renamed as (

    select
        plan_id,
        meter_id,
        tier_number,
        up_to,
        unit_amount,
        flat_amount,
        effective_from
    from source

)

select * from renamed
