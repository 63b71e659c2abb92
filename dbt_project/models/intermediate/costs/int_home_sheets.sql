{{ config(materialized='ephemeral') }}

{#- What home prices say of an interval: of each unit the closest one. -#}

with intervals as (

    select * from {{ ref('int_price_intervals') }}

),

home_prices as (

    select * from {{ ref('int_home_prices') }}

),

final as (

    select
        intervals.name_number,
        intervals.starts_on,
        intervals.ends_on,
        arg_max(home.usd_per_unit, home.closeness) filter (where home.unit = 'input_token') as input_token_price,
        arg_max(home.usd_per_unit, home.closeness)
        filter (where home.unit = 'cached_input_token') as cached_input_token_price,
        arg_max(home.usd_per_unit, home.closeness) filter (where home.unit = 'output_token') as output_token_price,
        arg_max(home.usd_per_unit, home.closeness) filter (where home.unit = 'request') as request_price,
        arg_max(home.usd_per_unit, home.closeness) filter (where home.unit = 'quantity') as quantity_price
    from intervals
    inner join home_prices as home
        on
            intervals.name_number = home.name_number
            and intervals.starts_on >= coalesce(home.valid_from, date '0001-01-01')
            and intervals.starts_on < coalesce(home.valid_to, date '9999-12-31')
    group by
        intervals.name_number,
        intervals.starts_on,
        intervals.ends_on

)

select * from final
