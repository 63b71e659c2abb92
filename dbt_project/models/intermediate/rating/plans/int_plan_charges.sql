{#- What a plan version charges for a meter, with the meter's own definition. A `_count` is the number beside it
    counted in 10^-12, for exact division. -#}

with charges as (

    select * from {{ ref('stg_catalog__charges') }}

),

plan_versions as (

    select * from {{ ref('int_plan_versions') }}

),

meters as (

    select * from {{ ref('stg_catalog__meters') }}

),

meter_numbers as (

    select
        meter_id,
        cast(row_number() over (order by meter_id) as integer) as meter_number
    from meters

),

final as (

    select
        charges.plan_id,
        charges.meter_id,
        meters.name as meter_name,
        meters.unit,
        meters.aggregation,
        charges.reset,
        charges."limit",
        charges.overage_model,
        cast(
            row_number() over (order by charges.plan_id, charges.effective_from, charges.meter_id) as integer
        ) as charge_number,
        plan_versions.plan_number,
        meter_numbers.meter_number,
        charges.included,
        {{ scaled("charges.included") }} as included_count,
        charges.capacity_unit_amount,
        {{ scaled("charges.capacity_unit_amount") }} as capacity_unit_count,
        {% for term in charge_terms() -%}
        charges.{{ term.column }},
        {{ scaled("charges." ~ term.column) }} as {{ term.count }},
        {% endfor -%}
        meters.carry_forward and meters.aggregation in ('max', 'latest') as carry_forward,
        charges.prorate_included and meters.aggregation in ('count', 'sum') as prorate_included,
        charges.reset = 'cycle' and meters.aggregation in ('max', 'latest', 'unique') as is_level,
        charges.invoice_zero,
        charges.effective_from
    from charges
    inner join plan_versions
        on
            charges.plan_id = plan_versions.plan_id
            and charges.effective_from = plan_versions.effective_from
    inner join meters on charges.meter_id = meters.meter_id
    inner join meter_numbers on charges.meter_id = meter_numbers.meter_id

)

select * from final
