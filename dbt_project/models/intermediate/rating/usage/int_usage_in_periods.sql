{#- Usage of every charged meter with any, over the windows it is evaluated over. It is counted here, once, in the
    integers of 10^-12 that exact division works on. -#}

with quantities as (

    select * from {{ ref('int_quantities_in_periods') }}

),

levels as (

    select * from {{ ref('int_levels_in_periods') }}

),

distinct_values as (

    select * from {{ ref('int_values_in_periods') }}

),

usage as (

    select
        period_number,
        meter_number,
        reset,
        cast(quantity as decimal(38, 12)) as quantity,
        cast(cost_usd as decimal(38, 12)) as cost_usd,
        window_start
    from quantities
    union all
    select
        period_number,
        meter_number,
        reset,
        cast(quantity as decimal(38, 12)) as quantity,
        cast(null as decimal(38, 12)) as cost_usd,
        window_start
    from levels
    union all
    select
        period_number,
        meter_number,
        reset,
        quantity,
        cast(null as decimal(38, 12)) as cost_usd,
        window_start
    from distinct_values

),

final as (

    select
        period_number,
        meter_number,
        reset,
        {{ scaled("quantity") }} as quantity_count,
        cost_usd,
        window_start
    from usage

)

select * from final
