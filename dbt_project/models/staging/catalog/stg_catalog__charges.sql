with source as (

    select * from {{ catalog_table('charges') }}

),

renamed as (

    select
        plan_id,
        meter_id,
        reset,
        "limit",
        overage_model,
        position,
        included,
        capacity_unit_amount,
        unit_amount,
        package_size,
        package_amount,
        flat_amount,
        multiplier,
        prorate_included,
        invoice_zero,
        effective_from
    from source

)

select * from renamed
