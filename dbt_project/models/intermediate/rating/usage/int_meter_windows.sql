{#- Over which windows each charged meter is evaluated: always over the whole service period, and over days or calendar
    months where a charge resets by them. -#}

with plan_charges as (

    select * from {{ ref('int_plan_charges') }}

),

resets as (

    select
        meter_id,
        meter_number,
        aggregation,
        carry_forward,
        reset
    from plan_charges
    union
    select
        meter_id,
        meter_number,
        aggregation,
        carry_forward,
        'cycle' as reset
    from plan_charges

),

final as (

    select
        meter_id,
        aggregation,
        reset,
        meter_number,
        carry_forward
    from resets

)

select * from final
